"""The single pipeline of remote runners, run here: the waves' rows, the commit as its last step, refusals by name."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from configs.schema import check_config
from model_handlers.pack import Pack
from model_handlers.stories import StoryHandler
from pipelines.nightly import remote
from pipelines.nightly.main_job import new_run
from pipelines.nightly.remote import commit_or_refuse, fresh_features, run_single
from pipelines.tables.commits import commit
from pipelines.tables.leases import LeaseHeldError, read_leases
from pipelines.tables.manifests import read_manifests
from pipelines.tables.refusals import CommitConflictError, TooManyDeadLettersError
from pipelines.tables.rewrites import compact
from pipelines.telling.settings import resolve
from pipelines.telling.steps import make_steps
from pipelines.vacuum import main as vacuum
from transforms.records import Listing

SAMPLES = Path(__file__).parents[3] / "samples"
OPTIONS = {"captions_per_photo": 5, "beam_width": 5, "device": "cpu"}
FLAGS = ("--captions-per-photo=5", "--beam-width=5", "--device=cpu")


def vectors(count: int) -> list[tuple[str, np.ndarray]]:
    draw = np.random.RandomState(1)
    return [(f"photo {place}", draw.rand(4096).astype("f4")) for place in range(count)]


@pytest.fixture
def submit(photo_pack: Pack, output: Any) -> Callable[..., None]:
    """Returns a function that runs the single pipeline on FnApiRunner, with changes to its Run."""

    def run(changes: dict[str, Any] | None = None, **options: Any) -> None:
        config = {"pack": photo_pack.location, "output": output.location, "shards": 3, **OPTIONS, **options}
        settings = resolve(check_config(config))
        one = dataclasses.replace(new_run(settings), **(changes or {}))
        run_single(one, settings, make_steps(settings, {}), PipelineOptions(["--runner=FnApiRunner"]))

    return run


def test_photos_have_the_rows_that_waves_write(
    submit: Any,
    run_job: Any,
    photo_pack: Pack,
    output: Any,
    output_at: Any,
    same_stories: Any,
    tmp_path: Path,
    capsys: Any,
) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("cat.jpg", "boats.jpg"):
        (tmp_path / "photos" / name).write_bytes((SAMPLES / name).read_bytes())
    (tmp_path / "photos" / "bad #1.jpg").write_bytes(b"text")
    (tmp_path / "photos" / "notes.txt").write_bytes(b"text")
    inputs = [str(tmp_path / "photos"), str(tmp_path / "photos" / "*.jpg")]
    submit(input=inputs)
    assert "2 stories" in capsys.readouterr().out
    assert output.outcomes() == {"story": 2, "dead_letter": 1, "ignored": 1, "repeated": 3}
    waves = output_at(str(tmp_path / "waves"))
    places = (f"--output={waves.location}", f"--pack={photo_pack.location}", *FLAGS)
    assert run_job(*(f"--input={one}" for one in inputs), *places)[0] == 0
    same_stories(output.rows("stories"), waves.rows("stories"))
    assert output.rows("dead_letters") == waves.rows("dead_letters")
    plain = [[tuple(row.values()) for row in place.rows("ledger")] for place in (output, waves)]
    assert sorted(plain[0], key=str) == sorted(plain[1], key=str)
    left = [path.name for path in (Path(output.location) / "runs").glob("*/*")]
    assert sorted(left) == ["dead_letters", "features", "ledger", "started.json", "stories"]


def test_a_rerun_and_more_photos_and_styles(submit: Any, write_features: Any, output: Any) -> None:
    submit(features=write_features([*vectors(3), vectors(1)[0], ("bad", [1.0])]))
    assert output.outcomes() == {"story": 3, "dead_letter": 1, "repeated": 1}
    submit(features=write_features([*vectors(4), ("bad", [1.0])]), style="romance,swift", shards=1)
    assert output.outcomes(2) == {"story": 5, "unchanged": 4, "dead_letter": 1}
    submit(features=write_features(vectors(4)), style="swift")
    assert output.outcomes(3) == {"unchanged": 4}


def test_merged_nights_are_still_done(submit: Any, write_features: Any, output: Any) -> None:
    submit(features=write_features([*vectors(2), ("bad", [1.0])]))
    submit(features=write_features([*vectors(3), ("bad", [1.0])]))
    assert compact(output.location) is not None
    assert vacuum([output.location, "--older-than=0d"]) == 0
    submit(features=write_features([*vectors(3), ("bad", [1.0])]))
    counts = [manifest["counts"] for manifest in read_manifests(output.location)]
    assert counts[2] == {"unchanged": 4}
    assert read_leases(output.location) == []


def test_vectors_have_the_rows_that_waves_write(
    submit: Any,
    run_job: Any,
    write_features: Any,
    photo_pack: Pack,
    output: Any,
    output_at: Any,
    same_stories: Any,
    tmp_path: Path,
) -> None:
    again = [("photo 0", vectors(6)[5][1]), ("photo 0", vectors(7)[6][1]), ("a film.mp4", vectors(8)[7][1])]
    features = write_features([*vectors(5), ("zeros", [0.0] * 4096), *again])
    submit(features=features)
    assert output.outcomes() == {"story": 6, "dead_letter": 1, "repeated": 2}
    waves = output_at(str(tmp_path / "waves"))
    places = (f"--output={waves.location}", f"--pack={photo_pack.location}", *FLAGS)
    assert run_job(f"--features={features}", *places, "--wave-size=2")[0] == 0
    same_stories(output.rows("stories"), waves.rows("stories"))
    for table in ("dead_letters", "ledger"):
        assert output.rows(table) == waves.rows(table)


def test_nothing_new_still_commits(submit: Any, output: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    submit(input=[str(tmp_path / "notes.txt")])
    assert output.outcomes() == {"ignored": 1}


def test_too_many_dead_letters_have_their_own_exit_code(submit: Any, write_features: Any, output: Any) -> None:
    with pytest.raises(TooManyDeadLettersError, match="60 of 61"):
        submit(features=write_features([*vectors(1), *((f"bad {n}", [1.0]) for n in range(60))]))
    assert output.manifests == []


def test_a_conflict_has_its_own_exit_code(submit: Any, write_features: Any, output: Any, monkeypatch: Any) -> None:
    def overtaken(run: Any, files: Any) -> Any:
        commit(dataclasses.replace(run, run_id="other"), files)
        return commit(run, files)

    monkeypatch.setattr(remote, "commit", overtaken)
    with pytest.raises(CommitConflictError, match="other committed 2 of the same"):
        submit(features=write_features(vectors(2)))
    assert [manifest["run_id"] for manifest in output.manifests] == ["other"]


def test_a_kind_of_conflict_is_a_conflict(submit: Any, write_features: Any, monkeypatch: Any) -> None:
    def held(run: Any, files: Any) -> Any:
        raise LeaseHeldError("another run holds the photos")

    monkeypatch.setattr(remote, "commit", held)
    with pytest.raises(CommitConflictError, match="another run holds the photos"):
        submit(features=write_features(vectors(1)))


def test_a_bug_publishes_nothing(submit: Any, write_features: Any, output: Any, monkeypatch: Any) -> None:
    def fail(*_: Any) -> Any:
        raise TypeError("a bug")

    monkeypatch.setattr(StoryHandler, "infer", fail)
    with pytest.raises(TypeError, match="a bug"):
        submit(features=write_features(vectors(2)))
    assert output.manifests == []


def test_a_job_that_ends_badly_says_so(submit: Any, write_features: Any, monkeypatch: Any) -> None:
    class Result:
        def wait_until_finish(self) -> str:
            return PipelineState.CANCELLED

    monkeypatch.setattr(remote.beam.Pipeline, "run", lambda self: Result())
    with pytest.raises(RuntimeError, match="night ended as CANCELLED"):
        submit({"run_id": "night"}, features=write_features(vectors(1)))


def test_a_job_that_only_says_that_it_is_done(submit: Any, write_features: Any, monkeypatch: Any, capsys: Any) -> None:
    class Result:
        def wait_until_finish(self) -> str:
            return PipelineState.DONE

    monkeypatch.setattr(remote.beam.Pipeline, "run", lambda self: Result())
    submit(features=write_features(vectors(1)))
    assert "has no manifest of it yet" in capsys.readouterr().err


def test_a_retried_commit_step_is_content(photo_pack: Pack, output: Any) -> None:
    settings = resolve(check_config({"pack": photo_pack.location, "output": output.location, "device": "cpu"}))
    run = new_run(settings)
    filesystem, work = fsspec.core.url_to_fs(run.scratch)
    filesystem.makedirs(work)
    for _ in range(2):
        commit_or_refuse([], run)
    assert len(output.manifests) == 1 and not filesystem.exists(work)


def test_a_fresh_name_gets_the_vector_of_its_version() -> None:
    first, second = np.ones(3), np.zeros(3)
    tasks = [(Listing("a", 12, "1"), first), (Listing("a", 12, "2"), second)]
    ((photo, feature),) = fresh_features((b"a", {"tasks": tasks, "listings": [Listing("a", 12, "2", ("romance",))]}))
    assert feature is second and (photo.photo_id, photo.styles) == ("2", ("romance",))
    assert list(fresh_features((b"a", {"tasks": tasks, "listings": []}))) == []
