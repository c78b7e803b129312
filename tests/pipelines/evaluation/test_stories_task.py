"""The stories' figures on made-up rows, and the command on a tiny pack."""

from pathlib import Path
from typing import Any

import pytest

from model_handlers.pack import Pack
from model_handlers.stories import StoryHandler
from pipelines.evaluate import main
from pipelines.evaluation.probe_texts import fit_probe
from pipelines.evaluation.stories_task import measure
from pipelines.evaluation.story_measures import Subjects
from pipelines.evaluation.wordnet import find_wordnet, open_wordnet

FEW = ("--set=beam_width=3", "--set=captions-per-photo=5", "--device=cpu")


def row(story: str, *captions: str) -> dict[str, Any]:
    return {"story": story, "captions": [{"caption": caption, "similarity": 0.5} for caption in captions]}


def test_figures_of_a_style_by_hand() -> None:
    rows = [
        row("The dog ran .", "a dog", "b", "c", "d", "e"),  # about its photo
        row("I thought of her , thought of her .", "a", "b", "c", "d", "e", "thought"),  # the sixth does not count
        row("The dog ran .", "two cats"),
        row("dog dog dog dog dog dog", "a horse", "her dog", "the dogs", "sixty dogs"),
    ]
    probe = fit_probe(["i thought of her"] * 3, ["the dog ran"] * 3)
    figures = measure(rows, Subjects(open_wordnet(find_wordnet())), probe)
    assert figures == {
        "novel": 25,
        "about_photo": 50,
        "about_another": 50,  # the third story, of the last photo's dogs, and the last one, of the first photo's dog
        "rarest_word": 50,  # the captions of the last photo and of that of the cats agree
        "same_story": 50,
        "repeats": 25,
        "words": (3 + 7 + 3 + 6) / 4,
        "distinct_2": (2 + 4 + 1) / (2 + 6 + 2 + 5),
    }
    assert measure(rows, Subjects(open_wordnet(find_wordnet())), None)["novel"] is None


def test_no_story_has_no_figures() -> None:
    figures = measure([], Subjects(open_wordnet(find_wordnet())), fit_probe(["a"] * 2, ["b"] * 2))
    assert set(figures.values()) == {None}


@pytest.fixture
def books(tmp_path: Path) -> str:
    paragraphs = [f"She thought, {number}, of the heart that he had never given her, " * 5 for number in range(12)]
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(paragraphs))
    return str(tmp_path / "*.txt")


def test_the_command_measures_every_style(photo_pack: Pack, photo_data: Any, evaluate: Any, books: str) -> None:
    flags = [*photo_data(dev=5, train=16).flags, f"--pack={photo_pack.location}", *FEW]
    found = evaluate("stories", *flags, f"--texts={books}", "--limit=4")
    assert (found["photos"], found["untold"]) == (4, 0)
    assert set(found["styles"]) == set(photo_pack.components["styles"])
    assert found["probe"] == {"accuracy": 100, "learned_on": 16, "judged_on": 4}
    for figures in found["styles"].values():
        assert all(0 <= figures[name] <= 100 for name in ("novel", "about_photo", "same_story", "repeats", "verbatim"))
        assert figures["words"] > 0 and 0 < figures["distinct_2"] <= 1


def test_without_books_there_is_no_probe(photo_pack: Pack, photo_data: Any, evaluate: Any) -> None:
    flags = [*photo_data(dev=2).flags, f"--pack={photo_pack.location}", "--style=swift+romance", *FEW]
    found = evaluate("stories", *flags)
    assert found["probe"] == {"accuracy": None}
    (figures,) = found["styles"].values()
    assert figures["novel"] is None and figures["verbatim"] is None and figures["about_photo"] is not None


def test_the_probe_learns_from_a_file_of_captions(
    photo_pack: Pack, photo_data: Any, evaluate: Any, books: str, tmp_path: Path
) -> None:
    captions = tmp_path / "probe.captions"
    captions.write_text("a dog runs\n" * 45)
    flags = [*photo_data(dev=2).flags, f"--pack={photo_pack.location}", "--style=swift", *FEW, f"--texts={books}"]
    assert evaluate("stories", *flags, f"--probe-captions={captions}")["probe"]["learned_on"] == 24


def test_a_story_that_does_not_come_about_is_counted(
    photo_pack: Pack, photo_data: Any, evaluate: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    tell = StoryHandler.tell

    def fail_once(self: Any, hypotheses: Any, model: Any) -> Any:
        monkeypatch.setattr(StoryHandler, "tell", tell)
        return ValueError("no words left")

    monkeypatch.setattr(StoryHandler, "tell", fail_once)
    flags = [*photo_data(dev=3).flags, f"--pack={photo_pack.location}", "--style=swift", *FEW]
    assert evaluate("stories", *flags)["untold"] == 1
    assert "000.jpg: story failed: no words left" in caplog.text


def test_every_problem_is_listed(story_pack: Pack, photo_data: Any, capsys: Any, tmp_path: Path) -> None:
    data = photo_data(train=1)
    flags = [f"--photos={data.photos}", f"--captions={data.captions}", f"--pack={story_pack.location}"]
    wrong = ["--texts=/nowhere/*.txt", "--set=beam_with=3", "--set=style=swift", "--set=lyric", "--style=gothic"]
    assert main(["stories", *flags, *wrong]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    for part in (
        "--set lyric: write it as key=value",
        "--set style: use --style instead",
        "beam_with: no such option",
        "no photo is of split 'dev'",
        "--texts /nowhere/*.txt: no file matches",
    ):
        assert part in printed.err, printed.err
    assert main(["stories", *flags, "--split=train", "--style=gothic", f"--probe-captions={tmp_path}/gone"]) == 2
    printed = capsys.readouterr()
    for part in ("has no features", "'gothic': the pack has no such style", "--probe-captions", "cannot be read"):
        assert part in printed.err, printed.err
