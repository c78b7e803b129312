"""Packs listed, shown, checked, compared and copied, as people do it on the command line."""

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch

from model_handlers.pack import Pack, cache_folder
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter
from pipelines import packs
from pipelines.cli import packs_at_hand
from pipelines.pack_tools import pack_push
from pipelines.packs import main

Call = Callable[..., tuple[int, str, str]]
POCKET = str(Path(__file__).parents[2] / "packs" / "pocket")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Returns a function that calls a command; it returns the exit code, stdout and stderr."""

    def run(*argv: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in argv])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def pack(photo_pack: Pack, tmp_path: Path) -> Pack:
    """Returns a copy of the golden pack with features, which a test may damage."""
    shutil.copytree(photo_pack.root, tmp_path / "mine")
    return Pack.open(str(tmp_path / "mine"))


@pytest.fixture
def bucket() -> Iterator[fsspec.AbstractFileSystem]:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()


def edited(pack: Pack, output: Path, edit: Callable[[PackWriter], object]) -> Pack:
    writer = PackWriter(str(output), pack)
    edit(writer)
    return writer.finish()


def flip(file: Path) -> None:
    """Flips a bit of a file in place and keeps its size and times, which a stamp does not notice."""
    status = file.stat()
    with open(file, "r+b") as stream:
        first = stream.read(1)[0]
        stream.seek(0)
        stream.write(bytes([first ^ 1]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_packs_of_a_folder_are_listed(call: Call, pack: Pack, tmp_path: Path) -> None:
    edited(pack, tmp_path / "zwei", lambda writer: writer.card.update(name="two", version="7"))
    (tmp_path / "empty").mkdir()
    shutil.copytree(pack.root, tmp_path / ".mine.half")  # as a writer that was killed leaves it
    code, printed, errors = call("list", tmp_path)
    heading, first, second = printed.splitlines()
    assert code == 0 and errors == ""
    assert heading.split() == ["name", "version", "digest", "size", "styles", "decoders", "place"]
    for part in (pack.name, pack.digest[:12], "romance, swift", "romance", str(tmp_path / "mine")):
        assert part in first
    assert second.startswith("two") and " 7 " in second and second.endswith(str(tmp_path / "zwei"))
    assert call("list", pack.location)[1].splitlines()[1] == first


def test_own_packs_and_the_cache_are_listed_unasked(
    call: Call, pack: Pack, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(packs_at_hand, "SHIPPED", tmp_path / "packs")
    monkeypatch.chdir(tmp_path)
    assert call("list") == (0, "No packs found in the installation, the cache or packs/\n", "")
    bucket.put(f"{pack.location}/", "/packs/mine", recursive=True)
    assert Pack.open("memory://packs/mine").digest == pack.digest
    code, printed, _ = call("list")
    assert code == 0 and printed.splitlines()[1].endswith(str(cache_folder() / "packs" / pack.digest))
    shutil.copytree(pack.root, tmp_path / "packs" / "pocket")
    assert call("list")[1].splitlines()[1].endswith(str(tmp_path / "packs" / "pocket"))
    assert call("list", "memory://packs")[1].splitlines()[1].endswith(" memory://packs/mine")


def test_a_card_that_cannot_be_read_is_told_beside_the_others(call: Call, pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pack.json").write_text("{")
    code, printed, errors = call("list", tmp_path)
    assert code == 1 and pack.digest[:12] in printed
    assert errors.startswith(f"{tmp_path}/broken/pack.json: cannot be read (")


def test_the_card_for_people_says_everything(call: Call, pack: Pack, tmp_path: Path) -> None:
    def edit(writer: PackWriter) -> None:
        writer.card |= {"licence": "CC0 for all of it", "provenance": {"notes": ["found in a drawer"]}}
        writer.card |= {"training_data": "none at all", "quality": {"decoder": {"perplexity": 54.5}}}

    code, printed, _ = call("show", edited(pack, tmp_path / "new", edit).location)
    assert code == 0
    for part in (
        "new, version 1", f"name: {pack.name}", f"digest: {pack.digest}", "decoder romance", "style swift",
        "joint_embedding", "CC0 for all of it", "found in a drawer", "none at all", "dim_image 4096",
        "decoder.perplexity  54.5",
    ):  # fmt: skip
        assert part in printed, part
    style = pack.card["files"][pack.components["styles"]["swift"]]["bytes"]
    (line,) = [line for line in printed.splitlines() if line.startswith("  style swift")]
    assert line.split()[2:] == [str(style), "bytes"]


def test_the_card_for_programs_is_one_object(call: Call, pack: Pack) -> None:
    code, printed, _ = call("show", pack.location, "--json")
    shown = json.loads(printed)
    total = sum(path.stat().st_size for path in pack.root.rglob("*") if path.is_file() and path.name != "pack.json")
    assert code == 0 and shown == {**pack.card, "location": pack.location, "digest": pack.digest, "bytes": total}


@pytest.mark.parametrize("place", ["folder", "memory://packs/mine"])
def test_a_whole_pack_is_whole(call: Call, pack: Pack, bucket: Any, place: str) -> None:
    bucket.put(f"{pack.location}/", "/packs/mine", recursive=True)
    code, printed, errors = call("verify", pack.location if place == "folder" else place)
    assert (code, errors) == (0, "") and f"digest {pack.digest}" in printed
    loaded = printed.splitlines()[1].removeprefix("Loaded: ").split(", ")
    for name in ("features", "joint_embedding", "captions", "sentence_encoder", "source_style"):
        assert name in loaded
    assert {f"decoder {name}" for name in pack.components["decoders"]} <= set(loaded)
    assert {f"style {name}" for name in pack.components["styles"]} <= set(loaded)


def test_the_pocket_pack_is_whole(call: Call) -> None:
    code, _, errors = call("verify", POCKET)
    assert (code, errors) == (0, "")


def test_every_damage_is_named_even_what_a_stamp_does_not_notice(call: Call, pack: Pack) -> None:
    texts, weights = pack.components["captions"]["texts"], pack.components["joint_embedding"]["weights"]
    flip(pack.root / texts)
    (pack.root / weights).write_bytes(b"short")
    style = pack.components["styles"]["swift"]
    (pack.root / style).unlink()
    (pack.root / "stray.txt").write_text("not ours")
    code, printed, errors = call("verify", pack.location)
    assert (code, printed) == (1, "")
    for part in (
        f"{texts}: damaged; its sha256 is not the card's",
        f"{weights}: 5 bytes, the card says",
        f"{style}: missing",
        "stray.txt: not in the card",
    ):
        assert errors.count(f"{pack.location}/{part}") == 1, part


def test_a_place_without_a_pack_is_not_whole(call: Call, tmp_path: Path) -> None:
    code, _, errors = call("verify", tmp_path)
    assert code == 1 and f"{tmp_path}: no model pack there" in errors


def drop_a_tensor(writer: PackWriter, pack: Pack) -> None:
    entry = pack.components["joint_embedding"]
    tensors = pack.tensors(entry["weights"])
    tensors.pop("image_projection.bias")
    writer.add_tensors(entry["weights"], tensors)


def spoil_a_style(writer: PackWriter, pack: Pack) -> None:
    writer.components["styles"]["swift"] = writer.add_array("nan.npy", np.array([np.nan] * 48, "f4"))


def narrow_a_style(writer: PackWriter, pack: Pack) -> None:
    writer.components["styles"]["swift"] = writer.add_array("narrow.npy", np.zeros(3, "f4"))


def narrow_a_spread(writer: PackWriter, pack: Pack) -> None:
    writer.components["spreads"] = {"swift": writer.add_array("spread.npy", np.eye(48, 47, dtype="f4"))}


def pickle_a_style(writer: PackWriter, pack: Pack) -> None:
    np.save(writer.root / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    writer.components["styles"]["swift"] = "pickled.npy"


def pickle_weights(writer: PackWriter, pack: Pack) -> None:
    (writer.root / "weights.safetensors").write_bytes(pickle.dumps({"a": torch.zeros(1)}))
    writer.components["joint_embedding"]["weights"] = "weights.safetensors"


def spoil_the_recipe(writer: PackWriter, pack: Pack) -> None:
    writer.components["features"]["preprocessing"] = {"name": "squeeze"}


def empty_the_bank(writer: PackWriter, pack: Pack) -> None:
    writer.components["captions"] = {"texts": writer.add_lines("captions.txt", ["", " "])}


def shorten_the_index(writer: PackWriter, pack: Pack) -> None:
    vectors = writer.add_array("vectors.npy", np.zeros((3, 48), "f4"))
    writer.components["captions"] |= {"sentence_vectors": vectors}


def widen_the_encoder(writer: PackWriter, pack: Pack) -> None:
    writer.components["sentence_encoder"]["dim_word"] += 1


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (drop_a_tensor, "does not fit the card"),
        (spoil_a_style, "nan.npy: holds no finite numbers of shape [48]"),
        (narrow_a_style, "narrow.npy: holds no finite numbers of shape [48]"),
        (narrow_a_spread, "spread.npy: holds no finite numbers of shape [48, 48]"),
        (pickle_a_style, "pickled.npy: not a plain .npy array"),
        (pickle_weights, "weights.safetensors: not a safetensors file"),
        (spoil_the_recipe, "preprocessing must be a recipe"),
        (empty_the_bank, "the caption bank is empty"),
        (shorten_the_index, "3 sentence vectors; index again"),
        (widen_the_encoder, "does not fit the card"),
        (lambda writer, pack: writer.components["decoders"]["romance"].update(family="bird"), "family 'bird'"),
    ],
)
def test_components_that_cannot_be_loaded_are_named(
    call: Call, pack: Pack, tmp_path: Path, spoil: Callable[..., object], part: str
) -> None:
    made = edited(pack, tmp_path / "spoilt", lambda writer: spoil(writer, pack))
    code, printed, errors = call("verify", made.location)
    assert (code, printed) == (1, "") and part in errors


def test_equal_packs_do_not_differ(call: Call, pack: Pack, photo_pack: Pack) -> None:
    code, printed, _ = call("diff", pack.location, photo_pack.location)
    assert code == 0 and printed == f"Equal: both have the digest {pack.digest}\n"


def test_everything_that_differs_is_told(call: Call, pack: Pack, tmp_path: Path) -> None:
    before = edited(pack, tmp_path / "a", lambda writer: writer.card.update(quality={"bleu": 10, "old": 1}))

    def edit(writer: PackWriter) -> None:
        styles = writer.components["styles"]
        styles["sea"] = writer.add_array("sea.npy", np.zeros(48, "f4"))
        writer.components["spreads"] = {"sea": writer.add_array("sea_spread.npy", np.eye(48, dtype="f4"))}
        styles["romance"] = writer.add_array("romance.npy", np.zeros(48, "f4"))
        del styles["swift"]
        writer.components["decoders"]["again"] = dict(writer.components["decoders"]["romance"])
        writer.components["joint_embedding"]["lower"] = True
        writer.card |= {"licence": "mine", "quality": {"bleu": 30, "new": 2}}

    after = edited(before, tmp_path / "b", edit)
    code, printed, _ = call("diff", before.location, after.location)
    lines = [line.split() for line in printed.splitlines()]
    assert code == 1
    for words in (
        ["-", "style", "swift"], ["+", "style", "sea"], ["+", "spread", "sea"], ["+", "decoder", "again"],
        ["+", "sea.npy", "320", "bytes"],
        ["~", "joint_embedding", "lower", "false", "->", "true"], ["bleu", "10", "30"], ["old", "1", "-"],
        ["new", "-", "2"],
    ):  # fmt: skip
        assert words in lines, words
    assert any(words[:4] == ["~", "style", "romance", "file"] for words in lines)
    assert any(words[:2] == ["~", "licence"] and words[-1] == "mine" for words in lines)
    assert not any("decoder romance" in line for line in printed.splitlines())


def test_a_files_new_content_under_its_old_name_differs(call: Call, pack: Pack, tmp_path: Path) -> None:
    style = pack.components["styles"]["swift"]
    shape = pack.array(style).shape
    made = edited(pack, tmp_path / "new", lambda writer: writer.add_array(style, np.ones(shape, "f4")))
    code, printed, _ = call("diff", pack.location, made.location)
    assert code == 1
    assert f"~ {style}" in printed and "with other content" in printed and "~ style swift file" in printed


@pytest.mark.parametrize("scheme", ["", "memory:/"])
def test_a_pushed_pack_is_the_same(call: Call, pack: Pack, tmp_path: Path, bucket: Any, scheme: str) -> None:
    target = f"{scheme}{tmp_path}/there/mine"
    code, printed, _ = call("push", pack.location, target)
    assert code == 0 and f"{len(pack.card['files'])} files copied, 0 were there" in printed
    assert Pack.open(target).digest == pack.digest
    code, printed, _ = call("push", pack.location, target)
    assert code == 0 and "0 files copied" in printed


def test_half_an_upload_is_no_pack_and_goes_on(
    call: Call, pack: Pack, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store fails at the third file; the second one came through cut short."""
    put = type(bucket).put_file
    sent: list[str] = []

    def failing(self: Any, source: str, path: str, **options: Any) -> None:
        if len(sent) == 2:
            bucket.pipe_file(sent[1], b"cut short")
            raise ConnectionError("the line is down")
        sent.append(path)
        put(self, source, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), "put_file", failing)
        code, _, _ = call("push", pack.location, "memory://packs/mine")
    assert code == 1
    assert not bucket.exists("/packs/mine/pack.json")
    with pytest.raises(PackError, match="no pack can be read there"):
        Pack.open("memory://packs/mine")
    order: list[str] = []

    def noted(self: Any, source: str, path: str, **options: Any) -> None:
        assert not bucket.exists("/packs/mine/pack.json")
        order.append(path)
        put(self, source, path, **options)

    monkeypatch.setattr(type(bucket), "put_file", noted)
    code, printed, _ = call("push", pack.location, "memory://packs/mine")
    count = len(pack.card["files"])
    assert code == 0 and f"{count - 1} files copied, 1 were there already" in printed
    assert sent[0] not in order and sent[1] in order and len(order) == count - 1
    assert Pack.open("memory://packs/mine").digest == pack.digest


