"""Resources of a command: seconds, processor seconds, and the peak memory of the command and its children."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PERIOD = 0.2  # seconds between samples; a sample takes a few milliseconds
PROCESSES = Path("/proc")
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True)
class Used:
    """Time and memory that a command took.

    Attributes:
        exit: exit code.
        seconds: time from its start to its end.
        cpu_seconds: processor time of the command and of the children that it waited for.
        memory_kb: peak resident memory of all its processes together, from /proc/PID/statm every PERIOD seconds; shared
            memory is counted in each process.
        own_kb: the same without mapped pages of files, which the system may reclaim.
        largest_kb: peak resident memory of the largest process, from the system's high-water mark (VmHWM); rusage would
            report that of the parent process if it is larger.
    """

    exit: int
    seconds: float
    cpu_seconds: float
    memory_kb: int
    own_kb: int
    largest_kb: int


def run_measured(command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> Used:
    """Returns the time and memory of a command after its end; its output is in `log`."""
    begun = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    looks = _Looks(process.pid)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        raise
    finally:
        looks.end()
    seconds = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return Used(process.returncode, seconds, cpu, *looks.most)


class _Looks:
    """Samples the memory of a process and its children repeatedly, and keeps the peak."""

    def __init__(self, pid: int) -> None:
        self.most = (0, 0, 0)
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_often, daemon=True)
        self._thread.start()

    def _look_often(self) -> None:
        while not self._over.wait(PERIOD):
            memory, own, largest = map(max, self.most, tree_memory(self._pid))
            self.most = memory, own, largest

    def end(self) -> None:
        self._over.set()
        self._thread.join()


def tree_memory(pid: int, processes: Path = PROCESSES) -> tuple[int, int, int]:
    """Returns three figures, in kB, of the memory of a process and all processes below it.

    They are the memory of all, the part of it that is not of mapped files, and the peak of the largest process.
    """
    memory = own = largest = 0
    for one in tree(parents(processes), pid):
        try:
            _, resident, shared, *_ = map(int, (processes / str(one) / "statm").read_text().split())
            status = (processes / str(one) / "status").read_text("utf-8", "replace")
        except OSError:  # it has ended
            continue
        memory += resident * PAGE_KB
        own += (resident - shared) * PAGE_KB
        if most := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):  # one that is ending has none
            largest = max(largest, int(most[1]))
    return memory, own, largest


def parents(processes: Path = PROCESSES) -> dict[int, int]:
    """Returns the parent of each process, by their numbers."""
    found = {}
    for name in os.listdir(processes):
        if name.isdecimal():
            try:
                stat = (processes / name / "stat").read_text("utf-8", "replace")
            except OSError:
                continue
            found[int(name)] = int(stat.rpartition(")")[2].split()[1])  # a command's name may hold anything but ")"
    return found


def tree(parent_of: Mapping[int, int], pid: int) -> set[int]:
    """Returns a process and all below it."""
    found, fresh = set[int](), {pid}
    while fresh:
        found |= fresh
        fresh = {one for one, parent in parent_of.items() if parent in fresh} - found
    return found
