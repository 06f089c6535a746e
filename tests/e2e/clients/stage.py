"""A suite, a scripted upstream behind it, and clients as processes in front of it."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc

from tests.e2e.clients import bedrock, chat, dashscope, gemini, messages, responses
from tests.e2e.clients.answer import Answer, Said, Turns
from tests.e2e.clients.installed import Installed
from tests.live import (
    ANTHROPIC,
    BEDROCK,
    DASHSCOPE,
    GEMINI,
    OPENAI,
    RESPONSES,
    Key,
    Live,
    wait_until,
)
from tests.upstream import Upstream

CLIENT_TIMEOUT_S = 240
# A client that is aborted shows where its threads are, and has kept back nothing of what it said.
PYTHON = {"PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"}
ABORT_TIMEOUT_S = 5
# In pico-USD a token, so that a reader can do the sums: $1 a million read, $2 produced, $0.1 cached.
PRICE = {
    "input_pico_usd": 1_000_000, "output_pico_usd": 2_000_000, "cache_read_pico_usd": 100_000,
    "max_input_tokens": 400_000, "max_output_tokens": 64_000,
}  # fmt: skip
BEDROCK_CLAUDE = "anthropic.claude-{}-20250929-v1:0"
# By the upstream's name, which decides how its vendor is spoken to.
VENDORS: dict[str, ModuleType] = {
    "claude-sonnet-4-5": messages,
    "claude-opus-4-5": messages,
    "claude-opus-4-1": messages,
    "claude-haiku-4-5": messages,
    "gpt-5.1": chat,
    # Those want their thinking back.
    "deepseek-chat": chat,
    "deepseek-reasoner": chat,
    "gpt-5.2": responses,
    "gpt-5.4": responses,
    "gemini-3.1-pro-preview": gemini,
    "gemini-3-pro-preview": gemini,
    "gemini-3-flash-preview": gemini,
    BEDROCK_CLAUDE.format("sonnet-4-5"): bedrock,
    BEDROCK_CLAUDE.format("opus-4-5"): bedrock,
    BEDROCK_CLAUDE.format("haiku-4-5"): bedrock,
    "qwen3-max": dashscope,
    "qwen-plus": dashscope,
    # Of those on the path for what is seen.
    "qwen3.5-plus": dashscope,
}
# What a provider speaks, and what its base URL ends in.
PROTOCOLS = {
    messages: (ANTHROPIC, "/v1"),
    chat: (OPENAI, "/v1"),
    responses: (RESPONSES, "/v1"),
    gemini: (GEMINI, "/v1beta"),
    bedrock: (BEDROCK, ""),
    dashscope: (DASHSCOPE, "/api/v1"),
}
# The public name decides what a client sends.
UPSTREAMS = {name: name for name in VENDORS if VENDORS[name] is not bedrock} | {
    "bedrock-sonnet": BEDROCK_CLAUDE.format("sonnet-4-5"),
    "bedrock-opus": BEDROCK_CLAUDE.format("opus-4-5"),
    "bedrock-haiku": BEDROCK_CLAUDE.format("haiku-4-5"),
    # Models that Codex knows by their names.
    "gpt-5.5": "claude-opus-4-1",
    "gpt-6.2-sol": "claude-haiku-4-5",
}


def vendor_of(label: str) -> ModuleType:
    """How the vendor of a public name speaks."""
    return VENDORS[UPSTREAMS[label]]


@dataclass(frozen=True)
class Play:
    """One scripted model as one key calls it."""

    live: Live
    key: Key
    model: str
    vendor: ModuleType
    turns: Turns

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self.turns.requests

    def results(self, request: dict[str, Any] | None = None) -> dict[str, str]:
        """What the newest request, or another, says of the tools that were called."""
        told = request or self.requests[-1]
        found: dict[str, str] | list[str] = self.vendor.results(told)
        if isinstance(found, dict):
            return found
        # Of a vendor that is told no ids, in the order of the calls.
        said = self.turns.answers[: self.requests.index(told)]
        calls = [call for one in said if isinstance(one, Answer) for call in one.calls]
        return {call.call_id: text for call, text in zip(calls, found, strict=True)}

    def check(self) -> None:
        """Every answer was asked for, legally, and cost exactly what its usage says.

        One that broke off cost what was read at least.
        """
        assert len(self.turns.answers) == len(self.requests)
        for request in self.requests:
            self.vendor.check(request)
        self.live.settled(f"key:{self.key.key_id}")
        transfers = self.live.transfers(f"key:{self.key.key_id}")
        transfers.sort(key=lambda transfer: transfer.create_time.ToNanoseconds())
        for said, transfer in zip(self.turns.answers, transfers, strict=True):
            cost = transfer.posted_nano_usd
            if isinstance(said, Answer) and said.breaks:
                assert cost >= said.usage.read * 1000
            else:
                assert _cost_nano_usd(said) == cost
            receipt = self.live.receipt(self.key, transfer.trace_id).json()
            assert cost == receipt["cost_nano_usd"]


def _cost_nano_usd(said: Said) -> int:
    if not isinstance(said, Answer):
        return 0
    usage = said.usage
    return usage.read * 1000 + usage.cached * 100 + usage.produced * 2000


def _in_flight(live: Live) -> dict[str, str] | grpc.RpcError:
    """Calls that were admitted and have not finished: by trace, what was asked for."""
    try:
        leaves = [json.loads(entry.leaf) for entry in live.entries()]
    except grpc.RpcError as fault:  # a finding too
        return fault
    finished = {leaf["trace_id"] for leaf in leaves if leaf["kind"] == "CALL_FINISHED"}
    admitted = [leaf for leaf in leaves if leaf["kind"] == "CALL_ADMITTED"]
    return {
        leaf["trace_id"]: leaf["payload"]["model"]
        for leaf in admitted
        if leaf["trace_id"] not in finished
    }


def _aborted(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Ends a client that hangs, and all that it started; what it had said, and at last its stack."""
    process.send_signal(signal.SIGABRT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(ABORT_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate(timeout=ABORT_TIMEOUT_S)


class Stage:
    """Plays scripts to clients that run beside it."""

    def __init__(self, live: Live, upstream: Upstream, installed: Installed, home: Path) -> None:
        self.installed = installed
        self.url = live.api_urls[0]
        self.home = home
        self._live = live
        self._upstream = upstream
        self._models: dict[str, str] = {}
        for vendor, (protocol, path) in PROTOCOLS.items():
            self._models |= live.models(
                {label: name for label, name in UPSTREAMS.items() if VENDORS[name] is vendor},
                protocol,
                base_url=upstream.url.removesuffix("/v1") + path,
                secret="sk-scripted-0123456789",
                price=PRICE,
                prefix="",
            )

    def play(self, label: str, *answers: Said) -> Play:
        """The model says these, one after another, to whoever has the play's key."""
        vendor = vendor_of(label)
        turns = Turns(answers, vendor)
        self._upstream.scripts[UPSTREAMS[label]] = turns
        key = self._live.key(self._live.tenant())
        return Play(self._live, key, self._models[label], vendor, turns)

    def run(
        self, command: Sequence[str], timeout_s: float = CLIENT_TIMEOUT_S, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """A client to its end, in a home of its own; one that hangs says where."""
        with self._started(command, environment) as process:
            try:
                said, complaints = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                in_flight = _in_flight(self._live)
                said, complaints = _aborted(process)
                raise AssertionError(
                    f"{Path(command[0]).name} did not end within {timeout_s} s\n"
                    f"calls in flight: {in_flight}\nit printed:\n{said[-6000:]}\n"
                    f"its complaints, and where it was:\n{complaints[-12000:]}"
                ) from None
        return subprocess.CompletedProcess(command, process.returncode, said, complaints)

    def kill_when(
        self, condition: Callable[[], object], command: Sequence[str], **environment: str
    ) -> None:
        """A client that is killed as soon as the condition holds, with all that it started."""
        with self._started(command, environment) as process:
            wait_until(condition, CLIENT_TIMEOUT_S)
            assert process.poll() is None, process.communicate()

    @contextlib.contextmanager
    def _started(
        self, command: Sequence[str], environment: dict[str, str]
    ) -> Iterator["subprocess.Popen[str]"]:
        path = f"{self.installed.node.parent}:/usr/bin:/bin"
        process = subprocess.Popen(
            command,
            env={"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", **PYTHON, **environment},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
