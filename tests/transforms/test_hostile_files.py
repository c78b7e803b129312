"""Hostile files one by one: a sample of them, each with its outcome and reason, in one process of bounded memory."""

import re
from pathlib import Path
from typing import Any

import pytest

from transforms.photo_decoders import Decoders, decoder_settings
from transforms.photo_errors import PhotoError

RECIPE = {"name": "resize", "resize": 40, "crop": 32, "channels": "RGB", "mean": [0, 0, 0], "scale": [1, 1, 1]}
STEP = 19  # every so many files are in the sample


@pytest.mark.parametrize(("decoding", "preprocessing"), [("strict", "pack"), ("strict", "fast"), ("original", "pack")])
def test_a_sample_of_hostile_files(hostile: Any, decoding: str, preprocessing: str) -> None:
    files = hostile.hostile_files()
    assert len({file.name for file in files}) == len(files) >= 600
    limits = (hostile.MAX_PIXELS, hostile.MAX_BYTES)
    made = Decoders(decoder_settings(RECIPE, decoding, *limits, preprocessing=preprocessing))
    sample = files[::STEP]
    assert len(sample) >= 30
    seen = set()
    for file in sample:
        try:
            made.decode(file.data)
            outcome = hostile.STORY
        except PhotoError as error:
            outcome = type(error).__name__
            assert str(error), file.name
        # the original takes what is there of a truncated file
        assert outcome in file.outcomes or decoding == "original", (file.name, outcome)
        seen.add(outcome)
        (process,) = made._idle
        seen.add(process._process.pid)
    assert {hostile.STORY, "TruncatedImage", "TooManyPixels"} < seen
    assert len([one for one in seen if isinstance(one, int)]) == 1  # none ended the process
    assert peak_megabytes(process._process.pid) < 200
    made.close()


def peak_megabytes(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024
