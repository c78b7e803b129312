"""Books and captions become corpora: the real command, what it leaves, and what it refuses."""

import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from model_handlers.pack import Pack
from pipelines.corpora.preparation import pieces
from pipelines.corpora.preparation import prepare_command as command
from pipelines.corpora.preparation import text_files as files
from pipelines.prepare_texts import main
from pipelines.training.data.prepared import read_prepared

ROOT = Path(__file__).parents[2]
SEA = "The old man looked at the sea for a very long time."
RAIN = "It rained and it rained all over the grey and empty town."
TEA = "She made the tea and he read the paper by the fire."
WALK = "They walked home along the river without a single word."

Prepare = Callable[..., tuple[int, str, str]]
Shelve = Callable[..., None]


@pytest.fixture
def prepare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Prepare:
    """Returns a function that runs the command on `books/*` and what else flags name; it returns code and prints."""

    def run(*argv: str, output: str = "output") -> tuple[int, str, str]:
        books = [f"--books={tmp_path}/books/*"] if (tmp_path / "books").exists() else []
        place = output if "://" in output else str(tmp_path / output)
        code = main([*books, f"--output={place}", *argv])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def shelve(tmp_path: Path) -> Shelve:
    """Returns a function that writes books of paragraphs."""

    def write(folder: str = "books", **books: list[str]) -> None:
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, paragraphs in books.items():
            (tmp_path / folder / f"{name}.txt").write_text("\n\n".join(paragraphs) + "\n")

    return write


def words_of(*sentences: str) -> str:
    return " ".join(sentences).lower().replace(".", " .")


