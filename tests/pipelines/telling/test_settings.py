"""Settings: what a pack must hold for a run, styles and their mixtures, and what names a text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.choices import Choices
from configs.schema import ConfigError, RunConfig, check_choices, check_config
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.telling.digests import settings_digest
from pipelines.telling.settings import resolve, used_options


def digest_of(config: RunConfig, choices: Choices, decoder: str) -> str:
    return settings_digest(used_options(config, choices, decoder))


def settings_of(pack: Pack, **options: Any) -> Any:
    return resolve(check_config({"pack": pack.location, "features": "f.parquet", "device": "cpu", **options}))


def problems(pack: Pack | str, **options: Any) -> list[str]:
    location = pack if isinstance(pack, str) else pack.location
    with pytest.raises(ConfigError) as raised:
        resolve(check_config({"pack": location, **options}))
    return raised.value.problems


def test_the_packs_defaults(story_pack: Pack) -> None:
    settings = settings_of(story_pack)
    assert settings.decoder == "romance" and list(settings.styles) == ["romance"]
    shift = settings.styles["romance"]
    np.testing.assert_array_equal(shift.target, story_pack.array(story_pack.components["styles"]["romance"]).ravel())
    np.testing.assert_array_equal(shift.source, story_pack.array(story_pack.components["source_style"]).ravel())
    assert shift.source.dtype == shift.target.dtype == np.float32
    assert not isinstance(shift.target, np.memmap) or shift.target.flags.owndata


def with_defaults(pack: Pack, folder: Path, **defaults: Any) -> Pack:
    writer = PackWriter(str(folder), pack)
    writer.card["defaults"].update(defaults)
    return writer.finish()


def test_the_user_is_heard_before_the_pack_and_the_pack_before_2015(story_pack: Pack, tmp_path: Path) -> None:
    choosy = with_defaults(story_pack, tmp_path / "choosy", style_strength=0.5, beam_width=7, later="unknown")
    settings = settings_of(choosy, beam_width=3)
    assert settings.choices == Choices(style_strength=0.5, beam_width=3, captions_per_photo=100)
    used = settings.used()
    assert (used["style_strength"], used["beam_width"], used["captions_per_photo"]) == (0.5, 3, 100)
    assert used["decoder"] == "romance" and used["pack"] == choosy.location
    assert settings_of(choosy, style_strength=0).choices.style_strength == 0.0
    assert settings_of(story_pack).choices == Choices()


def test_a_pack_that_chooses_tells_as_the_user_would(story_pack: Pack, tmp_path: Path) -> None:
    choosy = with_defaults(story_pack, tmp_path / "choosy", beam_width=7)
    assert settings_of(choosy).digest == settings_of(story_pack, beam_width=7).digest != settings_of(story_pack).digest


def test_wrong_choices_of_a_pack_are_named(story_pack: Pack, tmp_path: Path) -> None:
    choosy = with_defaults(story_pack, tmp_path / "choosy", style_strength="warm", beam_width=0)
    found = problems(choosy, features="f.parquet", beam_width=3, style="noir")
    assert len(found) == 3 and "'noir'" in found[2]
    for problem, part in zip(found, ["style_strength = 'warm'", "beam_width = 0: "], strict=False):
        assert problem.startswith(f"--pack {choosy.location}/pack.json: defaults: {part}")


def test_choices_of_user_and_pack_that_do_not_go_together(story_pack: Pack, tmp_path: Path) -> None:
    choosy = with_defaults(story_pack, tmp_path / "choosy", min_words=40)
    assert settings_of(choosy, max_words=40).choices.max_words == 40
    assert problems(choosy, features="f.parquet", device="cpu", max_words=30) == [
        "min_words 40 is more than max_words 30"
    ]
    assert problems(choosy, features="f.parquet", device="cpu", min_words=7, max_words=3) == [
        "min_words 7 is more than max_words 3"
    ]


def test_several_styles_and_mixtures(story_pack: Pack) -> None:
    settings = settings_of(story_pack, style="swift, romance+swift,romance")
    assert list(settings.styles) == ["swift", "romance+swift", "romance"]
    swift, mixed, romance = (shift.target for shift in settings.styles.values())
    np.testing.assert_allclose(mixed, (swift + romance) / 2, rtol=1e-6)
    assert mixed.dtype == np.float32


def test_spreads_of_styles_and_mixtures(story_pack: Pack, tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path / "spread"), story_pack)
    maps = {"romance": 2 * np.eye(48, dtype="f2"), "swift": np.eye(48, dtype="f2"), "narrow": np.eye(3, dtype="f2")}
    writer.components["spreads"] = {name: writer.add_array(f"{name}.map.npy", one) for name, one in maps.items()}
    writer.components["styles"] |= dict.fromkeys(("narrow", "plain"), writer.components["styles"]["swift"])
    pack = writer.finish()
    settings = settings_of(pack, style="romance,swift,romance+swift", shift="spread")
    spreads = [shift.spread for shift in settings.styles.values()]
    assert [spread.matrix()[1, 1] for spread in spreads if spread] == [2, 1, 1.5]
    assert all(shift.spread is None for shift in settings_of(pack, style="romance,plain").styles.values())
    found = problems(pack, features="f.parquet", device="cpu", style="plain+romance,narrow", shift="spread")
    assert len(found) == 2
    assert found[0].startswith("--style 'plain': the pack has no spread of it, which --shift spread needs; it has")
    assert "narrow: spread of shape (3, 3), but the decoder wants vectors 48 wide" in found[1]


def test_passages_of_styles_and_mixtures(story_pack: Pack, tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path / "passages"), story_pack)
    kept = {"romance": np.eye(48, dtype="f2")[:3], "swift": -np.eye(48, dtype="f2"), "narrow": np.eye(3, dtype="f2")}
    writer.components["passages"] = {name: writer.add_array(f"{name}.kept.npy", one) for name, one in kept.items()}
    writer.components["styles"] |= dict.fromkeys(("narrow", "plain"), writer.components["styles"]["swift"])
    pack = writer.finish()
    settings = settings_of(pack, style="romance,romance+swift", shift="nearest")
    romance, both = (shift.passages for shift in settings.styles.values())
    assert romance and both
    direction = np.eye(48, dtype="f4")[1]
    np.testing.assert_array_equal(romance.near(direction, 0), direction)
    np.testing.assert_array_equal(romance.near(-direction, 0).nonzero(), [[0]])  # the first of two that are as far
    np.testing.assert_array_equal(both.near(-direction, 0), -direction)
    assert all(shift.passages is None for shift in settings_of(pack, style="romance,plain").styles.values())
    found = problems(pack, features="f.parquet", device="cpu", style="plain+romance,narrow", shift="nearest")
    assert found == [
        "--style 'plain': the pack has no passages of it, which --shift nearest needs; it has narrow, romance, swift. "
        "pipelines.fit_style --passages 2000 makes them",
        "--style narrow: passages of shape (3, 3), but the decoder wants vectors 48 wide",
    ]


def test_every_problem_of_a_pack_is_listed(story_pack: Pack) -> None:
    found = problems(story_pack, style="noir,romance+jazz", device="cuda")
    assert len(found) == 4
    for problem, part in zip(found, ["has no features", "'noir'", "'jazz'", "--device: "], strict=True):
        assert part in problem
    assert "it has romance, swift" in found[1]


def test_a_remote_runs_device_is_not_looked_for_here(story_pack: Pack) -> None:
    config = check_config({"pack": story_pack.location, "features": "gs://b/f.parquet", "device": "cuda"})
    assert resolve(config, remote=True).config.device == "cuda"


def test_a_precision_that_the_device_lacks_is_told(story_pack: Pack) -> None:
    where = {"pack": story_pack.location, "features": "gs://b/f.parquet", "precision": "tf32"}
    for device, remote in (("cpu", False), ("cpu", True)):
        with pytest.raises(ConfigError, match="--precision: tf32 needs a CUDA device, but the networks run"):
            resolve(check_config(where | {"device": device}), remote)
    for device in ("auto", "cuda"):  # another machine's
        assert resolve(check_config(where | {"device": device}), remote=True).config.precision == "tf32"


def test_precisions_are_told_apart_and_float32_is_as_before() -> None:
    digests = [
        digest_of(check_config({"precision": precision}), Choices(), "romance")
        for precision in ("float32", "tf32", "bfloat16")
    ]
    assert len(set(digests)) == 3
    assert digests[0] == "1f00b7d422f094e685efdd34bb1344c4624b0189b0d3779d53bffadff84cc742"


def test_no_pack_and_no_decoder(story_pack: Pack, tmp_path: Path) -> None:
    (problem,) = problems(str(tmp_path))
    assert problem.startswith(f"--pack {tmp_path}: no model pack")
    found = problems(story_pack, decoder="tolstoy")
    assert "has no features" in found[0] and found[1].startswith("--decoder ")


@pytest.mark.parametrize("missing", ["joint_embedding", "captions", "sentence_encoder", "styles", "source_style"])
def test_each_missing_part_is_named(story_pack: Pack, tmp_path: Path, missing: str) -> None:
    writer = PackWriter(str(tmp_path / "part"), story_pack)
    del writer.components[missing]
    found = problems(writer.finish(), features="f.parquet", device="cpu")
    name = "source style" if missing == "source_style" else missing
    assert name in found[0]


def test_widths_that_do_not_fit(photo_pack: Pack, tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path / "odd"), photo_pack)
    writer.components["features"]["width"] = 5
    writer.components["sentence_encoder"]["uni"] += 1
    writer.components["styles"]["narrow"] = writer.add_array("narrow.npy", np.zeros(3, "f4"))
    found = problems(writer.finish(), device="cpu", style="narrow")
    parts = [
        "wants vectors 48 wide, the sentence encoder's are 49",
        "5 wide, the joint embedding wants 4096",
        "width 3",
    ]
    assert len(found) == 3
    assert all(part in problem for problem, part in zip(found, parts, strict=True))


CHOICES = {
    "captions_per_photo": 3, "beam_width": 3, "style_strength": 0.5, "min_words": 3, "max_words": 30, "no_repeat": 3,
    "shift": "spread", "contrast": 0.5, "captions": "both",
}  # fmt: skip
CHANGES = {"lyric": True, "decoding": "original", "preprocessing": "fast"}
SAME = {
    "wave_size": 3, "shards": 3, "batch_size": 3, "device": "cpu", "output": "x", "input": ["a"], "style": "swift",
    "max_dead_letter_ratio": 0.5,
}  # fmt: skip


def test_the_digest_names_what_can_change_a_text() -> None:
    assert {*CHOICES, "written_captions"} == set(Choices.model_fields)
    plain = digest_of(check_config({}), Choices(), "romance")
    changed = [digest_of(check_config({key: value}), Choices(), "romance") for key, value in CHANGES.items()]
    changed += [digest_of(check_config({}), check_choices({key: value}), "romance") for key, value in CHOICES.items()]
    changed.append(digest_of(check_config({}), Choices(), "swift"))
    assert len({plain, *changed}) == len(changed) + 1
    for key, value in SAME.items():
        assert digest_of(check_config({key: value}), Choices(), "romance") == plain, key


def test_how_many_are_written_is_nothing_to_retrieved_captions() -> None:
    """Nor does it change the settings of a run that could not use it."""
    for captions, count in (("retrieved", 1), ("written", 2), ("both", 2)):
        found = {
            digest_of(check_config({}), Choices(captions=captions, written_captions=number), "romance")
            for number in (5, 6)
        }
        assert len(found) == count


def with_writer(pack: Pack, folder: Path, dim_context: int) -> Pack:
    """Returns the pack with a caption writer that is a card's entry only."""
    writer = PackWriter(str(folder), pack)
    file = writer.add_lines("writer", [])
    sizes = {"dim_context": dim_context, "dim_word": 2, "dim": 3, "n_words": 4, "deep_output": False}
    writer.components["caption_writer"] = {"family": "gru", **sizes, "weights": file, "vocabulary": file}
    return writer.finish()


