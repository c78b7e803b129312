"""The caption index made ahead: the vectors that runs would make, in order, whatever the captions' bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model_handlers.families.word_joint_embedding import WordJointEmbedder
from model_handlers.pack import Pack
from pipelines.corpora.text_places import read_captions
from pipelines.index_captions import main
from pipelines.pack_tools import indexing
from pipelines.pack_tools.indexing import chunks_of

CPU = torch.device("cpu")
Index = Callable[..., tuple[int, str, str]]


@pytest.fixture
def index(story_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Index:
    """Returns a function that indexes the golden pack's captions; it returns the exit code, stdout and stderr."""

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(["--pack", story_pack.location, "--output", f"{tmp_path}/new", *argv])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def assert_indexed(pack: Pack, captions: list[str]) -> None:
    entry = pack.component("captions")
    assert pack.lines(entry["texts"]) == captions
    embeddings = pack.array(entry["embeddings"])
    np.testing.assert_allclose(embeddings, pack.joint_embedding.open(pack, CPU).embed(captions), atol=1e-6)
    if "sentence_vectors" in entry:
        vectors = pack.array(entry["sentence_vectors"])
        np.testing.assert_allclose(vectors, pack.sentence_encoder.open(pack, CPU).encode(captions), atol=1e-6)


def test_the_packs_own_captions(index: Index, story_pack: Pack, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(indexing, "CHUNK", 100)  # of 252
    code, printed, _ = index("--sentence-vectors")
    assert code == 0 and "252 captions indexed with sentence vectors" in printed
    pack = Pack.open(f"{tmp_path}/new")
    assert_indexed(pack, [text for text in story_pack.lines(story_pack.component("captions")["texts"]) if text.strip()])
    assert pack.components["decoders"] == story_pack.components["decoders"]
    assert pack.digest[:12] in printed


def test_other_captions_of_any_bytes(index: Index, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(b"  a dog .\r\n\n \t\na caf\xe9 .\na caf\xc3\xa9\xe2\x80\xa8bar\na dog .")
    code, printed, _ = index(f"--captions={tmp_path}/mine.txt")
    assert code == 0 and "4 captions indexed (" in printed
    pack = Pack.open(f"{tmp_path}/new")
    assert "sentence_vectors" not in pack.component("captions")
    assert_indexed(pack, ["a dog .", "a caf\udce9 .", "a caf\u00e9\u2028bar", "a dog ."])


def test_stories_of_an_indexed_pack_are_the_same(
    index: Index, run_job: Index, write_features: Any, output_at: Any, story_pack: Pack, tmp_path: Path
) -> None:
    index("--sentence-vectors")
    draw = np.random.RandomState(2)
    features = write_features([(str(place), draw.rand(4096)) for place in range(4)])
    found = []
    for pack in (story_pack.location, f"{tmp_path}/new"):
        output = output_at(f"{pack}-out" if "new" in pack else str(tmp_path / "out"))
        places = (f"--features={features}", f"--output={output.location}", f"--pack={pack}")
        assert run_job(*places, "--captions-per-photo=20", "--beam-width=5")[0] == 0
        found.append([(row["uri"], row["passage"], row["captions"][0]["caption"]) for row in output.rows("stories")])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--captions=/no/such"], "--captions /no/such: cannot be read"),
        (["--captions={folder}/empty.txt"], "holds no caption"),
        (["--caption=x"], "--caption=x: neither"),
        (["--runner=DataflowRunner"], "--runner"),
    ],
)
def test_what_is_wrong_makes_no_pack(index: Index, tmp_path: Path, argv: list[str], part: str) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    code, printed, errors = index(*(word.format(folder=tmp_path) for word in argv))
    assert code == 2 and printed == "" and part in errors
    assert [path.name for path in tmp_path.iterdir()] == ["empty.txt"]


def test_a_pipeline_that_fails_leaves_nothing(index: Index, tmp_path: Path, monkeypatch: Any) -> None:
    def fail(*_: Any) -> Any:
        raise TypeError("a bug")

    monkeypatch.setattr(WordJointEmbedder, "embed", fail)
    assert index()[0] == 1
    assert list(tmp_path.iterdir()) == []


def test_captions_are_stripped_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b" one \r\n\n\xa0\ntwo")
    assert read_captions(str(tmp_path / "a.txt")) == ["one", "\udca0", "two"]


def test_chunks_keep_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "CHUNK", 2)
    assert list(chunks_of(list("abcde"))) == [("0", ["a", "b"]), ("2", ["c", "d"]), ("4", ["e"])]
    assert list(chunks_of([])) == []
