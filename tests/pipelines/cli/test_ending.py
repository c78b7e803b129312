"""The end of a process: code, output and exit handlers, whatever daemon threads are left."""

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, threading
from pipelines.cli.ending import end_process
atexit.register(print, "handled")
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("told")
end_process({code})
print("never")
"""


@pytest.mark.parametrize("code", [0, 3])
def test_output_handlers_and_code_are_kept(code: int) -> None:
    command = [sys.executable, "-c", PROGRAM.format(code=code)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "told\nhandled\n", "")
