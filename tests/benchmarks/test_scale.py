"""The scale benchmark: lines through points, what is measured anew, and a tiny run of the whole."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import scale
from benchmarks.scale import check_photos, counts
from benchmarks.scale_points import (
    ONE_PIPELINE,
    SEARCH,
    WAVES,
    Point,
    PointError,
    Results,
    find_photos,
    link_photos,
    points,
    remove_left,
)
from benchmarks.scale_report import MEMORY, SECONDS, draw, fit, number, report, rows, select

SAMPLES = Path(__file__).parents[2] / "samples"
FACTS = {
    "processor": "a processor",
    "cores": 2,
    "threads": "1",
    "python": "3.11",
    "versions": {"torch": "2.6", "numpy": "2.0"},
    "beam_width": 5,
    "pack_digest": "0123456789abcdef",
}


def test_a_line_goes_through_points_of_its_own() -> None:
    line = fit([1, 2, 4], [5, 7, 11])
    assert line is not None
    np.testing.assert_allclose([line.slope, line.start, line.at(10)], [2, 3, 23])
    np.testing.assert_allclose(line.residuals, 0, atol=1e-12)


def test_a_line_is_the_nearest_by_squares() -> None:
    """By hand: of (0, 0), (1, 3), (2, 0) it is flat at 1."""
    line = fit([0, 1, 2], [0, 3, 0])
    assert line is not None
    np.testing.assert_allclose([line.slope, line.start, *line.residuals], [0, 1, -1, 2, -1], atol=1e-12)


@pytest.mark.parametrize("some", [[], [5], [5, 5]])
def test_no_line_goes_through_one_count(some: list[int]) -> None:
    assert fit(some, [1.0] * len(some)) is None


def test_counts_are_read() -> None:
    assert counts("7091, 100,1_000,100") == [100, 1000, 7091]
    assert counts("") == counts(" ") == []
    for text in ("0", "1,x", "-3", "1,,2", "1.5"):
        with pytest.raises(argparse.ArgumentTypeError, match="no whole number"):
            counts(text)


def test_points_are_of_each_way_and_the_quick_ones_first() -> None:
    assert points([5, 2, 5], [9]) == [
        Point("captions", SEARCH, 9),
        Point("photos", WAVES, 2),
        Point("photos", ONE_PIPELINE, 2),
        Point("photos", WAVES, 5),
        Point("photos", ONE_PIPELINE, 5),
    ]


def result(way: str, count: int, seconds: float, memory_kb: int, against: str = "photos") -> dict[str, Any]:
    memory = {"memory_kb": memory_kb, "own_kb": memory_kb // 2, "largest_kb": memory_kb}
    return {"against": against, "way": way, "count": count, "seconds": seconds, "cpu_seconds": 2 * seconds} | memory


RESULTS = [
    *(result(WAVES, count, 10 + count / 10, memory) for count, memory in ((5000, 2048), (100, 0), (1000, 2048))),
    *(result(ONE_PIPELINE, count, 10 + count / 10, 1024 + 50 * count) for count in (100, 1000, 5000)),
    *(result(SEARCH, count, count / 1e6, 4 * count, "captions") for count in (10_000, 600_000)),
]


def test_memory_of_waves_is_compared_where_waves_are_full() -> None:
    assert select(RESULTS, "photos", WAVES, MEMORY) == ([1000, 5000], [2.0, 2.0])
    assert select(RESULTS[:2], "photos", WAVES, MEMORY) == ([100, 5000], [0.0, 2.0])
    assert select(RESULTS, "photos", WAVES, SECONDS)[0] == [100, 1000, 5000]
    assert select(RESULTS, "photos", ONE_PIPELINE, MEMORY)[0] == [100, 1000, 5000]


def test_rows_tell_slopes_in_small_units() -> None:
    found = {row[:3]: row[3:] for row in rows(RESULTS)}
    assert found["photos", WAVES, "time"] == (
        "100 ms",
        "10 s",
        found["photos", WAVES, "time"][2],
        "100 to 5,000 (3)",
        "",
    )
    each, start, _, span, wanted = found["photos", ONE_PIPELINE, "memory"]
    assert (each, start, span, wanted) == ("50 kB", "1 MB", "100 to 5,000 (3)", "at most 60")
    assert found["photos", WAVES, "memory"][3:] == ("1,000 to 5,000 (2)", "flat")
    assert abs(float(found["photos", WAVES, "memory"][0].removesuffix(" kB"))) < 1e-9
    assert found["captions", SEARCH, "time of a batch of 64"][0] == "1 µs"
    assert found["captions", SEARCH, "memory"][0] == "4 kB"
    assert rows(RESULTS[:1]) == []


def test_numbers_have_three_digits() -> None:
    assert [number(value) for value in (0, 0.012345, 1.5, 99.94, 1234.5)] == ["0", "0.0123", "1.5", "99.9", "1,234"]


def test_the_report_names_the_machine_and_its_pictures() -> None:
    text = report(RESULTS, FACTS)
    assert "a processor, 2 cores, OMP_NUM_THREADS: 1. Python 3.11, torch 2.6, numpy 2.0." in text
    assert "pack 0123456789ab." in text and "| photos | one pipeline | memory | 50 kB |" in text


def test_pictures_are_drawn_with_few_points_too(tmp_path: Path) -> None:
    for some in (RESULTS, RESULTS[:1], []):
        files = draw(some, tmp_path)
        assert [file.name for file in files] == ["scale_time.png", "scale_memory.png"]
        for file in files:
            assert file.read_bytes().startswith(b"\x89PNG")
            file.unlink()


def test_smaller_sets_are_in_larger_ones_and_no_texts(tmp_path: Path) -> None:
    photos = find_photos(SAMPLES)
    assert len(photos) == len(list(SAMPLES.glob("*.jpg"))) and photos != sorted(photos)
    link_photos(photos[:3], tmp_path / "three")
    links = sorted((tmp_path / "three").iterdir())
    assert [str(link.resolve()) for link in links] == photos[:3]
    assert [link.name for link in links] == ["000000.jpg", "000001.jpg", "000002.jpg"]


def test_results_are_kept_and_go_on(tmp_path: Path) -> None:
    file, wanted = tmp_path / "scale.json", points([100, 1000], [])
    results = Results(file, FACTS)
    assert list(results.missing(wanted)) == wanted
    results.add(result(WAVES, 100, 1, 1))
    assert [point.name for point in Results(file, FACTS).missing(wanted)] == [
        "100 photos, one pipeline",
        "1000 photos, waves",
        "1000 photos, one pipeline",
    ]
    with pytest.raises(PointError, match="measured with other cores, beam_width; name another --output"):
        Results(file, FACTS | {"beam_width": 50, "cores": 4})


def test_captions_may_be_measured_before_there_are_photos(tmp_path: Path) -> None:
    file = tmp_path / "scale.json"
    for photos in (None, "/a", None, "/a"):
        results = Results(file, FACTS | {"photos": photos})
        results.add(result(SEARCH, 100, 1, 1, "captions"))
    assert results.facts["photos"] == "/a" and len(results.points) == 4
    with pytest.raises(PointError, match="other photos;"):
        Results(file, FACTS | {"photos": "/b"})


def test_killed_points_leave_nothing_for_long(tmp_path: Path) -> None:
    for name in ("point-abc/pack", "logs"):
        (tmp_path / name).mkdir(parents=True)
    remove_left(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_too_few_photos_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_photos(None, [])
    with pytest.raises(PointError, match="name a folder"):
        check_photos(None, [1])
    assert scale.main([f"--photos={SAMPLES}", f"--output={tmp_path / 'out'}", "--counts=3,100"]) == 2
    assert "has 11 photos" in capsys.readouterr().err
    assert scale.main([f"--output={tmp_path / 'out'}", "--counts=", "--pack=/no/pack"]) == 2
    assert "/no/pack" in capsys.readouterr().err


@pytest.mark.slow
def test_a_tiny_run_goes_on_where_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [f"--photos={SAMPLES}", f"--output={tmp_path}"]
    assert scale.main([*flags, "--counts=1", "--captions=200,300"]) == 0
    assert "4 of 4: 1 photos, one pipeline: " in capsys.readouterr().out
    assert scale.main([*flags, "--counts=1,3", "--captions=200"]) == 0
    assert "2 of 2: 3 photos, one pipeline: " in capsys.readouterr().out
    found = json.loads((tmp_path / "scale.json").read_text())["points"]
    assert [(one["way"], one["count"]) for one in found] == [
        (SEARCH, 200),
        (SEARCH, 300),
        *((way, count) for count in (1, 3) for way in (WAVES, ONE_PIPELINE)),
    ]
    assert all(one["memory_kb"] > one["own_kb"] > 50_000 and one["cpu_seconds"] > 0 for one in found)
    assert [one["outcomes"] for one in found[2:]] == [{"story": 1}] * 2 + [{"story": 3}] * 2
    assert len(found[0]["batch_seconds"]) == 7 and found[0]["seconds"] < found[0]["whole_seconds"]
    assert "| photos | one pipeline | memory |" in (tmp_path / "scale.md").read_text()
    assert (tmp_path / "scale_time.png").exists() and (tmp_path / "scale_memory.png").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["home", "logs"], "nothing is left"
