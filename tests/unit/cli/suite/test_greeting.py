"""What a person reads when the suite is up."""

import json
import shlex
from pathlib import Path

from tollgate_cli.commands.provider import PROTOCOLS
from tollgate_cli.demo_provider.speech.protocols import ENVELOPES
from tollgate_cli.seed import MODELS
from tollgate_cli.suite import greeting

# The words of another protocol are called as that is.
CALLED = PROTOCOLS.keys() - ENVELOPES.keys()
DESCRIBED = {
    "api_url": "http://127.0.0.1:8080",
    "provider_url": "http://127.0.0.1:8090",
    "services": {},
    "demo_key": "sk-demo-key",
    "demo_key_is_new": True,
}


def test_each_protocol_has_one_line_that_can_be_pasted():
    """A curl line for every protocol of its own that a provider may speak: its model, and JSON."""
    home = Path("/h")
    lines = [
        line
        for line in greeting.text(DESCRIBED, home, command="tollgate").splitlines()
        if line.startswith("curl")
    ]
    assert (CALLED, len(CALLED)) == (set(MODELS.values()), len(lines))
    for model, line in zip(MODELS, lines, strict=True):
        assert model in line
        assert isinstance(json.loads(shlex.split(line)[-1]), dict)


def test_the_key_is_printed_once_and_in_no_line():
    """What is pasted reads the key from its file: no shell remembers it, and any start's works."""
    first = greeting.text(DESCRIBED, Path("/h"), command="tollgate")
    assert 1 == first.count("sk-demo-key")
    later = greeting.text({**DESCRIBED, "demo_key_is_new": False}, Path("/h"), command="tollgate")
    assert "sk-demo-key" not in later
    assert first.count("$(cat /h/secrets/demo-key)") == len(CALLED)
