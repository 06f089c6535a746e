"""Whatever a state file holds: words that name it, never a traceback, never a stranger's end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tollgate_cli import keyrings, main, service_keys
from tollgate_cli.certificates import ensure
from tollgate_cli.deployment import configs, toml_text, topology_file
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.private_file import kept_secret, write_private
from tollgate_cli.suite.processes import leftovers, lock, process
from tollgate_cli.suite.processes.ports import Ports
from tollgate_cli.suite.service_configs import LocalPlaces
from tollgate_kit.clock import SystemClock


def _directory(path: Path) -> None:
    path.mkdir()


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "at-all")


def _text(content: str | bytes) -> Callable[[Path], None]:
    data = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(data) and None  # type: ignore[func-returns-value]


GARBAGE: dict[str, Callable[[Path], None]] = {
    "empty": _text(""),
    "words": _text("not what was written"),
    "negative": _text("-1 -1"),
    "everybody": _text("-1 0"),
    "init": _text("1 1"),
    "huge": _text("9" * 400),
    "overflow": _text(f"{2**64} {2**64}"),
    "digits": _text("١٢ ٣"),
    "bytes": _text(b"\xff\xfe\x00\x80"),
    "nul": _text(b"\0" * 64),
    "half": _text('{"services": {"authz": {"pid": 1'),
    "list": _text("[]"),
    "deep": _text("[" * 200_000),
    "wrong": _text('{"services": [1], "api_url": 7, "edge-api": "x", "authz": -5, "redis": 1e99}'),
    "wrong inside": _text('{"services": {"authz": {"pid": "x", "address": 4}}, "authz": true}'),
    "directory": _directory,
    "dangling": _dangling,
    "pipe": os.mkfifo,
}


@pytest.fixture(params=GARBAGE)
def spoil(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Puts one kind of garbage in a file's place."""

    def put(path: Path) -> None:
        path.unlink(missing_ok=True)
        GARBAGE[request.param](path)

    return put


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home as a stopped suite leaves it."""
    monkeypatch.setenv("TOLLGATE_HOME", str(tmp_path / "home"))
    found = Home(tmp_path / "home")
    found.make()
    return found


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is none of ours."""
    with subprocess.Popen(["sleep", "60"], cwd="/") as running:
        yield running
        running.kill()


