"""The worm seam: one suite for every implementation."""

import stat

import pytest

from tollgate_audit.worm.base import Worm, WormConflict, WormFault
from tollgate_audit.worm.directory import LocalWorm
from tollgate_tlog.tiles import Tile


@pytest.fixture
async def worm(tmp_path) -> Worm:
    store = LocalWorm(tmp_path / "log")
    await store.open()
    return store


async def test_a_locked_path_is_written_once(worm):
    """The same bytes again are fine, other bytes are a conflict and change nothing."""
    await worm.put_once("tile/0/000", b"one")
    await worm.put_once("tile/0/000", b"one")
    with pytest.raises(WormConflict):
        await worm.put_once("tile/0/000", b"two")
    assert await worm.get("tile/0/000") == b"one"


async def test_a_mutable_path_is_replaced(worm):
    """The newest checkpoint and partial tiles may change."""
    for path in ("checkpoint", "tile/entries/000.p/3"):
        await worm.put_mutable(path, b"one")
        await worm.put_mutable(path, b"two")
        assert await worm.get(path) == b"two"


async def test_a_path_has_one_nature(worm):
    """A locked path cannot be written as mutable, nor the other way round, nor be no path at all."""
    for path in ("tile/0/000", "tile/entries/x001/000", "checkpoints/7"):
        with pytest.raises(ValueError, match="locked"):
            await worm.put_mutable(path, b"")
    for path in ("checkpoint", "tile/0/000.p/3"):
        with pytest.raises(ValueError, match="not a locked"):
            await worm.put_once(path, b"")
    for path in ("../checkpoint", "/etc/passwd", "checkpoints/07", "checkpoints/../x", "tile/0/0"):
        with pytest.raises(ValueError, match="not a"):
            await worm.get(path)


async def test_what_is_absent_is_none_and_paths_are_listed(worm):
    """Reading what is not there is an answer, not a fault."""
    assert await worm.get("checkpoints/1") is None
    assert await worm.paths("checkpoints") == []
    for size in (10, 9):
        await worm.put_once(f"checkpoints/{size}", b"x")
    assert await worm.paths("checkpoints") == ["checkpoints/10", "checkpoints/9"]


async def test_only_partials_are_dropped(worm, tmp_path):
    """Dropping the partial forms of a tile leaves the full one, whatever is asked for."""
    await worm.put_once("tile/0/000", b"full")
    await worm.put_mutable("tile/0/000.p/3", b"x")
    await worm.put_mutable("tile/0/000.p/7", b"x")
    stray = tmp_path / "log/tile/0/000.p/notes"
    stray.write_bytes(b"not a tile")
    await worm.drop_partials(Tile(0, 0))
    assert [path.name for path in stray.parent.iterdir()] == ["notes"]
    stray.unlink()
    await worm.drop_partials(Tile(0, 0))
    await worm.drop_partials(Tile(0, 0))
    assert await worm.paths("tile/0") == ["tile/0/000"]
    assert await worm.get("tile/0/000") == b"full"


async def test_the_directory_is_read_only_and_survives_a_killed_writer(tmp_path):
    """Locked files are 0444 with one link; scratch of a dead process is cleared at open."""
    worm = LocalWorm(tmp_path)
    await worm.open()
    await worm.put_once("checkpoints/1", b"x")
    status = (tmp_path / "checkpoints/1").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_nlink) == (0o444, 1)
    (tmp_path / ".tmp/123-0").write_bytes(b"half")
    await LocalWorm(tmp_path).open()
    assert list((tmp_path / ".tmp").iterdir()) == []


async def test_a_fault_of_the_disk_is_a_fault(tmp_path):
    """What the system refuses is a WormFault that carries no path of the host."""
    worm = LocalWorm(tmp_path / "log")
    await worm.open()
    (tmp_path / "log/tile").write_bytes(b"a file where a folder should be")
    with pytest.raises(WormFault) as fault:
        await worm.put_once("tile/0/000", b"x")
    assert str(tmp_path) not in str(fault.value)
