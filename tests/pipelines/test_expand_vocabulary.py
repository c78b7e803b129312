"""More words for a pack's sentence encoder: which words, their vectors, what stays the same, and errors."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from configs.schema import ConfigError
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines import packs
from pipelines.corpora.texts import Vocabulary
from pipelines.expand_vocabulary import main
from pipelines.pack_tools import vocabulary as new_words
from pipelines.pack_tools.vocabulary import predicted_share, read_lines, rows_to_fit
from pipelines.training.packing.assembly import _add_sentence_encoder, add_decoder
from pipelines.training.recipes import transfer as growing
from pipelines.training.recipes.thoughts import Autoencoder, ThoughtsConfig
from pipelines.training.recipes.transfer import decoder_of, grow, pack_encoder, read_start

CPU = torch.device("cpu")
VOWELS = "aeiou"
UNI = np.linspace(-1, 1, 30).reshape(3, 10)  # [D + 1, W]
BI = np.linspace(2, -1, 30).reshape(3, 10)  # [D + 1, W]
TEXT = "a zebra saw an okapi .\r\nThe okapi (a Zebra) ran.\n\nThe zebra and the okapi ran !\nOne quagga sat."
LACKING = ("The", "a", "an")
NEW = ["okapi", "The", "a", "ran", "zebra"]
COUNT = 182  # words of the old pack

Expand = Callable[..., tuple[int, str, str]]


def outside_vectors(words: list[str]) -> np.ndarray:
    """Returns made-up outside vectors `[N, D]`: letters and vowels of each word."""
    return np.asarray([[len(word), sum(letter in VOWELS for letter in word)] for word in words], np.float32)


def foretold(words: list[str], linear: np.ndarray) -> np.ndarray:
    """Returns word vectors `[N, W]` that are linear in the outside vectors, by a map `[D + 1, W]`."""
    return np.concatenate([outside_vectors(words), np.ones((len(words), 1))], axis=1) @ linear


def edited(pack: Pack, output: Path, edit: Callable[[PackWriter], object]) -> Pack:
    writer = PackWriter(str(output), pack)
    edit(writer)
    return writer.finish()


def sentence_words(pack: Pack) -> list[str]:
    words: list[str] = pack.json(pack.component("sentence_encoder")["words"])
    return words


def table(pack: Pack, part: str = "uni") -> np.ndarray:
    return pack.array(pack.component("sentence_encoder")[f"{part}_table"])


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives words outside vectors without wordllama."""
    monkeypatch.setattr(new_words, "PACKAGES", ())
    for module in (new_words, growing):
        monkeypatch.setattr(module, "outside_vectors", outside_vectors)


@pytest.fixture
def old(story_pack: Pack, tmp_path: Path) -> Pack:
    """Returns the golden pack, as one of 2015, less a few of its words; its tables are linear in the outside vectors,
    but for the row of the unknown word."""

    def edit(writer: PackWriter) -> None:
        entry = writer.components["sentence_encoder"]
        words = [word for word in sentence_words(story_pack) if word not in LACKING]
        writer.add_json(entry["words"], words)
        for part, linear, kind in (("uni", UNI, np.float32), ("bi", BI, np.float16)):
            rows = foretold(words, linear).astype(kind)  # [V, W]
            rows[words.index("UNK")] = 100
            writer.add_array(entry[f"{part}_table"], rows)

    return edited(story_pack, tmp_path / "old", edit)


