"""A stored story is repeated, found equal or not, and every step is shown."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_handlers.pack import Pack
from pipelines.explain import main
from pipelines.explanation import explain_report as report
from pipelines.explanation import stored
from pipelines.explanation.explain_report import differences
from pipelines.explanation.retelling import compared_sentences
from pipelines.explanation.stored import nearest_names
from pipelines.pack_tools.indexing import index_captions
from pipelines.telling.one_photo import load_all

SAMPLES = Path(__file__).parents[2] / "samples"
FLAGS = ("--captions-per-photo=5", "--beam-width=6", "--device=cpu")

Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture
def explain(run_here: Explain) -> Explain:
    """Returns a function that runs the command here; it returns the exit code, stdout and stderr."""

    def run(*argv: str) -> tuple[int, str, str]:
        return run_here(main, *argv, "--device=cpu")

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Returns a folder of two photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("cat.jpg", "boats.jpg"):
        shutil.copy(SAMPLES / name, folder)
    return folder


@pytest.fixture
def tell(run_job: Any, output: Any, photos: Path, photo_pack: Pack) -> Callable[..., None]:
    """Returns a function that tells the photos' stories by the golden pack, or by another."""

    def run(*more: str, pack: str = photo_pack.location) -> None:
        code, _, printed = run_job(f"--input={photos}", f"--output={output.location}", f"--pack={pack}", *FLAGS, *more)
        assert code == 0, printed

    return run


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--style=swift", "--style-strength=0.5", "--lyric"),
        ("--style=swift+romance", "--min-words=5", "--max-words=12", "--no-repeat=2", "--contrast=0.5"),
        ("--decoding=original",),
        ("--preprocessing=fast",),
    ],
)
def test_a_story_comes_out_again(
    tell: Any, output: Any, photos: Path, explain: Explain, more: tuple[str, ...], photo_pack: Pack
) -> None:
    tell(*more)
    row = output.rows("stories")[1]
    code, out, err = explain(output.location, f"--uri={photos}/cat.jpg", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["equal"] and found["differences"] == [] and found["stored"] == row
    assert found["told"]["passage"] == row["passage"]
    assert [one["caption"] for one in found["told"]["captions"]] == [one["caption"] for one in row["captions"]]
    best, *others = found["hypotheses"]
    assert best["story"] == row["story"] and 1 <= len(found["hypotheses"]) <= 5
    assert all(best["rank"] <= other["rank"] for other in others)
    assert found["pack"]["digest"] == photo_pack.digest and found["settings"]["beam_width"] == 6
    nearest = found["shift"]["before"]
    assert {one["sentence"] for one in nearest} & {one["caption"] for one in row["captions"]}
    assert nearest[0]["cosine"] >= nearest[1]["cosine"] > 0


def test_the_shift_is_told_by_its_norms(
    tell: Any, output: Any, photos: Path, explain: Explain, photo_pack: Pack
) -> None:
    tell()
    shift = json.loads(explain(output.location, f"--uri={photos}/cat.jpg", "--json")[1])["shift"]
    source = photo_pack.array(photo_pack.components["source_style"]).reshape(-1)
    target = photo_pack.array(photo_pack.components["styles"]["romance"]).reshape(-1)
    assert shift["norms"]["c"] == pytest.approx(np.linalg.norm(source), rel=1e-5)
    assert shift["norms"]["b"] == pytest.approx(np.linalg.norm(target), rel=1e-5)
    assert shift["norms"]["moved"] == pytest.approx(np.linalg.norm(target - source), rel=1e-4)
    assert -1 <= shift["cosine"] < 1


def test_a_person_reads_each_step(tell: Any, output: Any, photos: Path, explain: Explain, monkeypatch: Any) -> None:
    tell()
    row = output.rows("stories")[1]
    monkeypatch.chdir(photos)
    code, out, _ = explain(output.location, "--uri=cat.jpg")
    assert code == 0 and out.startswith(f"{photos}/cat.jpg (romance)\n  Repeated, it is the stored story")
    assert all(f"{match['similarity']:.4f}  {match['caption']}" in out for match in row["captions"])
    for part in (
        "taken out",
        "Nearest before the shift",
        "Nearest after the shift",
        "Best 5 of the beam search (width 6)",
    ):
        assert part in out
    assert f"  1. {row['cost']:.4f}, {row['words']} words" in out


def test_ready_sentence_vectors_are_looked_up(
    tell: Any, output: Any, photos: Path, explain: Explain, photo_pack: Pack, tmp_path: Path
) -> None:
    ready = str(tmp_path / "ready")
    index_captions(photo_pack.location, ready, sentence_vectors=True)
    tell(pack=ready)
    found = json.loads(explain(output.location, f"--uri={photos}/cat.jpg", "--json")[1])
    assert found["equal"] and found["shift"]["compared"] == len(compared_sentences(load_all(ready, device="cpu"), []))


def test_the_newest_story_counts(tell: Any, output: Any, photos: Path, explain: Explain) -> None:
    tell()
    tell("--captions-per-photo=3")
    found = json.loads(explain(output.location, f"--uri={photos}/cat.jpg", "--json")[1])
    assert found["equal"] and found["run"]["number"] == 2 and found["settings"]["captions_per_photo"] == 3


def test_feature_vectors_are_told_again(
    run_job: Any, output: Any, story_pack: Pack, write_features: Any, explain: Explain
) -> None:
    draw = np.random.RandomState(3)
    vectors = [(f"gs://b/{name}.jpg", draw.rand(4096).astype("f4")) for name in "ab"]
    given = write_features(vectors)
    assert (
        run_job(f"--features={given}", f"--output={output.location}", f"--pack={story_pack.location}", *FLAGS)[0] == 0
    )
    code, out, err = explain(output.location, "--uri=gs://b/b.jpg", "--json")
    assert code == 0, err
    assert json.loads(out)["told"]["width"] is None
    write_features(vectors[:1])
    code, out, _ = explain(output.location, "--uri=gs://b/b.jpg")
    assert code == 1 and "holds no feature vector of it any more" in " ".join(out.split())
    Path(given).unlink()
    code, out, _ = explain(output.location, "--uri=gs://b/b.jpg")
    assert code == 1 and "cannot be read" in " ".join(out.split())


def test_a_story_that_differs_is_not_equal(
    tell: Any, output: Any, photos: Path, explain: Explain, monkeypatch: Any
) -> None:
    tell()
    whole = stored._rows_of

    def forged(*args: Any) -> Any:
        rows = whole(*args)
        for row in rows:
            row["captions"][1]["similarity"] *= 1.001
            row["passage"], row["story"] = "the sea .", "The sea."
        return rows

    monkeypatch.setattr(stored, "_rows_of", forged)
    code, out, _ = explain(output.location, f"--uri={photos}/cat.jpg")
    assert code == 1
    assert "\n     The sea.\n" in out
    out = " ".join(out.split())
    assert "NOT EQUAL. Repeated, it differs from the stored story in similarities, passage, story. The" in out
    assert "Stored were" in out
    assert "The costs of both passages differ by less than" in out  # the forged row kept its cost


def test_a_photo_that_changed_or_is_gone(tell: Any, output: Any, photos: Path, explain: Explain) -> None:
    tell()
    uri = f"--uri={photos}/cat.jpg"
    Image.open(photos / "boats.jpg").save(photos / "cat.jpg")
    code, out, _ = explain(output.location, uri)
    assert code == 1 and "The photo has changed since" in out and "Best 5 of the beam search" in out
    found = json.loads(explain(output.location, uri, "--json")[1])
    assert found["changed_photo"] and not found["equal"] and "photo_id" in found["differences"]
    (photos / "cat.jpg").write_bytes(b"no photo")
    code, out, _ = explain(output.location, uri)
    assert code == 1 and "cannot be repeated: NotAnImage" in out.replace("UnknownFormat", "NotAnImage")
    (photos / "cat.jpg").unlink()
    code, out, _ = explain(output.location, uri)
    row = output.rows("stories")[1]
    assert code == 1 and "The story cannot be repeated: MissingFile" in out
    assert "Story, as stored" in out and row["captions"][4]["caption"] in out


def test_what_is_not_there_is_named(tell: Any, output: Any, photos: Path, explain: Explain) -> None:
    (photos / "bad.jpg").write_bytes(b"no photo")
    tell("--style=swift,romance")
    code, _, err = explain(output.location, f"--uri={photos}/cat.jpg")
    assert code == 2 and "has stories in romance, swift; choose one with --style" in err
    code, _, err = explain(output.location, f"--uri={photos}/cat.jpg", "--style=austen")
    assert code == 2 and "--style austen:" in err and "it has romance, swift" in err
    code, _, err = explain(output.location, f"--uri={photos}/catt.jpg")
    assert code == 2 and f"did you mean {photos}/cat.jpg?" in err
    code, _, err = explain(output.location, "--uri=/elsewhere/boats.jpg")
    assert code == 2 and f"did you mean {photos}/boats.jpg?" in err
    code, _, err = explain(output.location, f"--uri={photos}/bad.jpg")
    assert code == 2 and "it is a dead letter of run" in err and "stage decode" in err
    code, _, err = explain(f"{output.location}-other", "--uri=a.jpg")
    assert code == 2 and "-other: no such folder; name the --output of the main job" in err


def test_another_pack_will_not_do(
    tell: Any, output: Any, photos: Path, explain: Explain, photo_pack: Pack, story_pack: Pack, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(photo_pack.location, moved)
    tell(pack=str(moved))
    uri = f"--uri={photos}/cat.jpg"
    code, _, err = explain(output.location, uri, f"--pack={story_pack.location}")
    assert code == 2 and f"digest {story_pack.digest[:12]}, but the story was written by" in err
    shutil.rmtree(moved)
    code, _, err = explain(output.location, uri)
    assert code == 2 and str(moved) in err and photo_pack.digest[:12] in err and "with --pack" in err
    assert explain(output.location, uri, f"--pack={photo_pack.location}")[0] == 0


ROW = dict.fromkeys(report.EXACT, "same") | {"cost": 10.0, "captions": [{"caption": "a", "similarity": 0.5}]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"cost": 10.00005}, []),
        ({"cost": 10.001}, ["cost"]),
        ({"captions": [{"caption": "a", "similarity": 0.50002}]}, ["similarities"]),
        ({"captions": [{"caption": "b", "similarity": 0.5}], "words": 3, "cost": 9.0}, ["captions", "words", "cost"]),
        ({"captions": []}, ["captions"]),
        ({"story": "other", "passage": "other"}, ["passage", "story"]),
    ],
)
def test_texts_are_equal_and_floats_agree(change: dict[str, Any], expected: list[str]) -> None:
    assert differences(ROW, ROW | change) == expected