def texts_of(folder: Path) -> dict[str, list[str]]:
    """Returns the texts of each kind that has any, as words."""
    vocabulary, sources = read_prepared(folder)
    return {kind: [vocabulary.decode(text) for text in source.texts] for kind, source in sources.items()}


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def test_everything_by_hand(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    mat, zebra = "The dog and the cat and the dog sat on the mat.", "The cat and the cat and the cat sat on the zebra."
    shelve(a=["CHAPTER I", mat, "* * * * * * * * * * * * * * * * * * * * * *.", zebra, mat.replace("The", "THE")])
    (tmp_path / "some.txt").write_text("A cat on a mat\n\na  cat on a mat .\n12:45 / 67 890 a\n")
    code, printed, _ = prepare(f"--captions={tmp_path}/some.txt", "--held-out=0", "--vocabulary=11", "--unknown=0.05")
    assert code == 0
    # the 8, cat 4 + 2, and 4, a 4, on 2 + 2, full stop 2 + 2, mat 1 + 2, dog 2, sat 2; then zebra 1
    assert read_prepared(tmp_path / "output")[0].words == ["the", "cat", ".", "a", "and", "on", "mat", "dog", "sat"]
    assert texts_of(tmp_path / "output") == {"books": [words_of(mat)], "captions": ["a cat on a mat ."]}
    kinds = manifest_of(tmp_path / "output")["kinds"]
    assert kinds["books"]["left_out"] == {"scraps": 2, "repeated": 1, "unknown": 1}
    assert kinds["captions"]["left_out"] == {"scraps": 1, "repeated": 1, "unknown": 0}
    assert [(kinds[kind]["texts"], kinds[kind]["words"]) for kind in ("books", "captions")] == [(1, 13), (1, 6)]
    assert "books: 1 texts, 13 words; left out 2 scraps, 1 repeated texts, 1 with too many unknown words" in printed


def test_a_captions_word_weighs_as_told(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    shelve(a=["one one one one one one one one one one one."])
    (tmp_path / "some.txt").write_text("two two two two two two\n")
    for weight, first in (("1.5", "one"), ("2", "two")):
        flags = (f"--captions={tmp_path}/some.txt", "--held-out=0", f"--caption-weight={weight}")
        assert prepare(*flags, output=weight)[0] == 0
        assert read_prepared(tmp_path / weight)[0].words[0] == first


def test_texts_keep_their_order_and_neighbours(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    shelve(a=[f"{SEA} {TEA} {WALK}", f"{TEA} {RAIN} {SEA}"])
    assert prepare("--held-out=0", "--unit=sentence")[0] == 0
    assert texts_of(tmp_path / "output") == {"books": [words_of(text) for text in (SEA, TEA, WALK, RAIN)]}
    assert list(read_prepared(tmp_path / "output")[1]["books"].neighbours) == [1, 2, -1, -1]


def test_passages_are_runs_of_sentences_cut_alike_everywhere(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    whole = f"{SEA} {TEA} {WALK} {RAIN} " * 20
    shelve(a=[whole, RAIN], b=[TEA, whole, whole])
    assert prepare("--held-out=0", "--least=20", "--most=40")[0] == 0
    texts = texts_of(tmp_path / "output")["books"]
    assert all(20 <= len(text.split()) <= 40 and text.endswith(".") for text in texts)
    assert len({len(text.split()) for text in texts}) > 1 and len(set(texts)) == len(texts)
    found = manifest_of(tmp_path / "output")["kinds"]["books"]
    shelve("alone", a=[whole])
    assert main([f"--books={tmp_path}/alone", "--held-out=0", "--least=20", "--most=40", f"--output={tmp_path}/o"]) == 0
    assert texts_of(tmp_path / "o")["books"] == texts
    assert (
        found["left_out"]["repeated"] - 2 * found["texts"]
        == 3 * manifest_of(tmp_path / "o")["kinds"]["books"]["left_out"]["repeated"]
    )


def test_case_is_kept_where_wanted(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    shelve(a=[SEA])
    (tmp_path / "some.txt").write_text("A Dog runs\n")
    assert prepare(f"--captions={tmp_path}/some.txt", "--held-out=0", "--no-lower")[0] == 0
    assert texts_of(tmp_path / "output") == {"books": [SEA.replace(".", " .")], "captions": ["A Dog runs ."]}


def test_a_text_is_kept_once_and_what_is_held_out_is_never_learned(
    prepare: Prepare, shelve: Shelve, tmp_path: Path
) -> None:
    books = {"a": [SEA, RAIN, "The zeppelin rose above the trees and was gone."], "b": [RAIN, TEA], "c": [TEA, WALK]}
    shelve(**books)
    assert prepare("--held-out=1", "--vocabulary=30", "--unknown=1")[0] == 0
    digests = {name: hashlib.sha256((tmp_path / "books" / f"{name}.txt").read_bytes()).hexdigest() for name in books}
    first, *others = sorted(books, key=digests.__getitem__)
    texts = texts_of(tmp_path / "output")
    learned = dict.fromkeys(text for name in others for text in books[name] if text not in books[first])
    assert texts["books"] == [words_of(text) for text in learned]
    vocabulary, _ = read_prepared(tmp_path / "output")
    assert set(vocabulary.words) == set(" ".join(texts["books"]).split())
    held_out = manifest_of(tmp_path / "output")["kinds"]["dev_books"]
    assert len(texts["dev_books"]) == held_out["texts"] == len(books[first])
    kinds = {Path(entry["uri"]).stem: entry["kind"] for entry in manifest_of(tmp_path / "output")["inputs"]}
    assert kinds == {first: "dev_books"} | dict.fromkeys(others, "books")


def test_held_out_books_do_not_depend_on_names_and_places(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    same = [f"{SEA} {RAIN}", f"{TEA} {WALK}", f"{SEA} {WALK}", f"{RAIN} {TEA}", SEA, WALK]
    shelve(**{f"book{number}": [text] for number, text in enumerate(same)})
    shelve("others", **{f"x{9 - number}": [text] for number, text in enumerate(same)})
    assert prepare("--held-out=0.4", "--unknown=1")[0] == 0
    assert main([f"--books={tmp_path}/others", "--held-out=0.4", "--unknown=1", f"--output={tmp_path}/again"]) == 0
    texts = texts_of(tmp_path / "output")
    assert texts == texts_of(tmp_path / "again")
    assert 0 < len(texts["dev_books"]) < 6


def test_tables_of_captions(prepare: Prepare, tmp_path: Path) -> None:
    rows = [
        ("b.jpg", "train", "A dog runs fast"),
        ("a.jpg", "train", "Two cats sleep"),
        ("c.jpg", "dev", "A bird sings"),
        ("b.jpg", "train", "A brown dog runs"),
        ("d.jpg", "test", "A secret caption"),
        ("b.jpg", "train", "A bird sings"),
        ("c.jpg", "dev", "The bird sings"),
        ("b.jpg", "train", "The dog"),
        ("e.jpg", "extra", "two cats sleep."),
    ]
    table = "\n".join("\t".join(row) for row in [("image", "split", "caption"), *rows])
    (tmp_path / "some.tsv").write_text(table)
    assert prepare(f"--captions={tmp_path}/some.tsv", "--unknown=1")[0] == 0
    texts, (_, sources) = texts_of(tmp_path / "output"), read_prepared(tmp_path / "output")
    assert sorted(texts["captions"]) == ["a brown dog runs .", "a dog runs fast .", "the dog .", "two cats sleep ."]
    first = texts["captions"].index("a dog runs fast .")
    assert texts["captions"][first : first + 3] == ["a dog runs fast .", "a brown dog runs .", "the dog ."]
    cats = texts["captions"].index("two cats sleep .")
    neighbours = list(sources["captions"].neighbours)
    assert neighbours[first : first + 3] == [first + 1, first + 2, first] and neighbours[cats] == -1
    assert len(texts["dev_captions"]) == 2 and list(sources["dev_captions"].neighbours) == [1, 0]
    assert "secret" not in read_prepared(tmp_path / "output")[0].ids


def test_a_table_without_images(prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "some.tsv").write_text("caption\na dog runs\n\na cat sleeps\n")
    assert prepare(f"--captions={tmp_path}/some.tsv")[0] == 0
    assert sorted(texts_of(tmp_path / "output")["captions"]) == ["a cat sleeps .", "a dog runs ."]
    assert list(read_prepared(tmp_path / "output")[1]["captions"].neighbours) == [-1, -1]


def test_kinds_of_their_own(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    shelve(a=[SEA])
    shelve("austen", b=[TEA, SEA])
    (tmp_path / "some.txt").write_text("a dog runs\n")
    flags = (f"--books=austen={tmp_path}/austen/*.txt", f"--captions=plain={tmp_path}/some.txt", "--held-out=0")
    assert prepare(*flags)[0] == 0
    assert texts_of(tmp_path / "output") == {
        "books": [words_of(SEA)],
        "austen": [words_of(TEA)],
        "plain": ["a dog runs ."],
    }


def test_words_that_are_given(prepare: Prepare, shelve: Shelve, story_pack: Pack, tmp_path: Path) -> None:
    shelve(a=[SEA, RAIN])
    (tmp_path / "words.json").write_text(json.dumps(["zebra", "the", "sea"]))
    code, printed, _ = prepare(f"--words={tmp_path}/words.json", "--held-out=0", "--unknown=0.8", "--vocabulary=99")
    assert code == 0 and "a vocabulary of 3 words" in printed
    assert texts_of(tmp_path / "output") == {"books": ["the UNK UNK UNK UNK the sea UNK UNK UNK UNK UNK UNK"]}
    settings = manifest_of(tmp_path / "output")["settings"]
    assert (settings["words"], settings["vocabulary"]) == (f"{tmp_path}/words.json", 5)
    again = f"--words={tmp_path}/output/vocabulary.json"
    assert prepare(again, "--held-out=0", "--unknown=0.8", output="again")[0] == 0
    assert texts_of(tmp_path / "again") == texts_of(tmp_path / "output")
    assert prepare(f"--words={story_pack.location}", "--held-out=0", "--unknown=1", output="pack")[0] == 0
    words = story_pack.json(story_pack.component("sentence_encoder")["words"])
    assert read_prepared(tmp_path / "pack")[0].words == words[2:]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def library(shelve: Shelve, tmp_path: Path) -> tuple[str, ...]:
    """Fills `books` and returns flags that add captions: some thousand words with many repeated texts."""
    draw, sentences = np.random.default_rng(0), [SEA, RAIN, TEA, WALK]
    for name in "abcdefgh":
        shelve(**{name: [" ".join(draw.choice(sentences, draw.integers(1, 6))) for _ in range(12)]})
    rows = [f"{draw.integers(9)}.jpg\ttrain\ta {draw.choice(['dog', 'cat'])} {number % 30}.5" for number in range(60)]
    (tmp_path / "some.tsv").write_text("\n".join(["image\tsplit\tcaption", *rows]) + "\n")
    return (f"--captions={tmp_path}/some.tsv", "--least=5", "--most=40", "--held-out=2")


def test_two_runs_leave_the_same_bytes(prepare: Prepare, library: tuple[str, ...], tmp_path: Path) -> None:
    assert prepare(*library)[0] == prepare(*library, output="again")[0] == 0
    left = contents(tmp_path / "output")
    assert left == contents(tmp_path / "again")
    assert {name.split("/")[0] for name in left} == {
        *("books", "dev_books", "captions", "manifest.json", "vocabulary.json")
    }
    for kind in manifest_of(tmp_path / "output")["kinds"].values():
        for shard in kind["shards"]:
            for file in (shard["ids"], shard["starts"], shard["neighbours"]):
                data = left[file["path"]]
                assert (hashlib.sha256(data).hexdigest(), len(data)) == (file["sha256"], file["bytes"])


def test_texts_do_not_depend_on_shards_pieces_and_parts(
    prepare: Prepare, library: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepare(*library)[0] == 0
    monkeypatch.setattr(pieces, "PIECE", 50)
    monkeypatch.setattr(files, "BLOCK", 64)
    monkeypatch.setattr(files, "PART", 300)
    assert prepare(*library, "--shard-words=100", output="again")[0] == 0
    shards = {kind: len(entry["shards"]) for kind, entry in manifest_of(tmp_path / "again")["kinds"].items()}
    assert shards["books"] > 2 and shards["captions"] > 1
    (words, sources), (others, again) = (read_prepared(tmp_path / name) for name in ("output", "again"))
    assert words.words == others.words and list(sources) == list(again)
    for kind, source in sources.items():
        assert np.array_equal(source.texts.ids, again[kind].texts.ids), kind
        assert np.array_equal(source.texts.starts, again[kind].texts.starts), kind
        assert np.array_equal(source.neighbours, again[kind].neighbours), kind
        assert all(map(np.array_equal, source.texts, again[kind].texts)), kind


def test_packed_files_and_remote_places(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    shelve(a=[SEA, RAIN], b=[TEA, WALK])
    assert prepare("--held-out=1")[0] == 0
    store = fsspec.filesystem("memory")
    for name in "ab":
        data = (tmp_path / "books" / f"{name}.txt").read_bytes()
        store.pipe_file(f"/shop/in/{name}.txt.gz", gzip.compress(data))
    assert main(["--books=memory://shop/in/*.gz", "--held-out=1", "--output=memory://shop/out"]) == 0
    local = contents(tmp_path / "output")
    del local["manifest.json"]
    assert {name: store.cat_file(f"/shop/out/{name}") for name in local} == local
    assert not store.exists("/shop/out/scratch")
    store.rm("/shop", recursive=True)


def test_files_that_cannot_be_used_are_named(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    shelve(a=[SEA], copy=[SEA], b=[RAIN])
    (tmp_path / "books" / "latin.txt").write_bytes(f"{TEA}\n\nCaf\xe9.".encode("latin-1"))
    (tmp_path / "books" / "zero.txt").write_bytes(b"abc\0def")
    (tmp_path / "books" / "cut.txt.gz").write_bytes(gzip.compress(WALK.encode())[:-9])
    (tmp_path / "books" / "plain.txt.gz").write_text(WALK)
    (tmp_path / "books" / "photo.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "books" / "empty.txt").write_bytes(b"")
    (tmp_path / "bad.tsv").write_text("image\ttext\na.jpg\ta dog runs\n")
    code, printed, _ = prepare(f"--captions={tmp_path}/bad.tsv", "--held-out=0")
    assert code == 0
    refused = {Path(entry["uri"]).name: entry["reason"] for entry in manifest_of(tmp_path / "output")["refused"]}
    parts = {
        "latin.txt": "is not UTF-8: invalid continuation byte near byte 56",
        "zero.txt": "byte 3 is zero",
        "cut.txt.gz": "not a complete gzip file",
        "plain.txt.gz": "not a complete gzip file",
        "photo.jpg": "does not end in .txt or .txt.gz",
        "bad.tsv": "has no column 'caption'; its first line has 'image', 'text'",
    }
    assert set(refused) == set(parts)
    for name, part in parts.items():
        assert part in refused[name] and name in printed
    assert sorted(texts_of(tmp_path / "output")["books"]) == [words_of(RAIN), words_of(SEA)]
    copies = [entry["copies"] for entry in manifest_of(tmp_path / "output")["inputs"] if entry["copies"]]
    assert copies == [[f"{tmp_path}/books/copy.txt"]]


def test_nothing_to_learn_from_leaves_nothing(prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "a.txt").write_bytes(b"\xff\xff")
    code, printed, errors = prepare()
    assert (
        code == 2
        and printed == ""
        and "the files have no text to learn from" in errors
        and "a.txt is not UTF-8" in errors
    )
    assert not (tmp_path / "output").exists()


def test_what_is_wrong_comes_at_once(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    shelve(a=[SEA])
    flags = ["--vocabulary=2", "--caption-weight=nan", "--least=9", "--most=8", "--unknown=1.5", "--held-out=1"]
    places = [f"--captions={tmp_path}/none*", "--captions=http://x/a.txt", f"--captions=dev_x={tmp_path}/books/a.txt"]
    code, printed, errors = prepare(*flags, *places, "--shard-words=0", "--runner=DaskRunner")
    assert code == 2 and printed == "" and "No corpus was made" in errors
    for part in (
        "--vocabulary: must be at least 3",
        "--caption-weight: must be 0 or more",
        "--most 8: is below --least 9",
        "--unknown: must be a share",
        "--held-out 1: leaves no book to learn from; there are 1",
        "none*: no file matches",
        "http://x/a.txt: files are not fetched over http",
        "a.txt: is among the books already",
        "names that begin with dev_",
        "--shard-words: must be at least 1",
        "--runner=DaskRunner is refused",
    ):
        assert part in errors, part
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ([], "--books or --captions is needed"),
        (["--books={folder}/a.txt", "--held-out=1.0"], "a share must be below 1"),
        (["--books={folder}/a.txt", "--held-out=many"], "invalid number value"),
        (["--books={folder}/a.txt", "--book={folder}"], "neither this job nor Apache Beam knows this option"),
        (["--books=x={folder}/a.txt", "--captions=x={folder}/a.txt"], "x: is a name of both books and captions"),
        (["--books={folder}/a.txt", "--runner=DataflowRunner"], "a local path, which the workers"),
        (["--books={folder}/a.txt", "--words={folder}"], "--words {folder}: no model pack there"),
        (["--books={folder}/a.txt", "--words={folder}/none.json"], "--words {folder}/none.json: cannot be read"),
        (
            ["--books={folder}/a.txt", "--words={folder}/a.json"],
            "--words {folder}/a.json: is not a JSON list of different words",
        ),
    ],
)
def test_wrong_flags(prepare: Prepare, tmp_path: Path, argv: list[str], part: str) -> None:
    (tmp_path / "a.txt").write_text(SEA)
    (tmp_path / "a.json").write_text('["sea", "sea"]')
    code, printed, errors = prepare(*(word.format(folder=tmp_path) for word in argv))
    assert code == 2 and printed == "" and part.format(folder=tmp_path) in errors
    assert not (tmp_path / "output").exists()


def test_the_output_must_be_new(prepare: Prepare, shelve: Shelve, tmp_path: Path) -> None:
    shelve(a=[SEA])
    assert prepare("--held-out=0")[0] == 0
    before = contents(tmp_path / "output")
    assert "exists already" in prepare("--held-out=0")[2]
    (tmp_path / "output" / "manifest.json").unlink()
    code, _, errors = prepare("--held-out=0")
    assert code == 2 and "is not empty" in errors
    assert set(contents(tmp_path / "output")) == set(before) - {"manifest.json"}


def test_a_pipeline_that_fails_leaves_nothing(
    prepare: Prepare, shelve: Shelve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise TypeError("a bug")

    shelve(a=[SEA])
    monkeypatch.setattr(command, "build", fail)
    assert prepare("--held-out=0")[0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["books"]


def test_workers_import_no_torch() -> None:
    program = "import sys, pipelines.corpora.preparation.corpus_graph; assert not {'torch', 'timm'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.runners
@pytest.mark.parametrize(
    "flags",
    [
        ("--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"),
        ("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"),
    ],
    ids=["two processes", "portable"],
)
def test_every_runner_leaves_the_same_bytes(
    prepare: Prepare, library: tuple[str, ...], tmp_path: Path, flags: tuple[str, ...]
) -> None:
    assert prepare(*library)[0] == 0
    places = [f"--books={tmp_path}/books/*", f"--output={tmp_path}/again"]
    command = [sys.executable, "-m", "pipelines.prepare_texts", *places, *library, *flags]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    assert contents(tmp_path / "output") == contents(tmp_path / "again")
