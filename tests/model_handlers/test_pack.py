"""Model packs: what comes back from them, each kind of damage by name, stamps, copies and hard links."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch

from model_handlers import pack as packs
from model_handlers.machine_cache import cache_folder
from model_handlers.pack import Pack, open_once
from model_handlers.pack_card import PackError, card_digest, file_facts
from model_handlers.pack_writer import PackWriter


def small(output: Path, edit: Callable[[PackWriter], None] | None = None) -> Pack:
    """Returns a pack of two files."""
    writer = PackWriter(str(output))
    writer.components["captions"] = {"texts": writer.add_lines("captions.txt", ["a dog .", "two cats"])}
    writer.components["source_style"] = writer.add_array("styles/source.npy", np.arange(4, dtype=np.float32))
    if edit is not None:
        edit(writer)
    return writer.finish()


def problems(location: Path | str) -> list[str]:
    with pytest.raises(PackError) as caught:
        Pack.open(str(location))
    return caught.value.problems


def edit_card(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / "pack.json").read_text())
    edit(card)
    (folder / "pack.json").write_text(json.dumps(card))


def flip(file: Path, in_place: bool = False) -> None:
    """Flips one bit of a file and keeps its size and time: by a new file in its place, or in the file itself."""
    status = file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    changed = file if in_place else file.with_suffix(".new")
    changed.write_bytes(data)
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    changed.replace(file)


def upload(pack: Pack, bucket: fsspec.AbstractFileSystem) -> None:
    for file in ["pack.json", *pack.card["files"]]:
        bucket.pipe_file(f"/bucket/pack/{file}", (pack.root / file).read_bytes())


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the names of the files hashed from now on."""
    names: list[str] = []

    def counted(path: Path) -> dict[str, Any]:
        names.append(path.name)
        return facts(path)

    facts = file_facts
    monkeypatch.setattr(packs, "file_facts", counted)
    return names