def test_names_like_a_mistyped_one() -> None:
    others = ["gs://b/2026/cat.jpg", "gs://b/2026/boats.jpg", "gs://b/2025/cat.jpg", "gs://b/IMG_0001.jpg"]
    assert nearest_names("gs://b/cat.jpg", others) == ["gs://b/2026/cat.jpg", "gs://b/2025/cat.jpg"]
    assert nearest_names("gs://b/2026/boat.png", others) == ["gs://b/2026/boats.jpg"]
    assert nearest_names("gs://b/zzz", others) == []


@pytest.mark.slow
def test_stories_of_the_samples_come_out_again(run_job: Any, output: Any, explain: Explain) -> None:
    """The pocket pack: captions retrieved and written, a shift to the nearest passage, a search under rules."""
    photos = (f"--input={SAMPLES}/cat.jpg", f"--input={SAMPLES}/boats.jpg")
    assert run_job(*photos, f"--output={output.location}", "--style=austen")[0] == 0
    rows = output.rows("stories")
    assert len(rows) == 2
    for row in rows:
        code, out, err = explain(output.location, f"--uri={row['uri']}", "--json")
        found = json.loads(out)
        assert code == 0 and found["equal"], err
        assert [one["story"] for one in found["hypotheses"]][0] == row["story"] and len(found["hypotheses"]) == 5
        assert {one["sentence"] for one in found["shift"]["before"]} & {one["caption"] for one in row["captions"]}
        assert 1000 < found["shift"]["compared"] < 1010 and found["shift"]["norms"]["moved"] > 0.1
