"""Lists well-known providers: their address, their protocol, and what they refuse.

Owns the names that `provider add --preset` takes. Addresses are those of the vendors' own
documentation; a part in capitals stands for what only the operator knows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Preset:
    """One vendor's address. `protocol` is a word of `--protocol`."""

    protocol: str
    base_url: str
    without_include_usage: bool = False
    # Where keys that are service accounts are taken, if not there.
    account_base_url: str = ""

    @property
    def left_out(self) -> list[str]:
        """The parts of its address that only the operator knows."""
        return [word for word in re.split(r"[/.]", self.base_url) if word.isupper()]

    @property
    def is_complete(self) -> bool:
        """Return whether the address has no part left for the operator to fill in."""
        return not self.left_out


# Without "LOCATION-" for the location `global`.
_VERTEX: Final = (
    "https://LOCATION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/LOCATION/publishers"
)
PRESETS: Final[Mapping[str, Preset]] = {
    "anthropic": Preset("anthropic", "https://api.anthropic.com"),
    "azure": Preset("openai", "https://RESOURCE.openai.azure.com/openai/v1"),
    "azure-anthropic": Preset("anthropic", "https://RESOURCE.services.ai.azure.com/anthropic"),
    "bedrock": Preset("bedrock", "https://bedrock-runtime.REGION.amazonaws.com"),
    "bedrock-invoke": Preset("bedrock-invoke", "https://bedrock-runtime.REGION.amazonaws.com"),
    "bedrock-mantle": Preset("anthropic", "https://bedrock-mantle.REGION.api.aws/anthropic"),
    "byteplus": Preset("openai", "https://ark.ap-southeast.bytepluses.com/api/v3"),
    "deepseek": Preset("openai", "https://api.deepseek.com/v1"),
    "doubao": Preset("openai", "https://ark.cn-beijing.volces.com/api/v3"),
    "gemini": Preset("gemini", "https://generativelanguage.googleapis.com/v1beta"),
    "groq": Preset("openai", "https://api.groq.com/openai/v1"),
    "minimax": Preset("openai", "https://api.minimax.io/v1"),
    "minimax-cn": Preset("openai", "https://api.minimaxi.com/v1"),
    "mistral": Preset("openai", "https://api.mistral.ai/v1", without_include_usage=True),
    "moonshot": Preset("openai", "https://api.moonshot.ai/v1"),
    "moonshot-cn": Preset("openai", "https://api.moonshot.cn/v1"),
    "ollama": Preset("openai", "http://127.0.0.1:11434/v1"),
    "openai": Preset("openai", "https://api.openai.com/v1"),
    "openai-responses": Preset("responses", "https://api.openai.com/v1"),
    "openrouter": Preset("openai", "https://openrouter.ai/api/v1"),
    "qwen": Preset("openai", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
    "qwen-intl": Preset("openai", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    "qwen-native": Preset("dashscope", "https://dashscope.aliyuncs.com/api/v1"),
    "qwen-native-intl": Preset("dashscope", "https://dashscope-intl.aliyuncs.com/api/v1"),
    "sglang": Preset("openai", "http://127.0.0.1:30000/v1"),
    "vertex": Preset(
        "gemini",
        "https://aiplatform.googleapis.com/v1/publishers/google",
        account_base_url=f"{_VERTEX}/google",
    ),
    "vertex-anthropic": Preset("vertex-anthropic", f"{_VERTEX}/anthropic"),
    "vllm": Preset("openai", "http://127.0.0.1:8000/v1"),
    "xai": Preset("openai", "https://api.x.ai/v1"),
    "zai": Preset("openai", "https://api.z.ai/api/paas/v4"),
    "zhipu": Preset("openai", "https://open.bigmodel.cn/api/paas/v4"),
}
