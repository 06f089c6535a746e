"""Another key for the log: both sign until every verifier has the new one's line, then it alone.

Audit does the work at SIGHUP (tollgate_audit.key_change): a reload that is done is published. The
keys are in a file, or are versions of one at Vault.
"""

from pathlib import Path

from tollgate_cli import chosen_keyring, state_file
from tollgate_cli.private_file import write_private
from tollgate_cli.rotation.log_keys import AUDIT, KEY, FileKeys, LogKeys, VaultKeys
from tollgate_cli.rotation.running import Running


def begin(running: Running, token_file: Path | None = None) -> str:
    """Have a newer key sign beside the one that is there; its verifier line. Raises Fault.

    Interrupted, or done again before finish(), it goes on where it was. `token_file`: an operator's
    token, where the keys are in Vault; else $VAULT_TOKEN.
    """
    keys = _keys(running, token_file)
    *older, version = keys.versions()
    if not older:
        version = keys.add()
    running.configure(AUDIT)
    running.reload(AUDIT)
    return keys.line(version)


def finish(running: Running, token_file: Path | None = None) -> list[str]:
    """Have the newest key sign alone, and end the others; their verifier lines. Raises Fault."""
    keys = _keys(running, token_file)
    # Whatever was interrupted before: after this, nothing waits that an older key has marked.
    running.configure(AUDIT)
    running.reload(AUDIT)
    *older, newest = keys.versions()
    former = [keys.line(version) for version in reversed(older)]
    kept = running.home.former_log_keys
    lines = [*former, *state_file.lines(kept)]
    write_private(kept, "".join(f"{line}\n" for line in dict.fromkeys(lines)))
    running.configure(AUDIT, {KEY: [newest]})
    running.reload(AUDIT)
    # Last: a process that ends meanwhile finds all that its configuration names.
    if older:
        keys.end(older)
    return former


def _keys(running: Running, token_file: Path | None) -> LogKeys:
    vault = chosen_keyring.in_vault(running.home)
    return FileKeys(running) if vault is None else VaultKeys(running, vault, token_file)
