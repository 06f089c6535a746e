"""What a person reads when the suite is up: addresses, the key, a call that works. Pure."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tollgate_cli.seed import MODELS, MONTHLY_USD

_CHAT = '{"model":"MODEL","max_tokens":64,"messages":[{"role":"user","content":"Say hello."}]}'
_RESPONSE = '{"model":"MODEL","max_output_tokens":64,"input":"Say hello."}'
_GENERATION = (
    '{"input":{"messages":[{"role":"user","content":"Say hello."}]},'
    '"parameters":{"max_tokens":64,"incremental_output":true},"model":"MODEL"}'
)
_CONTENT = (
    '{"contents":[{"role":"user","parts":[{"text":"Say hello."}]}],'
    '"generationConfig":{"maxOutputTokens":64}}'
)
# Protocol -> path, the header that its SDK sends the key in, and what is asked of the MODEL.
_CALLS = {
    "openai": ("/v1/chat/completions", "authorization: Bearer ", _CHAT),
    "responses": ("/v1/responses", "authorization: Bearer ", _RESPONSE),
    "anthropic": ("/v1/messages", "x-api-key: ", _CHAT),
    "gemini": ("/v1beta/models/MODEL:generateContent", "x-goog-api-key: ", _CONTENT),
    "dashscope": (
        "/api/v1/services/aigc/text-generation/generation",
        "authorization: Bearer ",
        _GENERATION,
    ),
    # No client speaks it: a call in another protocol is translated.
    "bedrock": ("/v1/chat/completions", "authorization: Bearer ", _CHAT),
}


def text(described: Mapping[str, Any], home: Path, *, command: str, detached: bool = False) -> str:
    """The greeting for what dev.json describes; command is how this program was called."""
    url = described["api_url"]
    lines = ["", f"Tollgate is up. API: {url}"]
    lines += [f"  edges: {', '.join(_edges(described))}"] if len(_edges(described)) > 1 else []
    if described["demo_key"]:
        lines += _demo(described, home)
    else:
        lines += [f"  No demo. Next: {command} provider add, then tenant create, then key create"]
    stop = (
        f"  Stop with `{command} down`."
        if detached
        else f"  Stop with Ctrl-C, or `{command} down`."
    )
    return "\n".join([*lines, stop, ""])


def _edges(described: Mapping[str, Any]) -> list[str]:
    services = described["services"].items()
    return [f"http://{at['address']}" for name, at in services if name.startswith("edge-api")]


def _demo(described: Mapping[str, Any], home: Path) -> list[str]:
    url, key_file = described["api_url"], home / "secrets" / "demo-key"
    # Read when a line is pasted: so no line holds the key, and each works at every start.
    key = f"$(cat {shlex.quote(str(key_file))})"
    if described["demo_key_is_new"]:
        shown = f"  Virtual key (shown this once): {described['demo_key']}"
    else:
        shown = f"  Virtual key: as printed at the first start; kept in {key_file}"
    return [
        f"  Demo provider: {described['provider_url']} with the models {', '.join(MODELS)}",
        f"  Demo tenant: capped at ${MONTHLY_USD} a month",
        shown,
        "  Try it, a line for each protocol:",
        "",
        *(line for model, protocol in MODELS.items() for line in _curl(url, key, model, protocol)),
        '  As a stream: curl -iN, and "stream":true in the body; Gemini has a path of its own,',
        "  ':streamGenerateContent?alt=sse', DashScope a header, 'x-dashscope-sse: enable'.",
        "",
    ]


def _curl(url: str, key: str, model: str, protocol: str) -> list[str]:
    path, header, asked = _CALLS[protocol]
    headers = f'-H "{header}{key}" -H "content-type: application/json"'
    return [f"curl -i {url}{path} {headers} -d '{asked}'".replace("MODEL", model), ""]
