"""The import command on tiny folders: what a pack gets, what is listed as missing, and how damage is reported."""

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model_handlers.pack import Pack
from pipelines.import_originals import main
from pipelines.originals import published
from pipelines.originals.published import Published, is_published

CPU = torch.device("cpu")


@pytest.fixture
def run(originals: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Returns the command: its exit code and what it printed, on the folder of `originals`."""

    def call(*flags: str) -> tuple[int, str]:
        code = main(["--source", str(originals.folder), "--output", str(tmp_path / "pack"), *flags])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


def pack_at(tmp_path: Path) -> Pack:
    return Pack.open(str(tmp_path / "pack"))


def edit(path: Path, **changes: Any) -> None:
    """Replaces arrays of an `.npz` file; None takes one away."""
    arrays = dict(np.load(path)) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def test_everything_becomes_a_pack(originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    originals.everything()
    code, printed = run("--name", "storyteller 2015")
    assert code == 0 and "missing" not in printed
    pack = pack_at(tmp_path)
    assert sorted(pack.components) == [
        "captions", "decoders", "features", "joint_embedding", "sentence_encoder", "source_style", "styles",
    ]  # fmt: skip
    assert pack.name == "storyteller 2015"
    assert pack.card["defaults"] == {"decoder": "romance", "style": "romance"}
    assert "non-commercial" in pack.card["licence"] and "COCO" in pack.card["training_data"]
    assert pack.component("features")["preprocessing"] == {"name": "original"}
    assert pack.component("features")["widths"] == [1] * 16
    decoder = pack.component("decoders")["romance"]
    sizes = {name: decoder[name] for name in ("dim_context", "dim_word", "dim", "n_words", "deep_output")}
    assert sizes == {"dim_context": 13, "dim_word": 5, "dim": 8, "n_words": 9, "deep_output": True}
    encoder = pack.component("sentence_encoder")
    assert (encoder["uni"], encoder["bi"], encoder["dim_word"], encoder["texts"]) == (7, 3, 5, "bytes")
    for array in (pack.array(pack.component("source_style")), pack.array(pack.component("styles")["romance"])):
        assert array.shape == (13,) and array.dtype == np.float32
    assert not list(tmp_path.glob(".pack*"))


def test_the_networks_of_the_pack_run(originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    originals.everything()
    run()
    pack = pack_at(tmp_path)
    captions = pack.lines(pack.component("captions")["texts"])
    assert captions == ["A dog .", "a cat..", "A dog .", "a caf\udce9\udc85x"]
    embeddings = pack.joint_embedding.open(pack, CPU).embed(captions)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    encoder = pack.sentence_encoder.open(pack, CPU)
    assert encoder.width == 13
    assert encoder.rows("the dog tra zzz") == [0, 5, 6, 6]  # the later of two equal words wins
    assert encoder.encode(["the dog"]).shape == (1, 13)
    net = pack.decoder("romance").load(pack, CPU)
    assert net.initial_state(torch.zeros(1, 13)).shape == (1, 8)
    assert pack.features.load(pack, CPU)(torch.zeros(1, 3, 224, 224)).shape == (1, 12)


def test_table_words_end_only_at_line_feeds(
    originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    originals.skip()
    run()
    words = pack_at(tmp_path).json("sentence_encoder.words.json")
    assert words == ["the", "dog", "tra\u2028p", "tra\x85p", "", "dog", "UNK", "<eos>"]


def test_bytes_of_a_dictionary_survive(originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    originals.joint()
    content = (originals.folder / "coco_embedding.npz.dictionary.pkl").read_bytes()
    originals.write("coco_embedding.npz.dictionary.pkl", content.replace(b"\\xc3\\xa9", b"\\xe9"))
    run()
    pairs = pack_at(tmp_path).json("joint_embedding.words.json")
    assert [word.encode("utf-8", "surrogateescape") for word, _ in pairs][3] == b"caf\xe9"
    assert [number for _, number in pairs] == list(range(2, 8))


@pytest.mark.parametrize(("part", "width"), [("uni", 7), ("bi", 6)])
def test_one_part_of_the_encoder_is_enough(
    originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path, part: str, width: int
) -> None:
    originals.skip()
    other = "bi" if part == "uni" else "uni"
    for name in (f"{other}_skip.npz", f"{other}_skip.npz.pkl", f"{other[0]}table.npy"):
        (originals.folder / name).unlink()
    code, printed = run()
    assert code == 0 and f"missing  {other}_skip.npz" in printed
    pack = pack_at(tmp_path)
    entry = pack.component("sentence_encoder")
    assert f"{other}_table" not in entry and entry[other] == 0
    assert pack.sentence_encoder.open(pack, CPU).encode(["the dog"]).shape == (1, width)


def test_what_is_missing_is_listed_and_the_rest_is_made(
    originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    originals.styles()
    code, printed = run()
    assert code == 0
    missing = [line for line in printed.splitlines() if line.startswith("missing")]
    for name in ("vgg19.pkl (or VGG_ILSVRC", "coco_embedding.npz:", "coco_embedding.npz.pkl", "coco_train_caps.txt",
                 "utable.npy", "btable.npy", "uni_skip.npz:", "dictionary.txt", "romance.npz"):  # fmt: skip
        assert any(line.startswith(f"missing  {name}") for line in missing), name
    assert sorted(pack_at(tmp_path).components) == ["source_style", "styles"]


def test_an_empty_folder_makes_no_pack(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, printed = run()
    assert code == 2 and "holds no original file that can be used" in printed
    assert not (tmp_path / "pack").exists() and not list(tmp_path.glob(".pack*"))


def test_no_folder_and_a_taken_output_are_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--source", str(tmp_path / "absent"), "--output", str(tmp_path / "pack")]) == 2
    assert "no such folder" in capsys.readouterr().err
    (tmp_path / "pack").mkdir()
    assert main(["--source", str(tmp_path), "--output", str(tmp_path / "pack")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_folder_below_counts_too(originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    originals.styles()
    (originals.folder / "unzipped").mkdir()
    os.rename(originals.folder / "romance_style.npy", originals.folder / "unzipped" / "romance_style.npy")
    assert run()[0] == 0
    assert "romance" in pack_at(tmp_path).component("styles")


def test_decoders_find_their_words(originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    originals.decoder("b_first", dictionary="b_first_dictionary.pkl")
    originals.decoder("shallow", deep=False, dictionary="shallow.npz.dictionary.pkl")
    np.savez(originals.folder / "other.npz", W=np.zeros(3))
    assert run()[0] == 0
    pack = pack_at(tmp_path)
    decoders = pack.component("decoders")
    assert sorted(decoders) == ["b_first", "shallow"] and not decoders["shallow"]["deep_output"]
    for name, entry in decoders.items():
        assert pack.json(entry["vocabulary"])[0] == [f"{name}2", 2]
    assert pack.card["defaults"] == {"decoder": "b_first"}


def test_the_only_dictionary_serves_every_decoder(
    originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    originals.joint()
    originals.decoder("romance", dictionary="romance_dictionary.pkl")
    originals.decoder("deep", deep=True)
    assert run()[0] == 0
    pack = pack_at(tmp_path)
    assert pack.json(pack.component("decoders")["deep"]["vocabulary"])[0] == ["romance2", 2]
    assert any("deep.npz: takes its words from" in note for note in pack.card["provenance"]["notes"])


def test_a_decoder_between_several_dictionaries_is_a_problem(
    originals: Any, run: Callable[..., tuple[int, str]]
) -> None:
    originals.decoder("one", dictionary="one_dictionary.pkl")
    originals.decoder("two", dictionary="two_dictionary.pkl")
    originals.decoder("third")
    code, printed = run()
    assert code == 2
    assert "third.npz: which of one_dictionary.pkl, two_dictionary.pkl has its words? Copy the right one to" in printed


def test_a_decoder_without_any_dictionary_is_left_out(originals: Any, run: Callable[..., tuple[int, str]]) -> None:
    originals.styles()
    originals.decoder("romance")
    code, printed = run()
    assert code == 0 and "missing  romance_dictionary.pkl: the decoder romance.npz is left out" in printed


def test_a_bag_of_words_is_imported(originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    originals.joint()
    options = {"encoder": "bow", "dim": 6, "dim_word": 6, "dim_image": 12, "n_words": 6}
    arrays = {
        "Wemb": originals.numbers(6, 6),
        "ff_image_W": originals.numbers(12, 6),
        "ff_image_b": originals.numbers(6),
    }
    originals.network("coco_embedding.npz", arrays, options)
    assert run()[0] == 0
    assert (made := pack_at(tmp_path)).joint_embedding.open(made, CPU).embed(["a dog"]).shape == (1, 6)


def test_an_unknown_encoder_is_a_problem(originals: Any, run: Callable[..., tuple[int, str]]) -> None:
    originals.joint()
    content = (originals.folder / "coco_embedding.npz.pkl").read_bytes()
    originals.write("coco_embedding.npz.pkl", content.replace(b"S'gru'", b"S'lstm'"))
    code, printed = run()
    assert code == 2 and "coco_embedding.npz.pkl: the encoder is 'lstm'; of the originals gru and bow exist" in printed


def test_the_first_form_of_vgg_is_taken(originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    originals.everything()
    originals.write("vgg.pth", b"not looked at")
    originals.write("VGG_ILSVRC_19_layers.caffemodel", b"not looked at")
    assert run()[0] == 0
    notes = pack_at(tmp_path).card["provenance"]["notes"]
    assert "VGG_ILSVRC_19_layers.caffemodel: not used, vgg19.pkl comes first of .pkl, .caffemodel, .pth" in notes


def test_all_damage_is_reported_at_once(originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    originals.everything()
    folder = originals.folder
    for name in ("vgg19.pkl", "coco_embedding.npz", "utable.npy", "romance_style.npy", "coco_embedding.npz.pkl"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) * 2 // 3])
    originals.write("romance_dictionary.pkl", b"cos\nsystem\n(S'echo pwned > /tmp/pwned'\ntR.")
    originals.write("dictionary.txt", b"the\ndog\n")
    originals.write("coco_train_caps.txt", b"\n\n")
    edit(folder / "bi_skip.npz", encoder_r_U=np.zeros((2, 2), "float32"), encoder_b=None)
    code, printed = run()
    assert code == 2
    problems = [line.removeprefix("  - ") for line in printed.splitlines() if line.startswith("  - ")]
    for name in ("vgg19.pkl", "utable.npy", "romance_style.npy", "coco_embedding.npz.pkl", "romance_dictionary.pkl",
                 "dictionary.txt", "coco_train_caps.txt", "bi_skip.npz"):  # fmt: skip
        assert any(problem.startswith(f"{name}:") for problem in problems), name
    assert not (tmp_path / "pack").exists() and not list(tmp_path.glob(".pack*"))


Change = Callable[[Any], None]

MISFITS: dict[str, tuple[Change, str]] = {
    "rows of a table": (
        lambda o: o.write("dictionary.txt", b"UNK\nthe\n"),
        "utable.npy: 8 rows for the 2 words of dictionary.txt",
    ),
    "word width of an encoder": (
        lambda o: edit(o.folder / "uni_skip.npz", **o.gru("encoder", 4, 7)),
        "uni_skip.npz.pkl: says dim_word is 5, the arrays say 4",
    ),
    "an encoder's own arrays": (
        lambda o: edit(o.folder / "uni_skip.npz", encoder_U=o.numbers(7, 7)),
        "uni_skip.npz: encoder_U has shape (7, 7) where the other sizes want (7, 14)",
    ),
    "a decoder's own arrays": (
        lambda o: edit(o.folder / "romance.npz", ff_logit_W=o.numbers(8, 9)),
        "romance.npz: ff_logit_W has shape (8, 9) where the other sizes want (5, 9)",
    ),
    "a decoder without its deep output": (
        lambda o: edit(o.folder / "romance.npz", ff_hid_W=None),
        "romance.npz: ff_hid_W is missing",
    ),
    "a decoder's context": (
        lambda o: edit(o.folder / "romance.npz", ff_state_W=o.numbers(12, 8)),
        "romance.npz.pkl: says dimctx is 13, the arrays say 12",
    ),
    "numbers that are not finite": (
        lambda o: edit(o.folder / "romance.npz", Wemb=np.full((9, 5), np.nan, "float32")),
        "romance.npz: Wemb: holds numbers that are not finite",
    ),
    "a style of another width": (
        lambda o: np.save(o.folder / "swift_style.npy", o.numbers(12)),
        "swift_style.npy: made for sentence vectors of 12, the sentence encoder gives 13",
    ),
    "a style that is a table": (
        lambda o: np.save(o.folder / "swift_style.npy", o.numbers(2, 13)),
        "swift_style.npy: has shape (2, 13), not one vector",
    ),
    "photos and joint embedding": (
        lambda o: o.write("vgg19.pkl", o.lasagne(o.vgg_arrays(width=11))),
        "coco_embedding.npz: reads feature vectors of 12, VGG-19 here gives 11",
    ),
    "word vectors and options": (
        lambda o: edit(o.folder / "coco_embedding.npz", Wemb=o.numbers(5, 4)),
        "coco_embedding.npz.pkl: says n_words is 6, the arrays say 5",
    ),
    "a missing option": (
        lambda o: o.write("romance.npz.pkl", (o.folder / "romance.npz.pkl").read_bytes().replace(b"dimctx", b"other_")),
        "romance.npz.pkl: the option 'dimctx' is missing or no int",
    ),
    "options that are no dictionary": (
        lambda o: o.write("romance.npz.pkl", b"]."),
        "romance.npz.pkl: no dictionary of options",
    ),
    "a dictionary of other things": (
        lambda o: o.write("romance_dictionary.pkl", o.text(OrderedDict([("a", 2), ("b", 1.5)]))),
        "romance_dictionary.pkl: 1 of 2 entries are not a word and its number",
    ),
    "a line that is not UTF-8": (
        lambda o: o.write("dictionary.txt", b"UNK\n\xff\n"),
        "dictionary.txt: line 2 is not UTF-8",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_named(
    originals: Any, run: Callable[..., tuple[int, str]], pickled: dict[str, Any], name: str
) -> None:
    originals.everything()
    originals.lasagne, originals.text = pickled["lasagne"], pickled["text"]
    change, message = MISFITS[name]
    change(originals)
    code, printed = run()
    assert code == 2 and f"  - {message}" in printed


def test_float64_is_converted_with_a_note(originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    originals.styles()
    np.save(originals.folder / "romance_style.npy", np.ones(13))
    assert run()[0] == 0
    pack = pack_at(tmp_path)
    assert pack.array("styles/romance.npy").dtype == np.float32
    assert "romance_style.npy: converted from float64 to float32" in pack.card["provenance"]["notes"]


def test_files_that_are_not_the_published_ones_are_marked(
    originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    originals.everything()
    code, printed = run()
    assert code == 0 and "warning  utable.npy: differs from the published file of that name" in printed
    marks = json.loads((tmp_path / "pack" / "pack.json").read_text())["published"]
    assert marks["utable.npy"] is False and marks["coco_embedding.npz.pkl"] is False
    assert "romance.npz" not in marks  # nothing is known of its hash


def test_published_only_makes_that_an_error(
    originals: Any, run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    originals.everything()
    code, printed = run("--published-only")
    assert code == 2 and "  - utable.npy: is not the published file" in printed
    assert not (tmp_path / "pack").exists()


def test_published_files_are_known_by_size_and_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "utable.npy"
    path.write_bytes(b"vectors")
    assert is_published(path) is False and is_published(tmp_path / "unheard.of") is None
    for algorithm in ("sha256", "md5"):
        digest = hashlib.new(algorithm, b"vectors").hexdigest()
        monkeypatch.setitem(published.FILES, "utable.npy", Published(7, algorithm, digest))
        assert is_published(path) is True
        monkeypatch.setitem(published.FILES, "utable.npy", Published(7, algorithm, digest[::-1]))
        assert is_published(path) is False
    monkeypatch.setitem(published.FILES, "utable.npy", Published(7))
    assert is_published(path) is True
