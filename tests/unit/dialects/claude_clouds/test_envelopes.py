"""A message as Bedrock and Vertex take it: what Anthropic's own clients for them would send."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects import corpus
from tests.unit.dialects.claude_clouds import clouds
from tollgate_dialects.common import members
from tollgate_dialects.dialect import Asked

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MESSAGE = {
    "model": "claude",
    "max_tokens": 10,
    "stream": True,
    "messages": [{"role": "user", "content": 'hé ￿ \\ " \n'}],
}
INTERLEAVED = "interleaved-thinking-2025-05-14"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=8,
)
# What a cloud is not asked for: Hypothesis draws words of our own code as well.
REFUSED = {"speed", "service_tier", "inference_geo", "cache_control", "output_format"}
NAMES = st.text().filter(lambda name: name not in REFUSED)


def enveloped(dialect, body, betas="", model=MODEL, version="2023-06-01"):
    headers = {"anthropic-beta": betas, "anthropic-version": version}
    return dialect.endpoint.envelope(body, headers, model)


# What the SDK of today speaks, and the newest model's name on Bedrock.
NEW, NEWEST = "2026-10-21", "us.anthropic.claude-opus-4-8"


@pytest.mark.parametrize("stream", [True, False])
def test_bedrock_is_sent_what_the_sdk_sends(stream):
    """The model and the stream in the path, the version and the betas in the body."""
    document = {**MESSAGE, "stream": stream, "model": NEWEST}
    beta = "context-management-2025-06-27"
    sent = enveloped(clouds.BEDROCK, json.dumps(document).encode(), beta, NEWEST, NEW)
    path, body = clouds.sent_to_bedrock(document, beta)
    assert body == json.loads(sent.body)
    assert {} == sent.headers
    assert frozenset() == sent.dropped
    assert path == clouds.BEDROCK.endpoint.path_below("", Asked(NEWEST, stream))
    path, _ = clouds.sent_to_bedrock({**document, "model": MODEL})
    below = clouds.BEDROCK.endpoint.path_below("", Asked(MODEL, stream))
    assert path.replace(":", "%3A") == below


@pytest.mark.parametrize("stream", [True, False])
def test_vertex_is_sent_what_the_sdk_sends(stream):
    """The model in the path, the version in the body, the betas in their header."""
    model = "claude-sonnet-4-5@20250929"
    document = {**MESSAGE, "stream": stream, "model": model}
    sent = enveloped(clouds.VERTEX, json.dumps(document).encode(), INTERLEAVED, model, NEW)
    path, body = clouds.sent_to_vertex(document, INTERLEAVED)
    assert body == json.loads(sent.body)
    assert {"anthropic-beta": INTERLEAVED} == sent.headers
    below = clouds.VERTEX.endpoint.path_below("/publishers/anthropic", Asked(model, stream))
    assert path == f"/projects/P/locations/global/publishers/anthropic{below}"


@pytest.mark.parametrize(
    ("dialect", "model", "version", "told"),
    [
        (clouds.BEDROCK, NEWEST, "2023-06-01", "bedrock-2023-05-31"),
        (clouds.BEDROCK, NEWEST, NEW, NEW),
        (clouds.BEDROCK, MODEL, NEW, "bedrock-2023-05-31"),
        (clouds.BEDROCK, "arn:aws:bedrock:us-east-1:1:application-inference-profile/x", NEW,
         "bedrock-2023-05-31"),
        (clouds.VERTEX, "claude-sonnet-4@20250514", NEW, NEW),
        (clouds.VERTEX, "claude-sonnet-4@20250514", "2023-06-01", "vertex-2023-10-16"),
        (clouds.VERTEX, "claude-sonnet-4@20250514", "", "vertex-2023-10-16"),
    ],
)  # fmt: skip
def test_the_version_is_the_clients(dialect, model, version, told):
    """By the cloud's name for it; Bedrock's older models have their first one alone."""
    sent = enveloped(dialect, json.dumps(MESSAGE).encode(), "", model, version)
    assert told == json.loads(sent.body)["anthropic_version"]


@pytest.mark.parametrize("dialect", [clouds.BEDROCK, clouds.VERTEX], ids=["bedrock", "vertex"])
@given(document=st.dictionaries(NAMES, JSON, max_size=5), pretty=st.booleans())
def test_every_other_member_goes_up_byte_for_byte(dialect, document, pretty):
    """However it is written, and whatever it holds; in the client's order."""
    whole = {**document, **MESSAGE}
    body = json.dumps(whole, indent=2 if pretty else None, ensure_ascii=pretty).encode(
        "utf-8", "surrogatepass"
    )
    sent = enveloped(dialect, body).body

    def parts(data):
        text = data.decode("latin-1")
        ours = ("model", "anthropic_version", "anthropic_beta")
        left_out = (*ours, "stream") if dialect is clouds.BEDROCK else ours
        return [text[a:b] for name, a, _, b in members.scan(text) if name not in left_out]

    assert parts(body) == parts(sent)
    assert json.loads(sent)["anthropic_version"].startswith(("bedrock-", "vertex-"))