@pytest.fixture
def expand(old: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Expand:
    """Returns a function that expands a pack by the files in `texts/`; it returns the exit code, stdout and stderr."""
    (tmp_path / "texts").mkdir()

    def run(*argv: str, text: str | bytes = TEXT, pack: Pack = old, output: str = "new") -> tuple[int, str, str]:
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "texts" / "a [1].txt").write_bytes(data)
        capsys.readouterr()
        flags = ["--pack", pack.location, "--output", f"{tmp_path}/{output}", f"--texts={tmp_path}/texts/*.txt"]
        code = main([*flags, *argv])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_words_of_the_texts_join_the_old_ones(expand: Expand, old: Pack, tmp_path: Path) -> None:
    code, printed, errors = expand()
    new = Pack.open(f"{tmp_path}/new")
    assert code == 0, errors
    assert sentence_words(new) == sentence_words(old) + NEW, "by falling count, then by name; an but once"
    assert f"{tmp_path}/new: 5 new words, most frequent 'okapi' (digest {new.digest[:12]})" in printed
    assert new.component("sentence_encoder") == old.component("sentence_encoder") | {"learned_words": COUNT}
    assert new.card["new_words"] == {"words": 5, "files": 1, "foretold": 1.0}


def test_old_rows_stay_and_new_ones_follow_the_linear_map(expand: Expand, old: Pack, tmp_path: Path) -> None:
    assert expand()[0] == 0
    new = Pack.open(f"{tmp_path}/new")
    for part, linear, kind in (("uni", UNI, np.float32), ("bi", BI, np.float16)):
        before, after = table(old, part), table(new, part)
        assert after.dtype == before.dtype == kind
        assert after[: len(before)].tobytes() == before.tobytes()
        np.testing.assert_allclose(after[len(before) :], foretold(NEW, linear), atol=0.01)


def test_sentence_vectors_change_where_there_are_new_words(expand: Expand, old: Pack, tmp_path: Path) -> None:
    assert expand()[0] == 0
    before, after = (pack.sentence_encoder.open(pack, CPU) for pack in (old, Pack.open(f"{tmp_path}/new")))
    known = ["A woman standing .", "qwrtp on the beach", "quagga", "caf\u00e9"]  # the last two stay unknown
    np.testing.assert_array_equal(after.encode(known), before.encode(known))
    for text in ("the okapi", "ran"):
        assert np.abs(after.encode([text]) - before.encode([text])).max() > 1e-3


def test_words_that_are_not_ascii_are_none_to_a_pack_that_reads_bytes(expand: Expand, tmp_path: Path) -> None:
    assert expand(text="th\u00e9 th\u00e9\n" + TEXT)[0] == 0
    assert sentence_words(Pack.open(f"{tmp_path}/new"))[COUNT:] == NEW


def test_words_of_a_pack_that_reads_text_in_lower_case(expand: Expand, old: Pack, tmp_path: Path) -> None:
    def edit(writer: PackWriter) -> None:
        writer.components["sentence_encoder"] |= {"texts": "unicode", "lower": True}

    text = "\ufeffTh\u00e9 noir\rTH\u00c9 Noir\nthe caf\u00e9 caf\u00e9".encode() + b"\nth\xe9 th\xe9 \x01 \x01"
    assert expand(text=text, pack=edited(old, tmp_path / "lower", edit))[0] == 0
    assert sentence_words(Pack.open(f"{tmp_path}/new"))[COUNT:] == ["noir", "th\u00e9"]


def test_only_the_most_frequent_words_are_added(expand: Expand, tmp_path: Path) -> None:
    assert expand("--most=1")[0] == 0
    assert sentence_words(Pack.open(f"{tmp_path}/new"))[COUNT:] == NEW[:1]


def test_one_table_for_both_parts(expand: Expand, old: Pack, tmp_path: Path) -> None:
    def edit(writer: PackWriter) -> None:
        entry = writer.components["sentence_encoder"]
        entry["bi_table"] = entry["uni_table"]

    assert expand(pack=edited(old, tmp_path / "one", edit))[0] == 0
    new = Pack.open(f"{tmp_path}/new")
    assert new.component("sentence_encoder")["bi_table"] == new.component("sentence_encoder")["uni_table"]
    assert new.sentence_encoder.open(new, CPU).encode(["the okapi"]).shape == (1, 48)


