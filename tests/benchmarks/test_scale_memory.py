"""Time and memory of a command, measured from outside: its children count, and its end is noticed at once."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.memory import PAGE_KB, parents, run_measured, tree, tree_memory

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells it there")
CHILD = "import time; held = bytearray(b'x') * (60 << 20); time.sleep(1.5)"
PARENT = f"""import subprocess, sys
print("hello")
sys.exit(subprocess.run([sys.executable, "-c", {CHILD!r}]).returncode + 7)"""


def test_a_tree_holds_all_below_and_no_others() -> None:
    assert tree({2: 1, 3: 2, 4: 2, 5: 4, 6: 1, 1: 0}, 2) == {2, 3, 4, 5}
    assert tree({}, 9) == {9}


def test_parents_and_memory_are_read_whatever_a_command_is_called(tmp_path: Path) -> None:
    for pid, parent, name, statm in (
        (10, 1, "python", "900 50 20"),
        (11, 10, "a ) b (", "800 7 3"),
        (12, 1, "x", "1 1 0"),
    ):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0")
        (tmp_path / str(pid) / "statm").write_text(f"{statm} 1 0 2 0\n")
        most = "" if pid == 11 else "VmHWM:\t    5000 kB\n"
        (tmp_path / str(pid) / "status").write_text(f"Name:\t{name}\nVmPeak:\t    9000 kB\n{most}VmRSS:\t 100 kB\n")
    (tmp_path / "13").mkdir()  # it has just ended
    (tmp_path / "meminfo").write_text("")
    assert parents(tmp_path) == {10: 1, 11: 10, 12: 1}
    assert tree_memory(10, tmp_path) == (57 * PAGE_KB, 34 * PAGE_KB, 5000)
    assert tree_memory(99, tmp_path) == (0, 0, 0)


def test_children_count_and_the_exit_code_is_told(tmp_path: Path) -> None:
    used = run_measured([sys.executable, "-c", PARENT], tmp_path, os.environ, tmp_path / "log")
    assert used.exit == 7 and (tmp_path / "log").read_text() == "hello\n"
    assert used.seconds > 1.5 and used.cpu_seconds > 0
    assert used.memory_kb > used.own_kb > 60 << 10
    assert 60 << 10 < used.largest_kb < used.memory_kb, "both together hold more than either"
