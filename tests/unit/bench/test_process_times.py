import os

import pytest

from tests.bench import process_times
from tests.bench.process_times import ProcessGoneError, ProcessStat, parse_stat

_STAT = (
    "4711 ({name}) S 42 4711 4711 0 -1 4194560 900 800 7 6 "
    "130 25 11 4 20 0 9 0 123456 987654321 2048 18446744073709551615 1 1 0 0 0 0 0 0 0"
)


@pytest.mark.parametrize("name", ["python", "a b", "postgres: io) S 1 (x", ")"])
def test_stat_is_read_whatever_the_name(name: str) -> None:
    """The name of a program, which it may choose itself, cannot shift the fields."""
    assert ProcessStat(4711, 42, 130 + 25 + 11 + 4) == parse_stat(_STAT.format(name=name))


def test_tree_holds_descendants_only() -> None:
    """Children of children count; siblings and parents do not."""
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1}
    table = {pid: ProcessStat(pid, parent, 100) for pid, parent in parents.items()}
    assert {10, 11, 12} == process_times.tree(table, 10)
    assert 300 / process_times.TICKS_PER_SECOND == process_times.cpu_seconds(table, 10)


def test_gone_process_is_an_error() -> None:
    """A process that ended in the middle of a run does not pass for one that used nothing."""
    with pytest.raises(ProcessGoneError, match="process 10"):
        process_times.cpu_seconds({}, 10)


def test_machine_counts_work_and_not_waiting() -> None:
    """Idle and waiting for the disk are not busy; time taken by the hypervisor stands apart."""
    times = process_times.parse_machine("cpu  100 10 40 9999 777 1 2 33 0 0\ncpu0 1 2 3\n")
    ticks = process_times.TICKS_PER_SECOND
    assert (153 / ticks, 33 / ticks) == (times.busy, times.stolen)


def test_resident_pages_are_megabytes() -> None:
    """The second number of statm is what stands in memory."""
    expected = 512 * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert expected == process_times.parse_resident_mb("9000 512 300 1 0 800 0\n")


def test_this_process_is_found() -> None:
    """The parser reads what this kernel writes."""
    table = process_times.read_table()
    assert os.getppid() == table[os.getpid()].parent
    assert process_times.resident_mb(os.getpid()) > 1
