"""Deadlines: photos that fit are processed, the rest is deferred to the next run, and the commit is in time."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError, check_config
from model_handlers.captions import CaptionHandler
from model_handlers.features import FeatureHandler
from model_handlers.pack import Pack
from model_handlers.stories import StoryHandler
from pipelines.nightly import deadlines
from pipelines.nightly.deadlines import deadline_of, end_of_processing, estimate, waves_in_time
from pipelines.nightly.main_job import new_run
from pipelines.nightly.remote import run_single
from pipelines.tables.commits import Run
from pipelines.telling.settings import resolve
from pipelines.telling.steps import make_steps
from transforms import lateness
from transforms.records import Listing

SAMPLES = Path(__file__).parents[3] / "samples"
QUICK = ("--captions-per-photo=5", "--beam-width=2", "--max-words=10", "--device=cpu")
STARTED = datetime(2026, 7, 1, 23, 0, tzinfo=UTC)


def vectors(count: int) -> list[tuple[str, np.ndarray]]:
    draw = np.random.RandomState(1)
    return [(f"photo {place}", draw.rand(4096).astype("f4")) for place in range(count)]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sets this machine's clock to a zone with summer time."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "started", "due"),
    [
        ("5h", STARTED, STARTED + timedelta(hours=5)),
        ("0s", STARTED, STARTED),
        ("90m", STARTED, STARTED + timedelta(minutes=90)),
        ("06:30", STARTED, datetime(2026, 7, 2, 4, 30, tzinfo=UTC)),  # it is 01:00 in summer
        ("01:00", STARTED, datetime(2026, 7, 2, 23, 0, tzinfo=UTC)),  # now is over
        ("01:01", STARTED, datetime(2026, 7, 1, 23, 1, tzinfo=UTC)),
        ("06:30", datetime(2026, 10, 24, 20, 0, tzinfo=UTC), datetime(2026, 10, 25, 5, 30, tzinfo=UTC)),  # winter came
    ],
)
def test_ages_and_clock_times(zone: None, text: str, started: datetime, due: datetime) -> None:
    assert deadline_of(text, started) == due


@pytest.mark.parametrize("value", ["5", "5 hours", "24:00", "6:30", "-5h", "soon", "", 1350, 5.0, True])
def test_values_that_are_not_times_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        check_config({"deadline": value})
    (problem,) = raised.value.problems
    assert problem.startswith(f"deadline = {value!r}: is not a time; write 5h, 90m")
    assert ("quoted" in problem) == isinstance(value, int)


def test_the_commit_is_counted_in(output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(output.location, "night", "", {}, "", {}, 0.25)
    assert end_of_processing(run) is None
    run = dataclasses.replace(run, deadline=STARTED.isoformat())
    monkeypatch.setattr(deadlines, "read_all_manifests", lambda _: time.sleep(0.1))
    for outcomes in (0, 1_000_000):
        end = end_of_processing(run, outcomes)
        assert end is not None
        assert 1.4 <= (STARTED - end).total_seconds() - 2e-5 * outcomes < 3


def tasks(count: int) -> list[Any]:
    return [(Listing(str(place), 1, "1"), None) for place in range(count)]


class Clock:
    """A clock that only work moves on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self, zone: Any) -> datetime:
        return STARTED + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Returns the clock that waves are measured by."""
    clock = Clock()
    monkeypatch.setattr(deadlines, "datetime", clock)
    monkeypatch.setattr(deadlines, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("seconds", "left", "told"),
    [
        ([20, 10, 10, 10], None, 4),
        ([20, 10, 10, 10], 0, 0),
        ([20, 10, 10, 10], 10, 1),  # of the first nothing is known
        ([20, 10, 10, 10], 42, 1),  # 20 + (1 + 22) by the first
        ([20, 10, 10, 10], 43.5, 3),  # then 30 + (1 + 11) and, by the second, 40 + 12 does not fit
        ([20, 10, 10, 10], 53, 4),
        ([20, 10, 10, 2], 51, 3),
    ],
)
def test_no_wave_starts_that_will_not_fit(clock: Clock, seconds: list[int], left: float | None, told: int) -> None:
    waves = [tasks(5)] * 4
    late: list[Any] = []
    end = None if left is None else STARTED + timedelta(seconds=left)
    begun = 0
    for wave in waves_in_time(waves, end, late):
        assert wave == (waves[begun] if told else [])
        clock.seconds += seconds[begun]
        begun += 1
    assert begun == max(told, 1)
    assert late == [task for wave in waves[told:] for task in wave]


def test_an_empty_night_has_its_wave_after_the_deadline_too(clock: Clock) -> None:
    late: list[Any] = []
    assert list(waves_in_time([[]], STARTED - timedelta(days=1), late)) == [[]]
    assert late == []


def test_estimates_forget_the_loading_of_networks_and_old_waves() -> None:
    assert estimate(500, []) == timedelta(0)
    assert estimate(10, [1.0]) == timedelta(seconds=12)
    assert estimate(10, [9.0, 1.0, 2.0]) == timedelta(seconds=23)
    assert estimate(10, [9.0, 9.0, 1.0, 2.0, 1.0]) == timedelta(seconds=23)


@pytest.fixture
def tell(run_job: Any, write_features: Any, output: Any, story_pack: Pack) -> Callable[..., tuple[int, str, str]]:
    """Returns a function that runs the main job over pairs of uri and vector."""

    def run(pairs: Any, *options: str) -> tuple[int, str, str]:
        places = (f"--features={write_features(pairs)}", f"--output={output.location}", f"--pack={story_pack.location}")
        return run_job(*places, *QUICK, *options)

    return run


def test_waves_that_do_not_fit_are_deferred_to_the_next_run(
    tell: Any, output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(*_: Any) -> Any:
        raise AssertionError("nothing is told after the deadline")

    pairs = [*vectors(5), vectors(1)[0]]
    with monkeypatch.context() as patch:
        patch.setattr(CaptionHandler, "infer", forbid)
        code, printed, errors = tell(pairs, "--deadline=0s", "--style=romance,swift", "--wave-size=2")
    assert code == 0, errors
    assert "10 deferred" in printed and "left for a later run" in printed
    assert output.outcomes() == {"deferred": 10, "repeated": 2}
    (manifest,) = output.manifests
    assert manifest["deadline"] == manifest["started"] and manifest["settings"]["deadline"] == "0s"
    code, printed, _ = tell(pairs, "--deadline=1h", "--style=romance,swift", "--wave-size=2")
    assert code == 0 and "deferred" not in printed
    assert output.outcomes(2) == {"story": 10, "repeated": 2}
    assert tell(pairs, "--deadline=0s", "--style=romance,swift")[0] == 0
    assert output.outcomes(3) == {"unchanged": 10, "repeated": 2}


@pytest.mark.slow
def test_a_slow_run_ends_in_time(tell: Any, output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    infer = StoryHandler.infer

    def slowly(self: Any, batch: Any, model: Any) -> Any:
        time.sleep(0.5 * len(batch))
        return infer(self, batch, model)

    monkeypatch.setattr(StoryHandler, "infer", slowly)
    code, _, errors = tell(vectors(60), "--deadline=15s", "--wave-size=3", "--batch-size=1")
    assert code == 0, errors
    (manifest,) = output.manifests
    over = datetime.fromisoformat(manifest["committed"]) - datetime.fromisoformat(manifest["deadline"])
    assert timedelta(seconds=-14) < over < timedelta(seconds=1)
    found = output.outcomes()
    assert found["story"] >= 3 and found["deferred"] >= 10 and found.total() == 60
    rows = output.rows("stories")
    assert {row["uri"] for row in rows} == {row["uri"] for row in output.rows("ledger") if row["outcome"] == "story"}


class LateAfter(datetime):
    """A clock that passes the deadline after so many looks."""

    looks = 0

    @classmethod
    def now(cls, zone: Any = None) -> Any:
        cls.looks -= 1
        return datetime.now(zone) + timedelta(days=0 if cls.looks >= 0 else 365)


@pytest.mark.parametrize("name", ["waves", "single"])
def test_photos_that_the_second_check_stops_are_deferred(
    name: str, photo_pack: Pack, output: Any, run_job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five looks at the clock: four photos before features, one style of the first story."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for place in range(4):
        (photos / f"{place}.jpg").write_bytes((SAMPLES / "cat.jpg").read_bytes() + bytes(place))  # none is a copy
    (photos / "notes.txt").write_text("no photo")
    seen: list[int] = []
    extract = FeatureHandler.infer

    def note(self: Any, batch: Any, model: Any) -> Any:
        seen.append(len(batch))
        return extract(self, batch, model)

    monkeypatch.setattr(FeatureHandler, "infer", note)
    monkeypatch.setattr(LateAfter, "looks", 5)

    def run(deadline: str) -> None:
        if name == "waves":
            places = (f"--input={photos}", f"--output={output.location}", f"--pack={photo_pack.location}")
            code, _, errors = run_job(*places, *QUICK, "--style=romance,swift", f"--deadline={deadline}")
            assert code == 0, errors
            return
        config = {"input": [str(photos)], "output": output.location, "pack": photo_pack.location, "device": "cpu"}
        small = {"captions_per_photo": 5, "beam_width": 2, "max_words": 10, "style": "romance,swift"}
        settings = resolve(check_config(config | small | {"deadline": deadline}))
        night = new_run(settings)
        parts = make_steps(settings, {}, deadline=end_of_processing(night))
        run_single(night, settings, parts, PipelineOptions(["--runner=FnApiRunner"]))

    with monkeypatch.context() as patch:
        patch.setattr(lateness, "datetime", LateAfter)
        run("1h")
    assert sum(seen) == 4
    assert output.outcomes() == {"story": 1, "deferred": 7, "ignored": 2}
    run("1h")
    assert output.outcomes(2) == {"story": 7, "unchanged": 1, "ignored": 2}
    run("0s")  # what is done is not deferred
    assert output.outcomes(3) == {"unchanged": 8, "ignored": 2}
    os.utime(photos / "0.jpg", ns=(1, 1))
    run("0s")
    assert sum(seen) == 4  # the features of late photos were kept
    assert output.outcomes(4) == {"unchanged": 6, "deferred": 2, "ignored": 2}