def tollgate(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    """(exit code, everything printed) of a command; an exception that is no exit fails the test."""
    monkeypatch.setattr(sys, "argv", ["tollgate", *arguments.split()])
    with pytest.raises(SystemExit) as end:
        main.main()
    printed = capsys.readouterr()
    return end.value.code, printed.out + printed.err


def test_case_B4_garbage_in_a_pid_file_is_removed_and_said(home: Home, spoil) -> None:
    """Whatever is in run/*.pid goes away, and one line names the file."""
    path = home.run / "postgres.pid"
    spoil(path)
    said: list[str] = []
    leftovers.end(home.run, said.append)
    assert not os.path.lexists(path)
    assert [f"{path} says nothing about a process of this suite: removed"] == said


@pytest.mark.parametrize("file", ["run/redis.pid", "dev.json", "ports.json", "suite.lock"])
@pytest.mark.parametrize("command", ["down", "status", "status --json", "logs"])
def test_case_B4_commands_without_a_suite(
    home: Home, spoil, file: str, command: str, monkeypatch, capsys
) -> None:
    """`down`, `status` and `logs` end in words, whatever the suite's own files hold."""
    spoil(home.root / file)
    code, printed = tollgate(command, monkeypatch, capsys)
    assert code in {0, 1, 3}
    assert code != 1 or command == "logs" or str(home.root / file) in printed


def test_case_B4_a_strangers_process_is_left_alone(home: Home, stranger, monkeypatch) -> None:
    """A note with a stranger's id and true start time makes nobody signal him."""
    sent: list[tuple[int, int]] = []
    write_private(home.run / "authz.pid", process.note(stranger.pid))
    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
        patched.setattr(leftovers, "_PATIENCE_S", 0.3)
        leftovers.end(home.run, lambda _text: None)
    assert [] == sent
    assert [] == list(home.run.glob("*.pid"))


def test_a_process_of_ours_is_ended(home: Home, monkeypatch) -> None:
    """One that works in this home and does not end by itself is killed: nothing is left."""
    monkeypatch.setattr(leftovers, "_PATIENCE_S", 0.3)
    with subprocess.Popen(["sleep", "60"], cwd=home.root) as ours:
        leftovers.remember(home.run, "audit", ours.pid)
        leftovers.end(home.run, lambda _text: None)
        assert -signal.SIGKILL == ours.wait(5)


def test_case_B4_a_held_lock_that_does_not_say_by_whom(home: Home, monkeypatch, capsys) -> None:
    """While a suite runs, garbage in its lock file stops no stranger: it is named."""
    with lock.SuiteLock(home.lock):
        assert os.getpid() == lock.holder(home.lock)
        for content in ("", "words", "1 1", str(os.getppid()), f"{os.getppid()} 5", "9" * 99):
            home.lock.write_text(content)
            assert lock.UNKNOWN == lock.holder(home.lock)
            code, printed = tollgate("down", monkeypatch, capsys)
            assert (1, True) == (code, f"kill {os.getpid()}" in printed)


def test_case_B4_a_running_suite_whose_description_is_spoilt(
    home: Home, spoil, monkeypatch, capsys
) -> None:
    """`status` of a running suite names a spoilt dev.json and what writes it again."""
    spoil(home.dev_json)
    with lock.SuiteLock(home.lock):
        code, printed = tollgate("status", monkeypatch, capsys)
    starting = home.dev_json.is_symlink()
    assert starting or (1, True, True) == (
        code,
        str(home.dev_json) in printed,
        "tollgate down" in printed,
    )


def test_spoilt_ports_are_chosen_anew(home: Home, spoil) -> None:
    """ports.json is a habit: garbage in it costs nothing but the habit."""
    spoil(home.ports_json)
    ports = Ports(home.ports_json)
    assert 0 < ports.port("authz") < 65536


def test_a_spoilt_secret_is_named(home: Home, spoil) -> None:
    """A secret is never replaced nor used when spoilt: the file is named, and how to go on."""
    path = home.secrets / "authz-password"
    spoil(path)
    with pytest.raises(Fault, match="authz-password") as fault:
        kept_secret(path)
    assert f"mv '{home.root}'" in fault.value.remedy


@pytest.mark.parametrize("name", ["authz.json", "audit.unlock", "router.unlock", "budget.json"])
def test_a_spoilt_keyring_is_named(home: Home, spoil, name: str, keyring_files) -> None:
    """A keyring that does not open stops the start, is named, and is left as it is."""
    for path, content in keyring_files.items():
        write_private(home.keyrings / path, content)
        (home.keyrings / path).chmod(0o400)
    spoil(home.keyrings / name)
    with pytest.raises(Fault, match=name.partition(".")[0]):
        keyrings.ensure(home.keyrings)


def test_a_directory_in_its_place_is_no_loose_mode(home: Home) -> None:
    """What is no file is put back from a copy: another mode would not mend it."""
    keyrings.ensure(home.keyrings)
    (home.keyrings / "router.unlock").unlink()
    (home.keyrings / "router.unlock").mkdir(mode=0o755)
    with pytest.raises(Fault, match=r"router\.unlock") as fault:
        keyrings.opened(home.keyrings, "router")
    assert fault.value.remedy.startswith("put router.json and router.unlock back from a copy")


def test_a_spoilt_keyring_has_no_versions(home: Home, spoil) -> None:
    """A rotation names a keyring that does not open, or lacks the key, and says what to do."""
    keyrings.ensure(home.keyrings)
    assert keyrings.encryption_versions(home.keyrings, "audit", "subject-keys") == [1]
    with pytest.raises(Fault, match=r"audit\.json has no key upstream-keys") as fault:
        keyrings.encryption_versions(home.keyrings, "audit", "upstream-keys")
    assert "from a copy" in fault.value.remedy
    spoil(home.keyrings / "audit.json")
    with pytest.raises(Fault, match=r"audit\.json") as fault:
        keyrings.encryption_versions(home.keyrings, "audit", "subject-keys")
    assert "from a copy" in fault.value.remedy or "chmod 0400" in fault.value.remedy


@pytest.mark.parametrize("name", ["router.json", "router.unlock"])
def test_a_keyring_that_others_can_read_is_refused(home: Home, name: str) -> None:
    """Both halves of it are private: the remedy is their mode, and no home is begun anew for it."""
    keyrings.ensure(home.keyrings)
    (home.keyrings / name).chmod(0o644)
    with pytest.raises(Fault, match=f"{name} can be read by others") as fault:
        keyrings.ensure(home.keyrings)
    assert f"chmod 0400 '{home.keyrings / name}'" == fault.value.remedy


@pytest.mark.parametrize("service", sorted(service_keys.KEYS))
def test_a_keyring_that_is_gone_is_not_made_anew_beside_data(home, service, keyring_files) -> None:
    """Its keys are in the log, in keys and in upstream keys: new ones would open none of them."""
    for path, content in keyring_files.items():
        write_private(home.keyrings / path, content)
        (home.keyrings / path).chmod(0o400)
    (home.root / "postgres" / "data").mkdir(parents=True)
    keyrings.ensure(home.keyrings)
    (home.keyrings / f"{service}.json").unlink()
    with pytest.raises(Fault, match=rf"{service}\.json is missing"):
        keyrings.ensure(home.keyrings)
    assert not (home.keyrings / f"{service}.json").exists()


@pytest.fixture(scope="module")
def keyring_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of good keyrings."""
    place = tmp_path_factory.mktemp("keyrings")
    keyrings.ensure(place)
    return {path.name: path.read_bytes() for path in place.iterdir()}


@pytest.fixture(scope="module")
def certificate_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of good certificates."""
    place = tmp_path_factory.mktemp("certificates")
    ensure(place, topology_file.packaged().identities, SystemClock())
    return {path.name: path.read_bytes() for path in place.iterdir()}


@pytest.mark.parametrize(
    "file",
    ["operator.toml", "certificates/ca.pem", "certificates/operator.pem",
     "certificates/operator-key.pem"],
)  # fmt: skip
def test_operator_commands_name_what_is_spoilt(
    home: Home, spoil, file: str, certificate_files, monkeypatch, capsys
) -> None:
    """A spoilt operator.toml or certificate is named, with the commands that make it anew."""
    for name, content in certificate_files.items():
        write_private(home.certificates / name, content)
    places = LocalPlaces(
        home, address=lambda _name: "127.0.0.1:1", metrics_address=lambda _name: "127.0.0.1:1"
    )
    operator = configs.document(topology_file.packaged(), places, "operator")
    write_private(home.operator_toml, toml_text.render(operator))
    spoil(home.root / file)
    code, printed = tollgate("tenant list", monkeypatch, capsys)
    assert code == 1
    assert str(home.root / file) in printed
    assert "tollgate up" in printed


def test_a_spoilt_certificate_is_made_anew(home: Home, certificate_files) -> None:
    """Certificates hold nothing that is lost: the next start makes what is broken."""
    for name, content in certificate_files.items():
        write_private(home.certificates / name, content)
    (home.certificates / "router.pem").write_text("-----BEGIN CERTIFICATE-----\nhalf")
    identities = topology_file.packaged().identities
    assert ["router"] == ensure(home.certificates, identities, SystemClock())


def test_a_home_that_is_a_file(tmp_path: Path, monkeypatch, capsys) -> None:
    """TOLLGATE_HOME names a file: that is said, by every command."""
    place = tmp_path / "file"
    place.write_text(json.dumps({}))
    monkeypatch.setenv("TOLLGATE_HOME", str(place))
    for command in ("up --detach", "up", "down", "status", "logs", "tenant list"):
        code, printed = tollgate(command, monkeypatch, capsys)
        assert code in {1, 3} or command == "down"
        assert str(place) in printed or command == "down"
