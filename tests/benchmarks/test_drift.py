"""The table of drifts: cosines, and what is counted as another caption or story."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.drift import Made, compare, cosines, main, table


def row(uri: str, story: str, cost: float, *captions: str) -> dict[str, Any]:
    matches = [{"caption": caption, "similarity": 0.5} for caption in captions]
    return {"uri": uri, "story": story, "cost": cost, "words": 3, "captions": matches}


def test_cosines_by_hand() -> None:
    one, other = np.array([[1, 0], [1, 1]], np.float32), np.array([[2, 0], [1, -1]], np.float32)  # [2, 2], [2, 2]
    np.testing.assert_allclose(cosines(one, other), [1, 0], atol=1e-12)


def test_a_precision_beside_float32() -> None:
    """Of two photos one has its captions in another order; of its two stories one is another."""
    vectors, turned = np.eye(2), np.array([[1.0, 0], [0.6, 0.8]])  # [2, 2], [2, 2]
    exact = Made(vectors, vectors, vectors, [row("a", "x", 4, "p", "q"), row("a", "y", 4, "p", "q"), row("b", "z", 8)])
    made = Made(vectors, turned, vectors, [row("a", "x", 4, "q", "p"), row("a", "Y", 12, "q", "p"), row("b", "z", 8.4)])
    same = "1.000000, 1.000000"
    wanted = ["bfloat16", same, "0.800000, 0.900000", same, "1 of 2", "1 of 3", "2.0333", "5.0e-02"]
    assert compare("bfloat16", made, exact) == wanted
    assert compare("float32", exact, exact)[4:] == ["0 of 2", "0 of 3", "1.3333", "0.0e+00"]
    lines = table([compare("bfloat16", made, exact)]).splitlines()
    assert [line.count("|") for line in lines] == [9, 9, 9] and "| bfloat16 | 1.000000" in lines[2]


def test_what_cannot_be_measured_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    assert main(["--photos", str(tmp_path), "--device", "cpu", "--precision", "tf32"]) == 2
    assert "tf32 needs a CUDA device" in capsys.readouterr().err
    assert main(["--photos", str(tmp_path), "--device", "cpu", "--precision", "bfloat16"]) == 2
    assert "holds no photo" in capsys.readouterr().err
