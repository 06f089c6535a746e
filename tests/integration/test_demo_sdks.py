"""The demo provider, judged by the vendors' SDKs: each reads the same script, whole or streamed."""

import pytest

from tests import demo
from tests.demo_sdks import KEY, SDKS, Ask
from tollgate_cli.demo_provider.speech.protocols import ENVELOPES, PROTOCOLS

SPOKEN = {**PROTOCOLS, **ENVELOPES}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """Base URL of a running provider."""
    key_file = tmp_path_factory.mktemp("demo") / "key"
    key_file.write_text(KEY)
    with demo.running(key_file) as url:
        yield url


EACH = pytest.mark.parametrize("protocol", SDKS)
BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
SENTENCES = (
    "Hello from the demo provider of Tollgate. Every word here is one output token, "
    "counted and billed as such, and the same question always gets the same answer."
)


@EACH
@BOTH_WAYS
def test_text(provider, protocol, stream):
    """The whole text with its end and usage, and a text that the limit cuts."""
    sdk = SDKS[protocol]
    heard = sdk.use(Ask(provider, "demo-any", stream))
    assert (SENTENCES, sdk.stop, 28) == (heard.text, heard.end, heard.tokens[1])
    assert heard.tokens[0] > 0
    cut = sdk.use(Ask(provider, "demo-any", stream, limit=3))
    assert ("Hello from the", sdk.length, 3) == (cut.text, cut.end, cut.tokens[1])


@EACH
@BOTH_WAYS
def test_thinking(provider, protocol, stream):
    """`demo-thinking-2` thinks two words, then answers; both are billed."""
    heard = SDKS[protocol].use(Ask(provider, "demo-thinking-2", stream))
    assert ("Hello from", SENTENCES, 30) == (heard.thinking, heard.text, heard.tokens[1])


@EACH
@BOTH_WAYS
def test_a_tool_is_called_once(provider, protocol, stream):
    """`demo-tool` calls the first function; with its result, or without a function, it answers."""
    sdk = SDKS[protocol]
    called = sdk.use(Ask(provider, "demo-tool", stream, has_tool=True))
    assert (("weather", {"city": "Paris"}), "", sdk.call) == (called.call, called.text, called.end)
    assert 1 == called.tokens[1]
    for more in ({"has_tool": True, "has_result": True}, {}):
        answered = sdk.use(Ask(provider, "demo-tool", stream, **more))
        assert (None, SENTENCES, sdk.stop) == (answered.call, answered.text, answered.end)


@EACH
@BOTH_WAYS
def test_a_refusal(provider, protocol, stream):
    """`demo-refusal` refuses in the protocol's way, or where it has none in words."""
    sdk = SDKS[protocol]
    heard = sdk.use(Ask(provider, "demo-refusal", stream))
    told = (heard.refusal, heard.text) if sdk.has_refusals else (heard.text, heard.refusal)
    assert (SENTENCES, "", sdk.refusal) == (*told, heard.end)


@EACH
@BOTH_WAYS
def test_refusals_and_errors_in_a_stream_are_the_sdks_errors(provider, protocol, stream):
    """The words of a refusal reach the caller; an error after some words is one, too."""
    sdk = SDKS[protocol]
    with pytest.raises(sdk.error) as refused:
        sdk.use(Ask(provider, "demo-400", stream))
    assert SPOKEN[protocol].too_long in str(refused.value)
    for model in ("demo-401", "demo-429", "demo-500", "demo-error-mid"):
        with pytest.raises(sdk.error):
            sdk.use(Ask(provider, model, stream))


def test_no_protocol_is_forgotten():
    """Whatever the demo speaks, its vendor's SDK judges here."""
    assert SPOKEN.keys() == SDKS.keys()
