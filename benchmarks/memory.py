"""What a command takes: seconds, seconds of processors, and the most memory that it and its children hold at once."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PERIOD = 0.2  # seconds between looks; a look takes some milliseconds
PROCESSES = Path("/proc")
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True)
class Used:
    """What a command took.

    Attributes:
        exit: its exit code.
        seconds: from its start to its end.
        cpu_seconds: of the processors, for it and those of its children that it waited for.
        memory_kb: resident at most, at once in all its processes, as /proc/PID/statm told every PERIOD seconds; what
            processes share is counted in each.
        own_kb: the same without pages of files that are mapped, which the system may take back.
        largest_kb: resident at most in the largest process, by the system's own high-water mark (VmHWM); rusage's would
            be that of the process that started it, where that is larger.
    """

    exit: int
    seconds: float
    cpu_seconds: float
    memory_kb: int
    own_kb: int
    largest_kb: int


def run_measured(command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> Used:
    """Returns what a command took, after its end; what it prints is in `log`."""
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
    """Looks at a process and its children again and again, and keeps the most memory that they held."""

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

    They are what all hold, what of it is not of mapped files, and the most that one process has ever held.
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
