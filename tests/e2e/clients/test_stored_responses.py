"""openai for Node, unmodified, through the life of a response that its provider keeps."""

import json
import shutil
from pathlib import Path

from tests.e2e.clients.stage import Stage
from tests.live import RESPONSES, Live

SCRIPT = "stored_responses.mjs"


def test_node_keeps_and_forgets_a_response(live: Live, stage: Stage, home: Path):
    """Created, read, listed, gone on from as a stream, deleted; then it is not there for anybody."""
    del home
    key, model = live.key(live.tenant()), live.model("demo-codex", RESPONSES)
    # Node looks for packages beside the script.
    script = stage.installed.modules.parent / SCRIPT
    shutil.copy(Path(__file__).parent / "scripts" / SCRIPT, script)
    finished = stage.run(
        [str(stage.installed.node), str(script), model, key.text],
        OPENAI_BASE_URL=f"{stage.url}/v1",
    )
    assert 0 == finished.returncode, finished.stderr[-3000:]
    told = json.loads(finished.stdout)
    assert (True, ["Hello"], True, 400) == (
        told["isRead"], told["items"], told["isLonger"], told["cancelled"],
    )  # fmt: skip
    assert 404 == told["gone"][0]
    assert f"Response with id '{told['id']}' not found." in told["gone"][1]
    assert [400, "previous_response_not_found", "previous_response_id"] == told["lost"]