@pytest.mark.parametrize("dialect", [clouds.BEDROCK, clouds.VERTEX], ids=["bedrock", "vertex"])
def test_a_body_cannot_ask_for_betas_or_versions(dialect):
    """There they would change what tokens cost, unseen by who priced the request."""
    sly = {**MESSAGE, "anthropic_beta": ["context-1m-2025-08-07"], "anthropic_version": "x"}
    sent = json.loads(enveloped(dialect, json.dumps(sly).encode()).body)
    assert "anthropic_beta" not in sent
    assert "x" != sent["anthropic_version"]


def test_betas_that_a_cloud_does_not_know_are_left_out_and_named():
    """They would refuse the whole request; Claude Code sends some with each."""
    asked = (
        "claude-code-20250219,context-management-2025-06-27,fine-grained-tool-streaming-2025-05-14"
    )
    body = json.dumps(MESSAGE).encode()
    bedrock, vertex = enveloped(clouds.BEDROCK, body, asked), enveloped(clouds.VERTEX, body, asked)
    kept = ["context-management-2025-06-27", "fine-grained-tool-streaming-2025-05-14"]
    assert kept == json.loads(bedrock.body)["anthropic_beta"]
    assert {"betas.claude-code-20250219"} == bedrock.dropped
    assert {"anthropic-beta": kept[0]} == vertex.headers
    assert {"betas.claude-code-20250219", f"betas.{kept[1]}"} == vertex.dropped


def test_a_beta_goes_under_the_clouds_name_for_it():
    """Once, also where a client says both."""
    asked = "advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19"
    sent = enveloped(clouds.BEDROCK, json.dumps(MESSAGE).encode(), asked)
    assert ["tool-search-tool-2025-10-19"] == json.loads(sent.body)["anthropic_beta"]
    assert frozenset() == sent.dropped


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("anthropic.claude-opus-4-1-20250805-v1:0", True),
        ("claude-sonnet-4@20250514", True),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", False),
        ("us.anthropic.claude-opus-4-8", False),
    ],
)
def test_interleaved_thinking_is_asked_of_models_that_take_it(model, takes):
    """Others refuse the request for it; newer ones do so unasked."""
    sent = enveloped(clouds.BEDROCK, json.dumps(MESSAGE).encode(), INTERLEAVED, model)
    assert takes is ("anthropic_beta" in json.loads(sent.body))
    assert takes is not bool(sent.dropped)


def test_recorded_calls_of_bedrock_are_what_we_would_send():
    """From what their client wrote, the model aside."""
    recorded = [
        each
        for each in corpus.exchanges("bedrock.invoke")
        if "anthropic.claude" in each["url"] and "messages" in each["req"]
    ]
    assert recorded
    for each in recorded:
        own = {k: v for k, v in each["req"].items() if k != "anthropic_version"}
        sent = enveloped(clouds.BEDROCK, json.dumps({"model": "claude", **own}).encode())
        assert each["req"] == json.loads(sent.body), each["id"]


@pytest.mark.parametrize("dialect", [clouds.BEDROCK, clouds.VERTEX])
def test_no_cloud_is_asked_how_anthropic_would_serve(dialect):
    """Fast mode, tiers and geography are Anthropic's own: left out for a cloud, and named."""
    asked = {"speed": "fast", "service_tier": "auto", "inference_geo": "us"}
    sent = enveloped(dialect, json.dumps({**MESSAGE, **asked}).encode())
    assert not json.loads(sent.body).keys() & asked.keys()
    assert sent.dropped == asked.keys()
