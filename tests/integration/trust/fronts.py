"""What the smuggling suite talks to: an echoing edge on a thread of its own, and nginx before it."""

import asyncio
import contextlib
import itertools
import json
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvloop

from tests.bench.children import nginx_program
from tests.fakes.edge import Edge, data, end, head, route, running
from tests.integration.trust.raw_http import Answer, Wire
from tests.integration.trust.smuggling_cases import TAIL_MARKER, call
from tests.mesh import Mesh
from tollgate.router.v1 import router_pb2
from tollgate_cli.suite.processes.child import Child, Command
from tollgate_cli.suite.processes.ports import free_port

START_SECONDS = 20.0
_numbers = itertools.count()
# One kept-alive connection to the edge, so that whatever is left on it meets the next client.
# The second server hands an Upgrade on, as the usual recipe for WebSockets does.
_NGINX = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  large_client_header_buffers 8 128k;
  proxy_next_upstream off;
  proxy_http_version 1.1;
  proxy_buffering off;
  map $http_upgrade $upgrade_or_nothing {{ default "Upgrade, HTTP2-Settings"; "" ""; }}
  upstream edge {{ server 127.0.0.1:{edge}; keepalive 1; }}
  server {{
    listen 127.0.0.1:{plain};
    location / {{ proxy_pass http://edge; proxy_set_header Connection ""; }}
  }}
  server {{
    listen 127.0.0.1:{upgrading};
    location / {{
      proxy_pass http://edge;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $upgrade_or_nothing;
      proxy_request_buffering off;
    }}
  }}
}}
"""


async def echo(request: router_pb2.ExecuteRequest) -> AsyncIterator[router_pb2.ExecuteResponse]:
    """A model that answers with the words that it was asked with; to "slow" ones it takes time."""
    marker = json.loads(request.body)["messages"][0]["content"]
    text = json.dumps({"choices": [], "marker": marker}).encode()
    yield route()
    if not request.stream:
        yield head()
        yield data(text)
    else:
        yield head("text/event-stream")
        yield data(b"data: " + text + b"\n\n")
        if marker.startswith("slow"):
            await asyncio.sleep(0.3)
        yield data(b"data: [DONE]\n\n")
    yield end()


@contextlib.contextmanager
def edge_on_a_thread(mesh: Mesh) -> Iterator[Edge]:
    """A running edge whose loop is not the tests': they block, and it must not notice.

    On uvloop, as the process: its transports end and flush connections in ways of their own.
    """
    started: list[Edge] = []
    failed: list[BaseException] = []
    ready = threading.Event()
    loop = uvloop.new_event_loop()
    finish = asyncio.Event()

    async def serve() -> None:
        async with running(mesh) as edge:
            edge.script(echo)
            started.append(edge)
            ready.set()
            await finish.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # noqa: BLE001 - told to the test, below
            failed.append(error)
        finally:
            loop.close()
            ready.set()

    thread = threading.Thread(target=run, name="edge")
    thread.start()
    try:
        assert ready.wait(START_SECONDS)
        assert started, failed
        yield started[0]
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish.set)
        thread.join(START_SECONDS)
    assert not failed, failed


@contextlib.contextmanager
def nginx(edge_port: int) -> Iterator[dict[str, int] | None]:
    """Ports of a running nginx: "nginx" and "nginx that upgrades"; None when it is not installed."""
    program = nginx_program()
    if program is None:
        yield None
        return
    ports = {"nginx": free_port(), "nginx that upgrades": free_port()}
    with tempfile.TemporaryDirectory(prefix="tollgate-nginx-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # nginx as root hands its workers to another user
        config = directory / "nginx.conf"
        config.write_text(
            _NGINX.format(
                directory=directory,
                edge=edge_port,
                plain=ports["nginx"],
                upgrading=ports["nginx that upgrades"],
            )
        )
        # `-e`: else it opens its compiled-in log before it has read this configuration.
        argv = (program, "-e", "stderr", "-c", str(config), "-p", name)
        child = Child("nginx", Command(argv, directory / "nginx.log"))
        try:
            for port in ports.values():
                _wait_listening(child, port)
            yield ports
        finally:
            child.stop(timeout_s=5)


def _wait_listening(child: Child, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), Wire(port):
            return
        assert child.exit_code() is None, child.log_tail()
        assert time.monotonic() < deadline
        time.sleep(0.05)


# ---- what tests say of an answer ----------------------------------------------------------------


def fresh() -> str:
    """A marker that no other request of this run carries."""
    return f"marker-{next(_numbers)}"


@contextlib.contextmanager
def no_tail_is_served(edge) -> Iterator[None]:
    """What stands behind a request, or in the body of a refused one, is never asked of a model."""

    def served_tails() -> int:
        return sum(TAIL_MARKER.encode() in request.body for request in edge.router.requests)

    before = served_tails()
    yield
    assert before == served_tails()


def served(wire: Wire, marker: str) -> Answer:
    """The next answer is a good one, and this call's own."""
    answer = wire.answer()
    assert (200, marker) == (answer.status, answer.marker)
    return answer


def usable(wire: Wire) -> None:
    """The connection takes another call and answers that one."""
    marker = fresh()
    served(wire.send(call(marker)), marker)


def others_get_their_own(port: int) -> None:
    """Three clients, one after the other on connections of their own, are answered their own."""
    for _ in range(3):
        with Wire(port) as wire:
            usable(wire)