def test_a_second_expansion_is_fitted_on_what_was_learned(expand: Expand, old: Pack, tmp_path: Path) -> None:
    def spoil(writer: PackWriter) -> None:
        entry = writer.components["sentence_encoder"]
        writer.add_array(entry["uni_table"], np.concatenate([table(old), np.full((5, 10), 7, np.float32)]))

    assert expand()[0] == 0
    first = edited(Pack.open(f"{tmp_path}/new"), tmp_path / "first", spoil)
    assert expand(text="a tapir saw the tapir", pack=first, output="second")[0] == 0
    second = Pack.open(f"{tmp_path}/second")
    assert sentence_words(second) == [*sentence_words(first), "tapir"]
    assert second.component("sentence_encoder")["learned_words"] == COUNT
    np.testing.assert_allclose(table(second)[-1:], foretold(["tapir"], UNI), atol=0.01)


def test_what_was_made_with_the_old_words_is_kept_and_told(expand: Expand, old: Pack, tmp_path: Path) -> None:
    def edit(writer: PackWriter) -> None:
        texts = old.lines(old.component("captions")["texts"])
        count = sum(bool(text.strip()) for text in texts)
        file = writer.add_array("captions.sentence_vectors.npy", np.ones((count, 48), np.float32))
        writer.components["captions"]["sentence_vectors"] = file
        writer.card["quality"] = {"retrieval": {"recall": 1}, "sentences": {"accuracy": 2}}

    code, printed, _ = expand(pack=edited(old, tmp_path / "ready", edit))
    ready, new = (Pack.open(f"{tmp_path}/{name}") for name in ("ready", "new"))
    assert code == 0 and "The styles were made with the old words; pipelines.fit_style" in printed
    assert "sentence vectors were made with the old words; pipelines.index_captions" in printed
    kept = {"sentence_encoder.words.json", "uni_table.npy", "bi_table.npy"}
    assert {file for file in new.card["files"] if new.card["files"][file] != ready.card["files"][file]} == kept
    assert new.card["quality"] == {"retrieval": {"recall": 1}}, "the others were measured with the old words"


def test_a_pack_without_styles_has_nothing_to_tell(expand: Expand, old: Pack, tmp_path: Path) -> None:
    def edit(writer: PackWriter) -> None:
        del writer.components["styles"], writer.components["source_style"]

    code, printed, _ = expand(pack=edited(old, tmp_path / "plain", edit))
    assert code == 0 and "old words" not in printed


def test_the_pack_commands_read_it(
    expand: Expand, old: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expand()[0] == 0
    assert packs.main(["verify", f"{tmp_path}/new"]) == 0
    assert packs.main(["show", f"{tmp_path}/new"]) == 0
    assert f"learned_words {COUNT}" in " ".join(capsys.readouterr().out.split())
    assert packs.main(["diff", old.location, f"{tmp_path}/new"]) == 1
    assert f"+ sentence_encoder learned_words  {COUNT}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--texts=no/such*"], ["--texts no/such*: no file matches"]),
        (["--texts=no/such", "--most=0"], ["--texts no/such: no file matches", "--most 0: must be at least 1"]),
        (["--device=cpu"], ["--device=cpu"]),
        (["--most=many"], ["--most"]),
        (["--output=https://there/new"], ["packs are written to local folders"]),
        (["--pack=/no/such"], ["/no/such: no model pack there"]),
    ],
)
def test_what_is_wrong_makes_no_pack(expand: Expand, tmp_path: Path, argv: list[str], parts: list[str]) -> None:
    code, printed, errors = expand(*argv)
    assert code == 2 and printed == "" and "No pack was made" in errors
    assert all(part in errors for part in parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "texts"]


def test_texts_without_a_new_word(expand: Expand, tmp_path: Path) -> None:
    code, _, errors = expand(text="a zebra on the beach\nqwrtp woman")
    assert code == 2 and "--texts: 1 files hold no word that appears 2 times or more and is new" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "texts"]