@pytest.fixture
def bucket() -> Iterator[fsspec.AbstractFileSystem]:
    """Returns a store outside this machine's file system, empty before and after."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()


def test_everything_written_comes_back(tmp_path: Path) -> None:
    lines = ["a dog .", "", "  two\tcats \r", "caf\u00e9\u2028x\x85y", "caf\udce9", ""]
    words = [["caf\u00e9", 2], ["caf\udce9", 3]]
    tensors = {"a": torch.tensor([[1.5, -2.25]]), "count": torch.tensor(16777217)}
    table = np.arange(6, dtype=np.float32).reshape(2, 3)

    def edit(writer: PackWriter) -> None:
        writer.components["captions"] = {
            "texts": writer.add_lines("captions.txt", lines),
            "embeddings": "embeddings.npy",
            "sentence_vectors": writer.add_array("vectors.npy", table),
        }
        writer.reserve_array("embeddings.npy", (2, 3), "float32")[:] = table
        writer.components["joint_embedding"] = {
            "weights": writer.add_tensors("joint.safetensors", tensors),
            "vocabulary": writer.add_json("joint.json", words),
        }
        writer.card["name"] = "coco"

    pack = small(tmp_path / "pack", edit)
    assert pack.name == "coco" and pack.location == str(tmp_path / "pack")
    assert pack.lines("captions.txt") == lines
    assert pack.json("joint.json") == words
    assert np.array_equal(pack.array("embeddings.npy"), table)
    assert np.array_equal(pack.array("vectors.npy"), table)
    restored = pack.tensors("joint.safetensors")
    assert torch.equal(restored["a"], tensors["a"]) and restored["count"].item() == 16777217
    assert oct((tmp_path / "pack").stat().st_mode & 0o777) == "0o755"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("lines", [[], [""], ["", ""], ["a"]])
def test_lines_are_kept_to_the_last_empty_one(tmp_path: Path, lines: list[str]) -> None:
    def edit(writer: PackWriter) -> None:
        writer.components["captions"] = {"texts": writer.add_lines("captions.txt", lines)}

    assert small(tmp_path / "pack", edit).lines("captions.txt") == lines


def test_everybody_may_read_a_pack(tmp_path: Path) -> None:
    def edit(writer: PackWriter) -> None:
        writer.components["features"] = {"weights": writer.add_tensors("f.safetensors", {"w": torch.zeros(1)})}

    pack = small(tmp_path / "pack", edit)
    assert {pack.path(file).stat().st_mode & 0o044 for file in pack.card["files"]} == {0o044}


def test_half_precision_is_widened(tmp_path: Path) -> None:
    weights = {"w": torch.tensor([1.0, 1 / 3, 65504.0]), "count": torch.tensor(100_000)}

    def edit(writer: PackWriter) -> None:
        writer.components["features"] = {"weights": writer.add_tensors("f.safetensors", weights, half=True)}

    pack = small(tmp_path / "pack", edit)
    assert pack.path("f.safetensors").stat().st_size < 200
    restored = pack.tensors("f.safetensors")
    assert restored["w"].dtype == torch.float32 and torch.equal(restored["w"], weights["w"].half().float())
    assert restored["count"].item() == 100_000


def test_what_is_written_to_an_array_never_reaches_the_file(tmp_path: Path) -> None:
    pack = small(tmp_path / "pack")
    pack.array("styles/source.npy")[:] = 7
    assert pack.array("styles/source.npy").tolist() == [0, 1, 2, 3]


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    first, again = small(tmp_path / "one" / "pack"), small(tmp_path / "two" / "pack")
    assert first.digest == again.digest == Pack.open(first.location).digest
    listed = json.dumps(json.loads((first.root / "pack.json").read_text()), sort_keys=True)
    assert first.digest == hashlib.sha256(listed.encode()).hexdigest()

    def edit(writer: PackWriter) -> None:
        writer.add_array("styles/source.npy", np.arange(1, 5, dtype=np.float32))

    assert small(tmp_path / "three" / "pack", edit).digest != first.digest


def test_a_relative_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = small(tmp_path / "pack")
    monkeypatch.chdir(tmp_path)
    assert Pack.open("pack").digest == pack.digest
    assert Pack.open(f"file://{tmp_path}/pack").root == tmp_path / "pack"


def test_each_damaged_file_is_named(tmp_path: Path) -> None:
    folder = small(tmp_path / "pack").root
    flip(folder / "captions.txt")
    flip(folder / "styles/source.npy")
    assert problems(folder) == [
        f"{folder}/{file}: damaged; its sha256 is not the card's. Copy it again"
        for file in ("captions.txt", "styles/source.npy")
    ]


def test_each_short_or_missing_file_is_named(tmp_path: Path) -> None:
    folder = small(tmp_path / "pack").root
    (folder / "captions.txt").write_bytes(b"a dog")
    (folder / "styles/source.npy").unlink()
    assert problems(folder) == [
        f"{folder}/captions.txt: 5 bytes, the card says 17. Copy it again",
        f"{folder}/styles/source.npy: missing. Copy the whole pack again",
    ]


def test_a_folder_without_a_card_is_no_pack(tmp_path: Path) -> None:
    assert problems(tmp_path) == [f"{tmp_path}: no model pack there (pack.json is missing)"]
    assert problems(tmp_path / "nothing") == [f"{tmp_path}/nothing: no model pack there (pack.json is missing)"]


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe{}"])
def test_a_card_that_is_no_json_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pack.json").write_bytes(content)
    (problem,) = problems(tmp_path)
    assert problem.startswith(f"{tmp_path}/pack.json: cannot be read (")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda card: card.update(format=2), ["pack format 2; this version reads format 1"]),
        (lambda card: card.pop("format"), ["pack format None; this version reads format 1"]),
        (
            lambda card: (card.pop("name"), card.update(files=[])),
            ["name is missing or not a str", "files is missing or not a dict"],
        ),
        (lambda card: card.update(defaults="romance"), ["defaults is not a dict"]),
        (
            lambda card: card["components"].update(styles={"sea": "sea.npy"}),
            ["a component names 'sea.npy', which is not among the files"],
        ),
        (
            lambda card: card["components"].update(decoders=["sea"]),
            ["decoders does not have the form that this version reads"],
        ),
        (
            lambda card: card["components"].update(captions="captions.txt", decoders={"sea": None}),
            [f"{name} does not have the form that this version reads" for name in ("captions", "decoder sea")],
        ),
        (
            lambda card: card["components"].update(styles={"sea": {"file": "sea.npy"}}),
            ["file name {'file': 'sea.npy'} does not have the form that this version reads"],
        ),
        (
            lambda card: card["components"].update(
                caption_writer={"family": "gru", "weights": "writer.safetensors", "vocabulary": 3}
            ),
            ["file name 3 does not have the form that this version reads"],
        ),
        (
            lambda card: card["components"].update(caption_writer={"family": "gru", "weights": "writer.safetensors"}),
            ["a component names 'writer.safetensors', which is not among the files"],
        ),
        (lambda card: card["files"].update({"captions.txt": {"bytes": 17}}), ["captions.txt has no sha256 or bytes"]),
    ],
)
def test_wrong_cards_are_refused(tmp_path: Path, edit: Callable[[dict[str, Any]], object], expected: list[str]) -> None:
    folder = small(tmp_path / "pack").root
    edit_card(folder, edit)
    assert problems(folder) == [f"{folder}/pack.json: {problem}" for problem in expected]


def test_a_card_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pack.json").write_text("[1]")
    assert problems(tmp_path) == [f"{tmp_path}/pack.json: pack format None; this version reads format 1"]


@pytest.mark.parametrize("file", ["../outside.txt", "/etc/hostname", "styles/../../outside.txt", "..\\x", ".", ""])
def test_paths_outside_the_pack_are_refused(tmp_path: Path, file: str) -> None:
    folder = small(tmp_path / "pack").root
    (tmp_path / "outside.txt").write_text("secret")
    edit_card(folder, lambda card: card["files"].update({file: file_facts(tmp_path / "outside.txt")}))
    assert problems(folder) == [f"{folder}/pack.json: the file {file!r} is outside the pack; refused"]


def test_files_and_components_that_are_not_there_are_named(tmp_path: Path) -> None:
    pack = small(tmp_path / "pack")
    (pack.root / "stray.npy").write_bytes(b"")
    for read in (pack.path, pack.array, pack.tensors, pack.json, pack.lines):
        with pytest.raises(PackError, match="stray.npy is not among the pack's files"):
            read("stray.npy")
    with pytest.raises(PackError, match="the pack has no features; it has captions, source_style"):
        pack.component("features")


def test_files_of_the_wrong_kind_are_told_and_pickles_are_not_read(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    def edit(writer: PackWriter) -> None:
        np.save(writer._replace("styles/source.npy"), np.array([Bomb()], dtype=object), allow_pickle=True)
        writer.components["features"] = {"weights": writer.add_lines("f.safetensors", ["no weights"])}

    pack = small(tmp_path / "pack", edit)
    with pytest.raises(PackError, match="styles/source.npy: not a plain .npy array"):
        pack.array("styles/source.npy")
    with pytest.raises(PackError, match="captions.txt: not a plain .npy array"):
        pack.array("captions.txt")
    with pytest.raises(PackError, match="f.safetensors: not a safetensors file"):
        pack.tensors("f.safetensors")
    assert not (tmp_path / "exploded").exists()


def test_a_pack_is_hashed_once(tmp_path: Path, hashed: list[str]) -> None:
    folder = small(tmp_path / "pack").root
    hashed.clear()
    Pack.open(str(folder))
    assert hashed == []
    for stamp in (cache_folder() / "stamps").iterdir():
        stamp.write_text("{")
    Pack.open(str(folder))
    assert hashed == ["captions.txt", "source.npy"]


def test_a_stamp_does_not_cover_files_put_in_its_files_place(tmp_path: Path) -> None:
    """A new file of the same size and time is another file."""
    folder = small(tmp_path / "pack").root
    flip(folder / "captions.txt")
    assert "captions.txt: damaged" in problems(folder)[0]
    assert "captions.txt: damaged" in problems(folder)[0]  # damage leaves no stamp


def test_a_stamp_is_trusted_where_the_file_its_size_and_its_time_stay(tmp_path: Path) -> None:
    folder = small(tmp_path / "pack").root
    flip(folder / "captions.txt", in_place=True)
    assert Pack.open(str(folder)).name == "pack"


def test_a_cache_that_cannot_be_written_only_costs_hashing(tmp_path: Path, hashed: list[str]) -> None:
    (tmp_path / "home").write_text("no folder")
    folder = small(tmp_path / "pack").root
    hashed.clear()
    assert Pack.open(str(folder)).name == "pack"
    assert hashed == ["captions.txt", "source.npy"]


def test_an_older_pack_is_completed_without_being_touched(tmp_path: Path) -> None:
    old = small(tmp_path / "old", lambda writer: writer.card.update(quality={"bleu": 1}))
    before = {path: path.read_bytes() for path in old.root.rglob("*") if path.is_file()}
    writer = PackWriter(str(tmp_path / "new"), base=old)
    writer.components["styles"] = {"sea": writer.add_array("sea.npy", np.ones(4, np.float32))}
    writer.components["source_style"] = writer.add_array("styles/source.npy", np.full(4, 9, np.float32))
    new = writer.finish()
    assert {path: path.read_bytes() for path in old.root.rglob("*") if path.is_file()} == before
    assert Pack.open(old.location).array("styles/source.npy").tolist() == [0, 1, 2, 3]
    assert new.array("styles/source.npy").tolist() == [9] * 4 and new.array("sea.npy").tolist() == [1] * 4
    assert new.lines("captions.txt") == old.lines("captions.txt") and new.card["quality"] == {"bleu": 1}
    assert (new.root / "captions.txt").samefile(old.root / "captions.txt")
    assert new.digest != old.digest


def test_every_way_to_write_spares_the_older_pack(tmp_path: Path) -> None:
    old = small(tmp_path / "old")
    writer = PackWriter(str(tmp_path / "new"), base=old)
    writer.reserve_array("styles/source.npy", (4,), "float32")[:] = 5
    writer.add_lines("captions.txt", ["new"])
    writer.add_json("captions.txt", ["newer"])
    writer.add_tensors("captions.txt", {"w": torch.ones(1)})
    writer.finish()
    again = Pack.open(old.location)
    assert again.array("styles/source.npy").tolist() == [0, 1, 2, 3]
    assert again.lines("captions.txt") == ["a dog .", "two cats"]
    assert [file_facts(old.root / file) for file in old.card["files"]] == list(old.card["files"].values())


def test_files_are_copied_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("other device")

    old = small(tmp_path / "old")
    monkeypatch.setattr(os, "link", refuse)
    new = PackWriter(str(tmp_path / "new"), base=old).finish()
    assert new.lines("captions.txt") == old.lines("captions.txt")
    assert not (new.root / "captions.txt").samefile(old.root / "captions.txt")


def test_files_that_no_component_names_any_more_are_left_out(tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path / "new"), base=small(tmp_path / "old"))
    del writer.components["source_style"]
    assert list(writer.finish().card["files"]) == ["captions.txt"]
    assert sorted(path.name for path in (tmp_path / "new").rglob("*") if path.is_file()) == [
        "captions.txt",
        "pack.json",
    ]


def test_packs_are_never_overwritten(tmp_path: Path) -> None:
    old = small(tmp_path / "old")
    for output in (old.location, f"{tmp_path}/x/../old", f"{old.location}/"):
        with pytest.raises(PackError, match="exists already; packs are immutable, name a new folder"):
            PackWriter(output, base=old)
    with pytest.raises(PackError, match="gs://bucket/new: packs are written to local folders"):
        PackWriter("gs://bucket/new", base=old)


def test_a_pack_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path / "new"))
    writer.add_lines("captions.txt", ["a"])
    assert not (tmp_path / "new").exists()
    writer.discard()
    assert [path for path in tmp_path.iterdir() if "new" in path.name] == []


def test_a_remote_pack_is_copied_and_hashed_once(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    local = small(tmp_path / "pack")
    upload(local, bucket)
    hashed.clear()
    pack = Pack.open("memory://bucket/pack")
    assert pack.digest == local.digest and pack.location == "memory://bucket/pack"
    assert pack.root == cache_folder() / "packs" / local.digest
    assert pack.lines("captions.txt") == local.lines("captions.txt")
    assert hashed == ["captions.txt", "source.npy"]

    def refuse(*arguments: Any) -> None:
        raise AssertionError("copied twice")

    monkeypatch.setattr(type(bucket), "get_file", refuse)
    assert Pack.open("memory://bucket/pack").digest == local.digest
    assert hashed == ["captions.txt", "source.npy"]
    assert [path.name for path in (cache_folder() / "packs").iterdir()] == [local.digest]


def test_a_remote_pack_that_was_damaged_can_be_opened_once_it_is_repaired(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem
) -> None:
    local = small(tmp_path / "pack")
    upload(local, bucket)
    bucket.pipe_file("/bucket/pack/captions.txt", b"a dog .\ntwo bats\n")
    assert problems("memory://bucket/pack") == [
        "memory://bucket/pack/captions.txt: damaged; its sha256 is not the card's. Copy it again"
    ]
    bucket.rm_file("/bucket/pack/captions.txt")
    (problem,) = problems("memory://bucket/pack")
    assert problem.startswith("memory://bucket/pack: the pack could not be copied (FileNotFoundError")
    assert list((cache_folder() / "packs").iterdir()) == []
    upload(local, bucket)
    assert Pack.open("memory://bucket/pack").digest == local.digest


def test_half_copies_that_killed_processes_left_go(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> None:
    upload(small(tmp_path / "pack"), bucket)
    old, young = (cache_folder() / "packs" / name for name in (".old", ".young"))
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "captions.txt").write_bytes(b"a d")
    os.utime(old, (0, 0))
    Pack.open("memory://bucket/pack")
    assert not old.exists() and young.exists()


def test_remote_cards_are_checked_before_anything_is_copied(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> None:
    (problem,) = problems("memory://bucket/nothing")
    assert problem.startswith("memory://bucket/nothing: no pack can be read there (FileNotFoundError")
    (problem,) = problems("nowhere://bucket/pack")
    assert problem.startswith("nowhere://bucket/pack: no pack can be read there (ValueError")
    files = {"../../escaped": {"sha256": "", "bytes": 1}}
    card = {"format": 1, "name": "x", "components": {}, "files": files}
    bucket.pipe_file("/bucket/pack/pack.json", json.dumps(card).encode())
    assert "is outside the pack" in problems("memory://bucket/pack")[0]
    assert not (cache_folder() / "packs" / card_digest(card)).exists()


def test_a_pack_is_opened_once_a_process(tmp_path: Path) -> None:
    pack = small(tmp_path / "pack")
    assert open_once(pack.location, pack.digest) is open_once(pack.location, pack.digest)


def test_a_pack_replaced_meanwhile_is_refused(tmp_path: Path) -> None:
    pack = small(tmp_path / "pack")
    pack.root.rename(tmp_path / "old")
    new = small(tmp_path / "pack", lambda writer: writer.card.update(version="2"))
    with pytest.raises(PackError, match=f"replaced during the run .digest {new.digest}, expected {pack.digest}"):
        open_once(pack.location, pack.digest)
    assert open_once(new.location, new.digest).card["version"] == "2"


def test_pack_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(PackError(["one", "two"])))
    assert error.problems == ["one", "two"] and str(error) == "one; two"
    again = type(error)(f"{error} [while running 'Tell']")  # as Beam does
    assert str(again) == "one; two [while running 'Tell']" == again.problems[0]
