"""DashScope's clients at a real edge with scripted services behind it."""

import pytest

from tests.fakes.edge import KEY, Edge

PATH = "/api/v1/services/aigc/text-generation/generation"
BODY = {"model": "m-openai", "input": {"messages": [{"role": "user", "content": "hi"}]}}


@pytest.mark.parametrize(
    ("header", "status"),
    [({"X-DashScope-Async": "enable"}, 400), ({"x-dashscope-async": "disable"}, 200), ({}, 200)],
)
async def test_an_asynchronous_task_is_refused_and_not_answered_at_once(
    edge: Edge, header: dict[str, str], status: int
) -> None:
    """A client that asked for a task would take the answer for one; nothing is set aside for it."""
    answer = await edge.client.post(
        edge.url + PATH, json=BODY, headers={"authorization": f"Bearer {KEY}", **header}
    )
    assert status == answer.status_code
    assert (status == 200) == bool(edge.budget.reserved)
    if status == 400:
        told = answer.json()
        assert ("InvalidParameter", "X-DashScope-Async") == (told["code"], told["param"])
        assert "Asynchronous tasks are not served" in told["message"]


async def test_a_task_is_refused_to_nobody_without_a_key(edge: Edge) -> None:
    """What is served here is told to clients of the gateway alone."""
    answer = await edge.client.post(
        edge.url + PATH, json=BODY, headers={"X-DashScope-Async": "enable"}
    )
    assert 401 == answer.status_code