def test_the_extra_is_named_before_the_texts_are_read(expand: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_words, "PACKAGES", ("no_such_package",))
    monkeypatch.setattr(new_words, "count_unknown", None)
    code, _, errors = expand("--most=0")
    assert code == 2 and "--most 0" in errors
    assert "the package no_such_package is not installed; the extra `train` brings it" in errors


def test_the_output_must_be_new(expand: Expand, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    code, _, errors = expand()
    assert code == 2 and "exists already" in errors


def test_no_encoder_no_words(expand: Expand, old: Pack, tmp_path: Path) -> None:
    bare = edited(old, tmp_path / "bare", lambda writer: writer.components.pop("sentence_encoder"))
    code, _, errors = expand(pack=bare)
    assert code == 2 and "the pack has no sentence_encoder" in errors


def test_a_bug_ends_with_1(expand: Expand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(new_words, "outside_vectors", None)
    assert expand()[0] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "texts"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone.txt: cannot be read"):
        list(read_lines(f"{tmp_path}/gone.txt"))


def test_rows_to_fit_are_words_each_once_and_spread_over_all() -> None:
    words = ["<eos>", "UNK", "ant", "", "bee", "ant", "c\udce9t", "dog"]
    assert sorted(rows_to_fit(words)) == [4, 5, 7], "the later row of a word counts, as in the encoder"
    assert rows_to_fit([f"w{number}" for number in range(10)], most=4) == [0, 3, 6, 9]


def test_the_share_that_the_map_foretells() -> None:
    draw = np.random.default_rng(0)
    known, own = draw.standard_normal((400, 3)), draw.standard_normal((400, 2))  # [K, D], [K, W]
    assert predicted_share(known, known @ draw.standard_normal((3, 2)) + 5) > 0.999
    assert predicted_share(draw.standard_normal((400, 100)), own) == 0, "what is learned by heart does not count"
    half = predicted_share(known, known[:, :2] + own)
    assert 0.35 < half < 0.65, "as much noise as there is sense"


@pytest.fixture
def trained(tmp_path: Path) -> Pack:
    """Returns a pack of a sentence encoder and a decoder that share their words, as training leaves it."""
    torch.manual_seed(0)
    words = Vocabulary(["okapis", "bee", "cats"])
    state = Autoencoder(ThoughtsConfig(dim_word=3, bi=2, dim=5), words.size).state_dict()
    own = {name.removeprefix("decoder."): value for name, value in state.items() if name.startswith("decoder.")}
    for folder, weights in (("thoughts", state), ("decoder", own)):
        (tmp_path / folder).mkdir()
        save_file(weights, tmp_path / folder / "best.safetensors")
        (tmp_path / folder / "words.json").write_text(json.dumps(words.words))
    writer = PackWriter(str(tmp_path / "encoder"))
    _add_sentence_encoder(writer, tmp_path / "thoughts")
    return add_decoder(writer.finish().location, tmp_path / "decoder", tmp_path / "trained", "tales", {})


def test_a_decoder_grows_to_the_words_of_an_expanded_pack(trained: Pack, expand: Expand, tmp_path: Path) -> None:
    assert expand(pack=trained, text="Zebra bee zebra\ncats zebra okapi okapi")[0] == 0
    new = Pack.open(f"{tmp_path}/new")
    (weights, words), (before, learned) = read_start(new.location), read_start(trained.location)
    assert words.words == learned.words == ["okapis", "bee", "cats"]
    assert weights.keys() == before.keys() and all(torch.equal(weights[name], before[name]) for name in before)
    _, around = pack_encoder(new)
    assert around.words == [*words.words, "zebra", "okapi"]
    grown = grow(weights, words, around)
    decoder = decoder_of(grown)
    assert decoder.logits.weight.shape == (7, 3) and decoder.word_vectors.weight.shape == (7, 3)
    assert torch.equal(decoder.word_vectors.weight[:5], before["decoder.word_vectors.weight"])
    assert decoder.word_vectors.weight[5:].isfinite().all()
    np.testing.assert_allclose(grown["table.weight"], table(new, "bi"), atol=2e-3)  # half precision
