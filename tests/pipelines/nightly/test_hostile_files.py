"""A run over all hostile files: it ends well, each file has one outcome and a reason, and memory stays bounded."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from model_handlers.pack import Pack
from pipelines.telling import steps
from transforms.load_images import LoadImages

pytestmark = pytest.mark.slow

RUN_MEGABYTES, PROCESS_MEGABYTES = 400, 200  # what a run may grow by, and what the process that decodes may have


def peak_megabytes(process: int | str) -> float:
    """Returns the most memory that a process ever had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) / 1024


@pytest.fixture
def hostile_folder(hostile: Any, tmp_path: Path) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Returns a folder of them all, and what may become of each by name."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    expected = {file.name: file.outcomes for file in hostile.hostile_files()}
    for file in hostile.hostile_files():
        (folder / file.name).write_bytes(file.data)
    return str(folder), expected | hostile.write_names(folder)


def test_hostile_files_end_no_run(
    hostile: Any,
    hostile_folder: tuple[str, dict[str, tuple[str, ...]]],
    run_job: Any,
    photo_pack: Pack,
    output: Any,
    make_photo: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, expected = hostile_folder
    loads: list[LoadImages] = []

    def load(*args: Any, **options: Any) -> LoadImages:
        loads.append(LoadImages(*args, **options))
        return loads[-1]

    monkeypatch.setattr(steps, "LoadImages", load)
    good = Path(folder) / "folder.jpg" / "good.jpg"
    good.write_bytes(make_photo(0).data)
    limits = (f"--max-pixels={hostile.MAX_PIXELS}", f"--max-bytes={hostile.MAX_BYTES}", "--max-dead-letter-ratio=1")
    places = (f"--output={output.location}", f"--pack={photo_pack.location}", "--device=cpu")
    flags = ("--captions-per-photo=5", "--beam-width=2", "--max-words=20", *limits, *places)
    assert run_job(f"--input={good}", *flags)[0] == 0  # loads the networks
    before = peak_megabytes("self")

    code, _, errors = run_job(f"--input={folder}", *flags)
    assert code == 0, errors
    letters = {Path(row["uri"]).name: row for row in output.rows("dead_letters")}
    outcomes = {Path(row["uri"]).name: row["outcome"] for row in output.rows("ledger", 2)}
    assert outcomes.pop("good.jpg") == "unchanged"
    assert outcomes.keys() == expected.keys() and len(outcomes) > 600
    for name, outcome in outcomes.items():
        found = letters[name]["error"] if outcome == "dead_letter" else outcome
        assert found in expected[name], (name, found)
        assert outcome == "story" or letters[name]["message"], name
    assert sum(outcome == "story" for outcome in outcomes.values()) > 50

    processes = [process._process.pid for process in loads[-1].decoders.get()._idle]
    assert 1 <= len(processes) <= (os.cpu_count() or 1)
    grown, decoding = peak_megabytes("self") - before, max(map(peak_megabytes, processes))
    print(f"the run grew by {grown:.0f} MB at most, the process that decodes had {decoding:.0f} MB at most")
    assert grown < RUN_MEGABYTES and decoding < PROCESS_MEGABYTES
