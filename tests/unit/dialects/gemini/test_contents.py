"""The turns of a conversation as Google takes them: who speaks, calls and their results, names."""

import pytest

from tests.unit.dialects.gemini.test_requests_translated import written
from tollgate_dialects.conversation.parts import FunctionTool, Media, Text, ToolCall, ToolResult
from tollgate_dialects.conversation.request import Turn
from tollgate_dialects.conversation.tools import restored_answer
from tollgate_dialects.gemini.translate.translation import TRANSLATION


def test_results_stand_first_and_under_their_names():
    """In the order of the calls, whatever order they were given in."""
    turns = (
        Turn("user", (Text("Go."),)),
        Turn("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "g", "[1]"))),
        Turn(
            "user",
            (
                Text("Here."),
                ToolResult("b", (Text("no"),), is_error=True),
                ToolResult("a", (Text('{"x":1}'),)),
            ),
        ),
    )
    contents = written("gemini-2.5-flash", turns=turns).document["contents"]
    assert contents[1]["parts"][1]["functionCall"]["args"] == {"arguments": "[1]"}
    assert contents[2]["parts"] == [
        {"functionResponse": {"name": "f", "response": {"x": 1}}},
        {"functionResponse": {"name": "g", "response": {"error": "no"}}},
    ]
    assert contents[3:] == [{"role": "user", "parts": [{"text": "Here."}]}]


def said(turns, model="gemini-3.7-flash"):
    """What is sent of turns, in brief: who speaks, and its words, calls and results."""
    told = []
    for content in written(model, turns=turns).document["contents"]:
        assert "'id'" not in repr(content)
        words = []
        for part in content["parts"]:
            result = part.get("functionResponse", {})
            name = part.get("functionCall", result).get("name", "")
            words.append(name + str(part.get("text", result.get("response", {}).get("output", ""))))
        told.append((content["role"], words))
    return told


def calls(*ids_and_names):
    return Turn("assistant", tuple(ToolCall(one, name, "{}") for one, name in ids_and_names))


def gave(*ids_and_words):
    return Turn("user", tuple(ToolResult(one, (Text(word),)) for one, word in ids_and_words))


GO = Turn("user", (Text("Go."),))


def test_ids_are_not_sent():
    """Vertex refuses them (mlflow#24127, kimi-cli#1582); names and places tell the same."""
    turns = (GO, calls(("a", "f"), ("b", "f")), gave(("b", "2"), ("a", "1")))
    assert said(turns)[1:] == [("model", ["f", "f"]), ("user", ["f1", "f2"])]


def test_results_stand_alone():
    """Newer models take a content of results and words for a model's (opencode#43478)."""
    turns = (GO, calls(("a", "f")), Turn("user", (*gave(("a", "1")).parts, Text("And?"))))
    assert said(turns)[2:] == [("user", ["f1"]), ("user", ["And?"])]
    picture = Media("image", "image/png", data="QUJD")
    turns = (GO, calls(("a", "f")), Turn("user", (ToolResult("a", (Text("1"), picture)),)))
    old = written("gemini-2.5-flash", turns=turns).document["contents"]
    assert [list(part) for one in old[2:] for part in one["parts"]] == [
        ["functionResponse"], ["inlineData"],
    ]  # fmt: skip
    assert [len(one["parts"]) for one in old[2:]] == [1, 1]


def test_words_behind_results_go_on_with_them():
    """So the calls of another maker are marked there, too."""
    turns = (GO, calls(("a", "f")), Turn("user", (*gave(("a", "1")).parts, Text("And?"))))
    contents = written("gemini-3.7-flash", turns=turns).document["contents"]
    assert "thoughtSignature" in contents[1]["parts"][0]


def test_ids_that_are_given_again():
    """Over turns, and within one: each result stays with its own call."""
    turns = (
        GO, calls(("s:0", "f"), ("s:1", "g")), gave(("s:1", "2"), ("s:0", "1")),
        calls(("s:1", "h"), ("s:0", "k")), gave(("s:0", "4"), ("s:1", "3")),
    )  # fmt: skip
    assert said(turns)[1:] == [
        ("model", ["f", "g"]), ("user", ["f1", "g2"]),
        ("model", ["h", "k"]), ("user", ["h3", "k4"]),
    ]  # fmt: skip
    turns = (GO, calls(("e", "f"), ("e", "g")), gave(("e", "1"), ("e", "2")))
    assert said(turns)[2:] == [("user", ["f1", "g2"])]


@pytest.mark.parametrize("text", ['{"$ref":"#/a"}', '{"a":[{"\\u0024ref":"#/a"}]}'])
def test_a_result_with_a_reference_is_words(text):
    """Gemini 3 takes `$ref` for a picture's name: 400 "does not match to a display_name"."""
    assert said((GO, calls(("a", "f")), gave(("a", text))))[2] == ("user", ["f" + text])


def test_a_user_speaks_first_and_last():
    """Google refuses a conversation that begins with a call, newer models one that a model ends.

    gemini-cli#11814, LibreChat agents#323, cline#12521.
    """
    called = (Turn("system", (Text("Be short."),)), calls(("a", "f")), gave(("a", "1")))
    assert said(called) == [("user", ["Begin."]), ("model", ["f"]), ("user", ["f1"])]
    begun = (GO, Turn("assistant", (Text("{"),)))
    for model, is_taken in (
        ("gemini-2.5-flash", True), ("gemini-3.5-flash", True), ("gemini-3.5-flash-lite", False),
        ("gemini-3.6-flash", False), ("gemini-3.7-flash", False),
    ):  # fmt: skip
        last = ("model", ["{"]) if is_taken else ("user", ["Go on."])
        assert said(begun, model)[-1] == last
        assert ("prefill" in written(model, turns=begun).dropped) is not is_taken


def test_a_late_result_stands_with_its_call():
    """Google wants as many results as calls right behind them; one of no call stands alone."""
    late = (
        GO, calls(("a", "f"), ("b", "g")), gave(("a", "1")),
        Turn("assistant", (Text("Hm."),)), gave(("b", "2")), gave(("x", "3")),
    )  # fmt: skip
    assert said(late)[1:] == [
        ("model", ["f", "g"]), ("user", ["f1", "g2"]), ("model", ["Hm."]), ("user", ["x3"]),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["3d", "-x"])
def test_a_name_begins_as_google_wants(name):
    """With a letter or `_` (gemini-cli#2966); the client is told its own name again."""
    tools = (FunctionTool(name), FunctionTool(f"_{name}"))
    found = written(tools=tools, turns=(GO, calls(("a", name)), gave(("a", "1"))))
    (first, second) = found.document["tools"][0]["functionDeclarations"]
    assert first["name"].startswith(f"_{name}_")
    assert second["name"] == f"_{name}"
    call = {"functionCall": {"name": first["name"], "args": {}}}
    assert found.document["contents"][1]["parts"][0]["functionCall"] == call["functionCall"]
    answer = TRANSLATION.read_answer({"candidates": [{"content": {"parts": [call]}}]})
    (restored,) = restored_answer(answer, tools).parts
    assert restored.name == name