def test_a_card_that_was_broken_off_is_written_again(call: Call, pack: Pack, tmp_path: Path) -> None:
    assert call("push", pack.location, tmp_path / "there")[0] == 0
    (tmp_path / "there" / "pack.json").write_text('{"format": 1, "na')
    code, printed, _ = call("push", pack.location, tmp_path / "there")
    assert code == 0 and "0 files copied" in printed
    assert Pack.open(str(tmp_path / "there")).digest == pack.digest


def test_another_pack_and_other_files_are_never_overwritten(call: Call, pack: Pack, tmp_path: Path) -> None:
    other = edited(pack, tmp_path / "other", lambda writer: writer.card.update(version="2"))
    card = (other.root / "pack.json").read_bytes()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear")
    code, _, errors = call("push", pack.location, other.location)
    assert code == 2 and f"holds another pack (other, digest {other.digest})" in errors
    assert (other.root / "pack.json").read_bytes() == card
    code, _, errors = call("push", pack.location, tmp_path / "full")
    assert code == 2 and "holds 1 files that are not the pack's, 'diary.txt' first" in errors
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["diary.txt"]


def test_files_that_come_out_otherwise_leave_no_card(
    call: Call, pack: Pack, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(self: Any, source: str, path: str, **options: Any) -> None:
        self.pipe_file(path, b"x" * Path(source).stat().st_size)

    monkeypatch.setattr(type(bucket), "put_file", spoil)
    code, printed, errors = call("push", pack.location, "memory://packs/mine")
    assert (code, printed) == (1, "") and errors.count("damaged; its sha256 is not the card's") == len(
        pack.card["files"]
    )
    assert not bucket.exists("/packs/mine/pack.json")


def test_damaged_packs_are_not_pushed(call: Call, pack: Pack, tmp_path: Path) -> None:
    (pack.root / pack.components["captions"]["texts"]).unlink()
    code, _, errors = call("push", pack.location, tmp_path / "there")
    assert code == 2 and "missing" in errors and not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ([], "COMMAND"),
        (["lists"], "invalid choice: 'lists'"),
        (["show"], "PACK"),
        (["show", "/no/such"], "/no/such: no model pack there"),
        (["show", "nobody://x/y"], "nobody://x/y: no pack can be read there"),
        (["list", "/no/such"], "/no/such: cannot be listed"),
        (["list", "{folder}"], "{folder}: no pack there, nor in the folders directly below it"),
        (["diff", POCKET], "B"),
        (["push", POCKET, "nobody://x/y"], "nobody://x/y"),
        (["verify", POCKET, "--fast"], "--fast"),
    ],
)
def test_wrong_calls_end_with_2(call: Call, tmp_path: Path, argv: list[str], part: str) -> None:
    code, printed, errors = call(*(word.format(folder=tmp_path) for word in argv))
    assert (code, printed) == (2, "") and part.format(folder=tmp_path) in errors


def test_help_names_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(name in printed for name in packs.COMMANDS) and "Exit codes" in printed


def test_a_bug_ends_with_1(call: Call, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise TypeError("a bug")

    monkeypatch.setattr(pack_push, "unlisted", fail)
    assert call("push", pack.location, "memory://packs/bug")[0] == 1
