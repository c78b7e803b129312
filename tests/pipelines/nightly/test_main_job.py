"""The main job as people run it, over ready-made feature vectors: the original's stories, outcomes and exit codes."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_handlers.captions import CaptionHandler
from model_handlers.nets.detokeniser import detokenise
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from model_handlers.sentences import SentenceHandler
from model_handlers.stories import StoryHandler
from pipelines.nightly import graph as job
from pipelines.nightly import main_job
from pipelines.tables.leases import release_run
from pipelines.tables.manifests import read_manifests
from pipelines.tables.read import newest_rows
from pipelines.tables.rewrites import compact, forget
from pipelines.vacuum import main as vacuum
from transforms import audit

GOLDEN = Path(__file__).parents[2] / "golden"
FEATURES: dict[str, np.ndarray] = dict(np.load(GOLDEN / "story_fc7.npz"))
STORIES: list[dict[str, Any]] = json.loads((GOLDEN / "story.json").read_text())
SETTINGS = sorted({(case["k"], case["bw"], case["lyric"]) for case in STORIES})
QUICK = ("--captions-per-photo=5", "--beam-width=5")

Run = Callable[..., tuple[int, str, str]]


def original_text(text: str) -> str:
    """Returns a text of the original program; the file holds its bytes as Latin-1."""
    return text.encode("latin1").decode("utf8")


def vectors(count: int, seed: int = 1) -> list[tuple[str, np.ndarray]]:
    """Returns names with feature vectors."""
    draw = np.random.RandomState(seed)
    return [(f"photo {place:02d}", np.maximum(draw.randn(4096), 0).astype("f4")) for place in range(count)]


@pytest.fixture
def tell(run_job: Run, write_features: Any, output: Any, story_pack: Pack) -> Run:
    """Returns a function that runs the main job over pairs of uri and vector."""

    def run(pairs: Any, *options: str, output: Any = output, kind: Any = None) -> tuple[int, str, str]:
        features = write_features(list(pairs), kind)
        places = (f"--features={features}", f"--output={output.location}", f"--pack={story_pack.location}")
        return run_job(*places, *QUICK, *options)

    return run


@pytest.mark.parametrize(("count", "width", "lyric"), SETTINGS)
def test_stories_are_the_originals(tell: Run, output: Any, count: int, width: int, lyric: bool) -> None:
    assert len(STORIES) == 20
    options = [f"--captions-per-photo={count}", f"--beam-width={width}", *(["--lyric"] if lyric else [])]
    code, printed, _ = tell(FEATURES.items(), *options)
    assert code == 0 and "4 stories" in printed
    cases = [case for case in STORIES if (case["k"], case["bw"], case["lyric"]) == (count, width, lyric)]
    rows = output.rows("stories")
    assert [row["uri"] for row in rows] == [case["image"] for case in cases] == sorted(FEATURES)
    for row, case in zip(rows, cases, strict=True):
        assert [match["caption"] for match in row["captions"]] == [original_text(text) for text in case["captions"]]
        similarities = [match["similarity"] for match in row["captions"]]
        assert similarities == sorted(similarities, reverse=True)
        assert row["passage"] == original_text(case["passage"])
        assert row["words"] == len(row["passage"].split())
        shown = case["stdout"].partition("OUTPUT: \n")[2].removesuffix("\n").split("\n")
        assert row["story"].split("\n") == [detokenise(original_text(line)) for line in shown]


def test_a_row_says_what_made_it(tell: Run, output: Any, story_pack: Pack) -> None:
    ((name, feature),) = vectors(1)
    assert tell([(name, feature)])[0] == 0
    (row,) = output.rows("stories")
    photo_id = hashlib.sha256(feature.astype("<f4").tobytes()).hexdigest()
    known = {"uri": name, "photo_id": photo_id, "width": None, "height": None, "style": "romance"}
    known |= {"decoder": "romance", "pack": story_pack.name, "pack_digest": story_pack.digest}
    assert known.items() <= row.items()
    (ledger,) = output.rows("ledger")
    assert ledger == {
        "uri": name, "version": photo_id, "photo_id": photo_id, "style": "romance", "outcome": "story",
        "pack_digest": story_pack.digest, "settings_digest": row["settings_digest"],
    }  # fmt: skip
    (manifest,) = output.manifests
    assert manifest["settings"]["beam_width"] == 5 and manifest["pack"]["location"] == story_pack.location
    for file in manifest["files"]:
        data = (Path(output.location) / file["path"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (file["sha256"], file["bytes"])


def test_only_the_runs_files_are_left(tell: Run, output: Any) -> None:
    tell([*vectors(3), ("bad", [1.0])])
    (manifest,) = output.manifests
    left = {path.relative_to(output.location).as_posix() for path in Path(output.location).rglob("*.*")}
    run = f"runs/{manifest['run_id']}"
    files = {file["path"] for file in manifest["files"]}
    assert left == {"current.files", "manifests/00000001.json", f"{run}/started.json"} | files
    assert sorted(file["path"].split("/")[2] for file in manifest["files"]) == ["dead_letters", "ledger", "stories"]
    assert not (Path(output.location) / run / "scratch").exists()


def test_the_summary_shows_counts_places_and_stories(tell: Run, output: Any) -> None:
    _, printed, progress = tell([*vectors(5), ("bad", [1.0])])
    assert "1 dead letter, 5 stories." in printed
    assert f"{output.location}/manifests/00000001.json" in printed
    shown = re.findall(r"^(photo \d+) \(romance; nearest caption: .*\)\n(.*)$", printed, re.MULTILINE)
    assert shown == [(row["uri"], row["story"]) for row in output.rows("stories")[:3]]
    assert "6/6" in progress and "5 stories, 1 dead letters" in progress


def test_a_rerun_finds_everything_unchanged(tell: Run, output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [*vectors(4), ("bad", [1.0])]
    tell(pairs)

    def refuse(*_: Any) -> None:
        raise AssertionError("an empty night loads no model")

    monkeypatch.setattr(CaptionHandler, "infer", refuse)
    assert tell(pairs, "--wave-size=2", "--shards=3", "--batch-size=1")[0] == 0
    assert output.outcomes(2) == {"unchanged": 5}
    assert output.rows("stories", 2) == output.rows("dead_letters", 2) == []


def test_merged_nights_are_still_done(tell: Run, output: Any) -> None:
    tell(vectors(2))
    tell([*vectors(3), ("bad", [1.0])])
    assert compact(output.location) is not None
    assert vacuum([output.location, "--older-than=0d"]) == 0
    assert tell([*vectors(3), ("bad", [1.0])])[0] == 0
    assert read_manifests(output.location)[2]["counts"] == {"unchanged": 4}
    assert forget(output.location, ["photo 00"]) is not None
    assert tell([*vectors(3), ("bad", [1.0])])[0] == 0  # the photo was not deleted before, so it is new
    assert read_manifests(output.location)[3]["counts"] == {"story": 1, "unchanged": 3}
    assert len(newest_rows(output.location)) == 3


def test_only_the_second_style_is_processed(tell: Run, output: Any) -> None:
    tell(vectors(3), "--style=romance")
    assert tell(vectors(3), "--style=romance,swift")[0] == 0
    assert output.outcomes(2) == {"unchanged": 3, "story": 3}
    assert [row["style"] for row in output.rows("stories", 2)] == ["swift"] * 3


def test_several_styles_at_once_equal_single_ones(
    tell: Run, output: Any, output_at: Any, same_stories: Any, tmp_path: Path
) -> None:
    assert tell([*vectors(3), ("bad", [1.0])], "--style=romance, swift")[0] == 0
    assert output.outcomes() == {"story": 6, "dead_letter": 2}
    assert len(output.rows("dead_letters")) == 1
    for style in ("romance", "swift"):
        alone = output_at(str(tmp_path / style))
        tell(vectors(3), f"--style={style}", output=alone)
        same_stories([row for row in output.rows("stories") if row["style"] == style], alone.rows("stories"))


def test_other_settings_tell_again(tell: Run, output: Any) -> None:
    tell(vectors(2))
    assert tell(vectors(2), "--style-strength=0.5")[0] == 0
    assert output.outcomes(2) == {"story": 2}


def test_a_changed_vector_is_processed_again(tell: Run, output: Any) -> None:
    tell(vectors(2, seed=1))
    tell([vectors(2, seed=1)[0], vectors(2, seed=2)[1]])
    assert output.outcomes(2) == {"story": 1, "unchanged": 1}
    assert [row["uri"] for row in output.rows("stories", 2)] == ["photo 01"]


def test_batches_waves_shards_and_order_change_no_story(
    tell: Run, output_at: Any, same_stories: Any, tmp_path: Path
) -> None:
    pairs = vectors(7)
    settings = [("--batch-size=32",), ("--batch-size=1", "--wave-size=4", "--shards=5")]
    found = []
    for place, options in enumerate(settings):
        output = output_at(str(tmp_path / f"out {place} [x]"))
        assert tell(pairs if place % 2 == 0 else pairs[::-1], *options, output=output)[0] == 0
        found.append(output.rows("stories"))
    same_stories(*found)


def test_waves_encode_each_caption_once(tell: Run, output_at: Any, tmp_path: Path, monkeypatch: Any) -> None:
    encoded: list[str] = []
    infer = SentenceHandler.infer

    def note(self: Any, batch: Any, model: Any) -> Any:
        encoded.extend(text for texts in batch for text in texts)
        return infer(self, batch, model)

    monkeypatch.setattr(SentenceHandler, "infer", note)
    tell(vectors(6), "--wave-size=3", output=output_at(str(tmp_path / "out [1]")))
    assert len(encoded) == len(set(encoded)) > 5


ODD_ROWS: list[tuple[str, Any, str]] = [
    ("null", None, "shape (0,)"),
    ("empty", [], "shape (0,)"),
    ("narrow", [1.0] * 5, "shape (5,)"),
    ("nan", [float("nan")] * 4096, "not finite"),
    ("infinite", [1e39] * 4096, "not finite"),
    ("hole", [None, *[1.0] * 4095], "not finite"),
    ("zeros", [0.0] * 4096, "all zeros"),
]


def test_odd_vectors_are_dead_letters(tell: Run, output: Any) -> None:
    pairs = [*vectors(2), *((name, value) for name, value, _ in ODD_ROWS)]
    assert tell(pairs, kind=pa.list_(pa.float64()))[0] == 0
    assert output.outcomes() == {"story": 2, "dead_letter": len(ODD_ROWS)}
    letters = {row["uri"]: row for row in output.rows("dead_letters")}
    for name, _, reason in ODD_ROWS:
        letter = letters[name]
        assert reason in letter["message"], letter
        assert (letter["stage"], letter["error"], letter["retryable"]) == ("captions", "ValueError", False)
        assert letter["version"] == letter["photo_id"]


def test_a_repeated_uri_is_processed_once(tell: Run, output: Any) -> None:
    pairs = [*vectors(2), vectors(1)[0], vectors(1)[0]]
    assert tell(pairs, "--style=romance,swift", "--wave-size=1")[0] == 0
    assert output.outcomes() == {"story": 4, "repeated": 4}


def test_an_empty_file_of_vectors(run_job: Run, output: Any, story_pack: Pack, tmp_path: Path) -> None:
    schema = pa.schema([("uri", pa.string()), ("feature", pa.list_(pa.float32()))])
    pq.write_table(schema.empty_table(), tmp_path / "none.parquet")
    code, printed, _ = run_job(
        f"--features={tmp_path}/none.parquet", f"--output={output.location}", f"--pack={story_pack.location}"
    )
    assert code == 0 and "nothing was listed" in printed
    assert len(output.manifests) == 1 and output.manifests[0]["files"] == []


def test_captions_that_are_not_utf_8(
    run_job: Run, write_features: Any, output: Any, story_pack: Pack, tmp_path: Path
) -> None:
    writer = PackWriter(str(tmp_path / "odd"), story_pack)
    captions = story_pack.lines(story_pack.component("captions")["texts"])[:4]
    writer.components["captions"] = {"texts": writer.add_lines("odd.txt", [*captions, "a dog in a caf\udce9 ."])}
    pack = writer.finish()
    features = write_features(vectors(2))
    assert run_job(f"--features={features}", f"--output={output.location}", f"--pack={pack.location}", *QUICK)[0] == 0
    for row in output.rows("stories"):
        assert "a dog in a caf\\xe9 ." in [match["caption"] for match in row["captions"]]


def test_a_store_in_memory_as_output(tell: Run, output_at: Any) -> None:
    output = output_at("memory://nightly/stories")
    try:
        assert tell([*vectors(3), ("bad", [1.0])], "--wave-size=2", output=output)[0] == 0
        assert output.outcomes() == {"story": 3, "dead_letter": 1}
        assert tell([*vectors(4), ("bad", [1.0])], output=output)[0] == 0
        assert output.outcomes(2) == {"story": 1, "unchanged": 4}
        left = fsspec.filesystem("memory").find("/nightly/stories")
        assert not [path for path in left if "/scratch/" in path]
    finally:
        fsspec.filesystem("memory").store.clear()


# Exit codes


def test_all_problems_come_at_once(run_job: Run, output: Any, story_pack: Pack) -> None:
    code, printed, errors = run_job(
        "--beam-width=0", "--style-strength=warm", "--wave-sise=3", "--runer=DirectRunner", "--set", "colour=red",
        "--set", "lyric", f"--output={output.location}", f"--pack={story_pack.location}",
    )  # fmt: skip
    assert code == 2 and printed == ""
    for part in (
        "beam_width",
        "style_strength = 'warm'",
        "--wave-sise=3",
        "--runer=",
        "colour: no such",
        "--set lyric",
    ):
        assert part in errors, part
    assert not Path(output.location).exists()


def test_problems_of_pack_sources_and_device_come_at_once(run_job: Run, output: Any, story_pack: Pack) -> None:
    code, _, errors = run_job(
        "--style=romance,noir", "--device=cuda", "--input=https://example.org/a.jpg", "--features=no/such.parquet",
        f"--output={output.location}", f"--pack={story_pack.location}",
    )  # fmt: skip
    assert code == 2
    for part in (
        "'noir': the pack has no such style",
        "http",
        "--features replaces photos",
        "cuda",
        "--features no/such",
    ):
        assert part in errors, part
    assert not Path(output.location).exists()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--pack=/no/pack",), "/no/pack: no model pack there"),
        (("--decoder=tolstoy",), "no decoder 'tolstoy'; the pack has eager, noeos, romance, shallow"),
        ((), "has no features"),  # photos, with a pack that cannot see
        (("--runner=DaskRunner",), "DaskRunner is refused"),
        (("--config=/no/such.yaml",), "--config /no/such.yaml"),
        (("--set", "style=[romance"), "--set style=[romance"),
    ],
)
def test_wrong_configurations(run_job: Run, output: Any, story_pack: Pack, options: tuple[str, ...], part: str) -> None:
    code, _, errors = run_job(f"--pack={story_pack.location}", f"--output={output.location}", *options)
    assert code == 2 and part in errors and "Traceback" not in errors
    assert not Path(output.location).exists()


@pytest.mark.parametrize(
    ("columns", "part"),
    [
        ({"name": ["a"], "feature": [[1.0]]}, "no column 'uri'; it has name, feature"),
        ({"uri": ["a"], "vector": [[1.0]]}, "no column 'feature'; it has uri, vector"),
        ({"uri": ["a"], "feature": [1.0]}, "must be a list of floats"),
        ({"uri": ["a"], "feature": [["x"]]}, "must be a list of floats"),
        ({"uri": ["a", None], "feature": [[1.0], [2.0]]}, "a row has no uri"),
        ({"uri": ["a", ""], "feature": [[1.0], [2.0]]}, "a row has no uri"),
    ],
)
def test_wrong_feature_files(
    run_job: Run, output: Any, story_pack: Pack, tmp_path: Path, columns: dict[str, Any], part: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    code, _, errors = run_job(
        f"--features={tmp_path}/f.parquet", f"--output={output.location}", f"--pack={story_pack.location}"
    )
    assert code == 2 and part in errors
    assert not [path for path in Path(output.location).rglob("*") if path.is_file()]


def test_a_file_that_holds_no_features(run_job: Run, output: Any, story_pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "f.parquet").write_bytes(b"PAR1 or not")
    code, _, errors = run_job(
        f"--features={tmp_path}/f.parquet", f"--output={output.location}", f"--pack={story_pack.location}"
    )
    assert code == 2 and "cannot be read" in errors


def test_too_many_dead_letters(tell: Run, output: Any) -> None:
    bad = [(f"bad {place}", [1.0]) for place in range(50)]
    code, _, errors = tell([*vectors(2), *bad])
    assert code == 3 and "50 of 52 stories are missing" in errors
    assert output.manifests == []
    assert tell([*vectors(2), *bad[1:]])[0] == 0  # 49 are never too many
    assert tell([*vectors(2), *bad], "--max-dead-letter-ratio=1", "--beam-width=4")[0] == 0


def test_a_run_that_another_overtook(tell: Run, output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = main_job.commit

    def overtake(run: Any, files: Any, *more: Any) -> Any:
        monkeypatch.setattr(main_job, "commit", commit)
        release_run(output.location, run.run_id)  # as if it had expired
        assert tell(vectors(2))[0] == 0
        return commit(run, files, *more)

    monkeypatch.setattr(main_job, "commit", overtake)
    code, _, errors = tell(vectors(3))
    assert code == 4 and "2 of the same stories" in errors
    assert len(output.manifests) == 1
    assert tell(vectors(3))[0] == 0
    assert output.outcomes(2) == {"story": 1, "unchanged": 2}


def fail_with(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", [TypeError("a bug"), KeyError("a bug"), RuntimeError("CUDA error: a bug")])
def test_a_bug_publishes_nothing(
    tell: Run, output: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any, error: Exception
) -> None:
    monkeypatch.setattr(StoryHandler, "infer", fail_with(error))
    assert tell(vectors(3))[0] == 1
    assert "The run failed; nothing was published" in caplog.text and "a bug" in caplog.text
    assert output.manifests == []


@pytest.mark.parametrize("times", [0, 2])
def test_lost_and_doubled_photos_publish_nothing(
    tell: Run, output: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any, times: int
) -> None:
    """The audit's own input is tampered with: the story of one photo is noted never, or twice."""

    def tamper(stories: Any, dead: Any) -> Any:
        return outcomes(stories, dead) | "Tamper" >> beam.FlatMap(
            lambda pair: [pair] * (times if pair[0] == b"photo 01" else 1)
        )

    outcomes = job._outcomes
    monkeypatch.setattr(job, "_outcomes", tamper)
    assert tell(vectors(3))[0] == 1
    assert audit.LostPhotoError.__name__ in caplog.text and "photo 01: one outcome is due" in caplog.text
    assert output.manifests == []


def test_help_explains_each_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main_job.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for flag in ("--input", "--uris", "--features", "--style-strength", "--max-dead-letter-ratio", "--wave-size"):
        assert flag in shown