def test_captions_that_the_pack_cannot_make_are_refused(story_pack: Pack, tmp_path: Path) -> None:
    for captions in ("written", "both"):
        (problem,) = problems(story_pack, features="f.parquet", device="cpu", captions=captions)
        assert problem == (
            f"--captions {captions}: {story_pack.location} has no caption_writer; --captions retrieved needs none"
        )
    wishing = with_defaults(story_pack, tmp_path / "wishing", captions="written")
    assert "has no caption_writer" in problems(wishing, features="f.parquet", device="cpu")[0]
    assert settings_of(wishing, captions="retrieved").choices.captions == "retrieved"
    dim = story_pack.components["joint_embedding"]["dim"]
    (problem,) = problems(with_writer(story_pack, tmp_path / "wide", dim + 1), features="f.parquet", device="cpu")
    assert f"wants embeddings {dim + 1} wide, the joint embedding's are {dim}" in problem


def test_a_pack_without_a_caption_bank_can_write(story_pack: Pack, tmp_path: Path) -> None:
    full = with_writer(story_pack, tmp_path / "full", story_pack.components["joint_embedding"]["dim"])
    writer = PackWriter(str(tmp_path / "bare"), full)
    del writer.components["captions"]
    bare = writer.finish()
    assert settings_of(bare, captions="written").choices.captions == "written"
    assert "has no captions" in problems(bare, features="f.parquet", device="cpu", captions="both")[0]


