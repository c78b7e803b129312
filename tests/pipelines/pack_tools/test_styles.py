"""Own styles: the golden style from its passages, books cut into passages, and what goes wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_handlers.handler import Placement, resolve_device
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.cli.options import beam_options
from pipelines.corpora import story_passages
from pipelines.corpora.text_places import expand_texts
from pipelines.fit_style import main
from pipelines.pack_tools.photo_means import photo_means
from transforms.spreading import shrink, transport

GOLDEN = Path(__file__).parents[2] / "golden"
PASSAGES: list[str] = json.loads((GOLDEN / "style.json").read_text())

Fit = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fit(story_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Fit:
    """Returns a function that fits a style to texts in `texts/`; it returns the exit code, stdout and stderr."""
    (tmp_path / "texts").mkdir()

    def run(*argv: str, pack: str = story_pack.location, texts: str = "texts/*") -> tuple[int, str, str]:
        code = main(["--pack", pack, "--output", f"{tmp_path}/new", f"--texts={tmp_path}/{texts}", *argv])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_golden_style(fit: Fit, story_pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "texts" / "a b [1].txt").write_text("\n".join(PASSAGES[:2]) + "\n\n")
    (tmp_path / "texts" / "b.txt").write_text("\r\n".join(PASSAGES[2:]))
    code, printed, _ = fit("--name=mine")
    assert code == 0 and "5 passages in 2 files" in printed
    pack = Pack.open(f"{tmp_path}/new")
    golden = np.load(GOLDEN / "style.npz")
    np.testing.assert_allclose(pack.array(pack.components["styles"]["mine"]), golden["mean"], atol=1e-5)
    assert set(pack.components["styles"]) == {"mine", *story_pack.components["styles"]}
    assert pack.components["source_style"] == story_pack.components["source_style"]
    assert pack.card["style_texts"]["mine"] == {"passages": 5, "files": 2, "min_words": 0}
    assert pack.digest != story_pack.digest and pack.digest[:12] in printed


def test_the_new_style_tells_stories(
    fit: Fit, run_job: Fit, write_features: Callable[..., str], output: object, tmp_path: Path
) -> None:
    (tmp_path / "texts" / "a.txt").write_text("\n".join(PASSAGES))
    fit("--name=my-style_2")
    features = write_features([("a", np.ones(4096))])
    options = ("--style=my-style_2", "--captions-per-photo=3", "--beam-width=3", f"--output={tmp_path}/out")
    code, printed, _ = run_job(f"--features={features}", f"--pack={tmp_path}/new", *options)
    assert code == 0 and "a (my-style_2; nearest caption:" in printed


def test_a_style_with_its_spread(
    fit: Fit, run_job: Fit, write_features: Callable[..., str], story_pack: Pack, output_at: Any, tmp_path: Path
) -> None:
    writer = PackWriter(str(tmp_path / "base"), story_pack)
    writer.card["defaults"]["captions_per_photo"] = 3
    base = writer.finish()
    (tmp_path / "texts" / "a.txt").write_text("\n".join(PASSAGES))
    code, _, errors = fit("--name=mine", "--spread", pack=base.location)
    assert code == 0, errors
    pack = Pack.open(f"{tmp_path}/new")
    spread = np.asarray(pack.array(pack.components["spreads"]["mine"]), np.float64)  # [48, 48]
    vectors = base.sentence_encoder.open(base, resolve_device("cpu")).encode(PASSAGES)  # [5, 48]
    means = photo_means(base, Placement(base.location, base.digest, "cpu"), beam_options([]), "--spread")  # [N, 48]
    wanted = transport(shrink(np.cov(means.T, bias=True), len(means)), shrink(np.cov(vectors.T, bias=True), 5))
    np.testing.assert_allclose(spread, wanted, atol=5e-3)
    features = write_features([("a", np.ones(4096))])
    tell = (f"--features={features}", f"--pack={tmp_path}/new", "--beam-width=3", "--style=mine")
    rows = []
    for shift in ("mean", "spread"):
        places = output_at(f"{tmp_path}/{shift}")
        assert run_job(*tell, f"--shift={shift}", f"--output={places.location}")[0] == 0
        rows += places.rows("stories")
        assert places.manifests[0]["settings"]["shift"] == shift
    assert rows[0]["cost"] != rows[1]["cost"] and rows[0]["settings_digest"] != rows[1]["settings_digest"]
    code, _, errors = run_job(*tell, "--shift=spread", "--style=romance", f"--output={tmp_path}/none")
    assert code == 2 and "'romance': the pack has no spread of it, which --shift spread needs; it has mine" in errors


LINES = [
    f"The {thing} was calm that day and the boats lay still below the town , and all the people of the harbour walked "
    f"along the {thing} until the {other} had gone down behind the hills and it was dark ."
    for thing, other in (("sea", "sun"), ("river", "moon"), ("lake", "wind"), ("bay", "rain"))
]


def choosing_nearest(story_pack: Pack, folder: Path) -> Pack:
    """Returns a pack that chooses the shift `nearest`, with two captions for a photo."""
    writer = PackWriter(str(folder), story_pack)
    writer.card["defaults"] |= {"captions_per_photo": 2, "shift": "nearest"}
    return writer.finish()


def test_a_style_keeps_passages_where_its_pack_wants_them(
    fit: Fit,
    run_job: Fit,
    write_features: Callable[..., str],
    story_pack: Pack,
    output_at: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(story_passages, "FEW", 1)
    base = choosing_nearest(story_pack, tmp_path / "base")
    (tmp_path / "texts" / "a.txt").write_text("\n".join(LINES))
    code, _, errors = fit("--name=mine", pack=base.location)
    assert code == 0, errors
    pack = Pack.open(f"{tmp_path}/new")
    kept = np.asarray(pack.array(pack.components["passages"]["mine"]), np.float64)  # [4, 48]
    texts = [" ".join(line.lower().split()) for line in LINES]
    wanted = base.sentence_encoder.open(base, resolve_device("cpu")).encode(texts)  # [4, 48]
    np.testing.assert_allclose(kept, wanted, atol=1e-3)
    assert pack.card["style_texts"]["mine"]["kept"] == 4
    features = write_features([("a", np.ones(4096))])
    tell = (f"--features={features}", f"--pack={tmp_path}/new", "--beam-width=3")
    rows = []
    for shift in ((), ("--shift=mean",)):
        places = output_at(f"{tmp_path}/{len(shift)}")
        assert run_job(*tell, *shift, "--style=mine", f"--output={places.location}")[0] == 0
        rows += places.rows("stories")
        assert places.manifests[0]["settings"]["shift"] == ("mean" if shift else "nearest")
    assert rows[0]["cost"] != rows[1]["cost"] and rows[0]["settings_digest"] != rows[1]["settings_digest"]
    code, _, errors = run_job(*tell, "--style=romance", f"--output={tmp_path}/none")
    assert code == 2 and "'romance': the pack has no passages of it, which --shift nearest needs; it has mine" in errors


def test_how_many_passages_a_style_keeps(fit: Fit, story_pack: Pack, tmp_path: Path) -> None:
    base = choosing_nearest(story_pack, tmp_path / "base")
    (tmp_path / "texts" / "a.txt").write_text("\n".join(LINES))
    assert fit("--name=mine", "--passages=3", pack=base.location)[0] == 0
    first = Pack.open(f"{tmp_path}/new")
    assert first.array(first.components["passages"]["mine"]).shape == (3, 48)
    (tmp_path / "new").rename(tmp_path / "three")
    assert fit("--name=mine", "--passages=0", pack=f"{tmp_path}/three")[0] == 0
    assert Pack.open(f"{tmp_path}/new").components["passages"] == {}


def test_a_style_made_anew_drops_its_old_spread(fit: Fit, story_pack: Pack, tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path / "base"), story_pack)
    writer.components["spreads"] = {"mine": writer.add_array("mine.map.npy", np.eye(48, dtype="f2"))}
    (tmp_path / "texts" / "a.txt").write_text("\n".join(PASSAGES))
    assert fit("--name=mine", pack=writer.finish().location)[0] == 0
    assert Pack.open(f"{tmp_path}/new").components["spreads"] == {}


def test_the_caption_style_is_the_one_taken_out(fit: Fit, story_pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "texts" / "a.txt").write_text(PASSAGES[0])
    assert fit("--name=caption")[0] == 0
    pack = Pack.open(f"{tmp_path}/new")
    assert pack.components["styles"] == story_pack.components["styles"]
    vector, old = (one.array(one.components["source_style"]).ravel() for one in (pack, story_pack))
    assert np.abs(vector - old).max() > 1e-3


def test_books_are_cut(fit: Fit, tmp_path: Path) -> None:
    book = "Chapter\n\nthe dog was red .\nIt sat .\n\nA man looked at it\n\nthe end"
    (tmp_path / "texts" / "book.txt").write_text(book)
    code, printed, _ = fit("--name=mine", "--min-words=5")
    assert code == 0 and "2 passages in 1 files" in printed
    assert Pack.open(f"{tmp_path}/new").card["style_texts"]["mine"]["min_words"] == 5


def test_texts_that_are_not_utf_8(fit: Fit, tmp_path: Path) -> None:
    (tmp_path / "texts" / "a.txt").write_bytes(b"un caf\xe9 noir\nun th\xe9\n")
    assert fit("--name=mine")[0] == 0


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--name=a/b"], ["--name 'a/b': may only have letters"]),
        (["--name=a,b", "--texts=no/such"], ["--name 'a,b'"]),
        (["--name=mine", "--min-words=100"], ["any passage of 100 words"]),
        (["--name=mine", "--min-word=1"], ["--min-word=1: neither"]),
        (["--name=mine", "--runner=DataflowRunner"], ["--runner: this command needs a runner on this machine"]),
        (["--name=mine", "--runner=DaskRunner"], ["--runner"]),
        (["--name=caption", "--spread"], ["--spread: is for target styles"]),
        (["--name=mine", "--spread"], ["--spread: a single passage has no spread"]),
        (["--name=caption", "--passages=5"], ["--passages: is for target styles, not for 'caption'"]),
        (["--name=a/b", "--passages=-5"], ["--passages -5: must be 0 or more", "--name 'a/b'"]),
        ([], ["--name"]),
    ],
)
def test_what_is_wrong_makes_no_pack(fit: Fit, tmp_path: Path, argv: list[str], parts: list[str]) -> None:
    (tmp_path / "texts" / "a.txt").write_text("one two\n")
    code, printed, errors = fit(*argv)
    assert code == 2 and printed == "" and "No pack was made" in errors
    assert all(part in errors for part in parts)
    assert [path.name for path in tmp_path.iterdir()] == ["texts"]


def test_all_that_is_wrong_comes_at_once(fit: Fit) -> None:
    code, _, errors = fit("--name=a/b", texts="none-*")
    assert code == 2 and "--name 'a/b'" in errors and "no file matches" in errors


def test_no_encoder_no_style(fit: Fit, tmp_path: Path) -> None:
    (tmp_path / "texts" / "a.txt").write_text("one\n")
    code, _, errors = fit("--name=mine", pack=str(tmp_path))
    assert code == 2 and "no model pack" in errors


def test_the_output_must_be_new(fit: Fit, tmp_path: Path) -> None:
    (tmp_path / "texts" / "a.txt").write_text("one\n")
    (tmp_path / "new").mkdir()
    code, _, errors = fit("--name=mine")
    assert code == 2 and "exists already" in errors


def test_globs_and_plain_names(tmp_path: Path) -> None:
    for name in ("a.txt", "b [1].txt", "deep/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert expand_texts(f"{tmp_path}/b [1].txt") == [f"{tmp_path}/b [1].txt"]
    assert expand_texts(f"{tmp_path}/*.txt") == [f"{tmp_path}/a.txt", f"{tmp_path}/b [1].txt"]
    assert len(expand_texts(f"{tmp_path}/**")) == 3
    assert expand_texts(f"{tmp_path}/none") == []
