"""What a client that hangs leaves behind, so that the next one to read of it knows where."""

import sys

import pytest

from tests.e2e.clients.answer import Answer
from tests.e2e.clients.stage import Stage

HANGS = """
import json, os, threading, urllib.request
told = json.dumps({"model": os.environ["MODEL"], "stream": True, "messages": [
    {"role": "user", "content": "Count."}]}).encode()
bearer = {"authorization": "Bearer " + os.environ["KEY"], "content-type": "application/json"}
request = urllib.request.Request(os.environ["URL"] + "/v1/chat/completions", told, bearer)
with urllib.request.urlopen(request) as answer:
    print("the answer began with", answer.read(5))
    def waits():
        threading.Event().wait()
    waits()
"""


def test_a_client_that_hangs_says_where(stage: Stage, home):
    """What it had printed, the stack of each thread, and the calls that it had in flight."""
    del home
    # Said for longer than the client is waited for.
    play = stage.play("claude-sonnet-4-5", Answer("word " * 30, pause_s=0.5))
    with pytest.raises(AssertionError) as told:
        stage.run(
            [sys.executable, "-c", HANGS], 4, URL=stage.url, KEY=play.key.text, MODEL=play.model
        )
    said = str(told.value)
    assert "the answer began with b'data:'" in said
    assert "Current thread" in said
    assert "in waits" in said
    (transfer,) = play.live.transfers(f"key:{play.key.key_id}")
    assert f"'{transfer.trace_id}': '{play.model}'" in said
    assert play.key.text not in said