def test_wrong_entries_of_a_card_are_all_said_at_once(story_pack: Pack, tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path / "wrong"), with_writer(story_pack, tmp_path / "full", 3))
    writer.components["sentence_encoder"]["uni"] = "wide"
    del writer.components["joint_embedding"]["dim"]
    writer.components["caption_writer"]["family"] = "bird"
    wrong = writer.finish()
    found = problems(wrong, features="f.parquet", device="cpu", captions="both", style="noir")
    card = f"--pack {wrong.location}/pack.json"
    assert f"{card}: joint_embedding: dim is missing" in found
    assert f"{card}: caption_writer: family 'bird' is unknown; it can be gru" in found
    assert any(one.startswith(f"{card}: sentence_encoder: uni = 'wide': ") for one in found)
    assert len(found) == 4 and found[-1].startswith("--style 'noir': the pack has no such style")
    others = problems(wrong, features="f.parquet", device="cpu", captions="retrieved")
    assert len(others) == 2, "nothing is said of a writer that the run does not need"


def test_decoding_is_nothing_to_ready_made_vectors() -> None:
    digests = {
        digest_of(check_config({"features": "f", **pixels}), Choices(), "romance")
        for pixels in ({}, {"decoding": "original"}, {"preprocessing": "fast"})
    }
    assert len(digests) == 1


def test_what_was_told_before_there_was_a_preprocessing_to_choose_stays_told() -> None:
    old = {
        "": "1f00b7d422f094e685efdd34bb1344c4624b0189b0d3779d53bffadff84cc742",
        "f": "8d858d1718982cd4484941182c8059e66b0000353c7767c1bca303ce92ddfd77",
    }
    for features, digest in old.items():
        config = check_config({"features": features} if features else {})
        assert digest_of(config, Choices(), "romance") == digest
