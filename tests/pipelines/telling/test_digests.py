"""Digests of the networks that made kept data: they depend on relevant files and settings, not on the pack's digest."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from configs.schema import check_config
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from pipelines.nightly.kept_runs import kept_files
from pipelines.tables.commits import Run
from pipelines.telling.settings import resolve
from transforms.kept import KeptFile
from transforms.records import Networks


def networks(pack: Pack, **options: Any) -> Networks:
    found = resolve(check_config({"pack": pack.location, "device": "cpu", **options})).networks()
    assert found is not None
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"style": "swift"},
        {"decoder": "shallow"},
        {"beam_width": 3, "lyric": True, "max_words": 9, "style_strength": 0.5, "no_repeat": 2},
        {"batch_size": 1, "wave_size": 7, "max_pixels": 9, "max_bytes": 9, "written_captions": 3},
    ],
)
def test_what_changes_neither(photo_pack: Pack, options: dict[str, Any]) -> None:
    assert networks(photo_pack, **options) == networks(photo_pack)


def test_what_changes_captions_alone(photo_pack: Pack) -> None:
    before, after = networks(photo_pack), networks(photo_pack, captions_per_photo=7)
    assert before.features == after.features and before.captions != after.captions


@pytest.mark.parametrize("options", [{"decoding": "original"}, {"preprocessing": "fast"}])
def test_what_changes_both(photo_pack: Pack, options: dict[str, Any]) -> None:
    before, after = networks(photo_pack), networks(photo_pack, **options)
    assert before.features != after.features and before.captions != after.captions


def test_precision_changes_both(photo_pack: Pack) -> None:
    before, after = networks(photo_pack), networks(photo_pack, precision="bfloat16")
    assert before.features != after.features and before.captions != after.captions
    assert networks(photo_pack, precision="float32") == before


def test_what_was_kept_before_there_were_preprocessing_and_precision_to_choose_stays(photo_pack: Pack) -> None:
    entry, files = photo_pack.component("features"), photo_pack.card["files"]
    facts = entry | {"weights": files[entry["weights"]]["sha256"]}
    text = json.dumps({"format": 1, "decoding": "strict", "network": facts}, sort_keys=True)
    assert networks(photo_pack).features == hashlib.sha256(text.encode()).hexdigest()


def test_what_is_not_kept(photo_pack: Pack, write_features: Any) -> None:
    for options in ({"keep_features": False}, {"features": write_features([("a", [1.0])])}):
        config = check_config({"pack": photo_pack.location, "device": "cpu", **options})
        assert resolve(config).networks() is None


@pytest.mark.parametrize("change", ["style", "sentence vectors", "names", "captions", "preprocessing"])
def test_changes_of_a_pack(photo_pack: Pack, tmp_path: Path, change: str) -> None:
    writer = PackWriter(str(tmp_path / "changed"), photo_pack)
    parts = writer.components
    if change == "style":
        parts["styles"] |= {"noir": photo_pack.component("styles")["swift"]}
    if change == "sentence vectors":
        parts["captions"] |= {"sentence_vectors": parts["styles"]["swift"]}
    if change == "names":
        weights = photo_pack.tensors(parts["features"]["weights"])
        parts["features"]["weights"] = writer.add_tensors("renamed.safetensors", weights)
    if change == "captions":
        parts["captions"] = {"texts": writer.add_lines("fewer.txt", ["a boat .", "a dog ."])}
    if change == "preprocessing":
        parts["features"]["preprocessing"] = {"name": "original", "crop": 200}
    before, after = networks(photo_pack), networks(writer.finish())
    assert (before.features == after.features) == (change != "preprocessing")
    assert (before.captions == after.captions) == (change not in ("captions", "preprocessing"))


def test_the_files_to_look_into() -> None:
    def manifest(number: int, features: str = "f", pack: str = "p", **file: Any) -> dict[str, Any]:
        files = [{"table": "stories", "path": "s"}, {"table": "features", "path": f"f{number}", **file}]
        made = {"networks": {"features": features, "captions": "c"}, "pack": {"digest": pack}}
        return {"number": number, "settings_digest": "s", "files": files, **made}

    run = Run("out", "night", "", {}, "s", {"digest": "p"}, 0.25)
    old = {"number": 9, "settings_digest": "s", "pack": {"digest": "p"}, "files": []}  # of a time when nothing was kept
    manifests = [old, manifest(1), manifest(2), manifest(3, "other"), manifest(4, pack="q", groups=[2, 3])]
    fourth = KeptFile("f4", 4, (2, 3))
    found = list(kept_files(run, Networks("f", "c"), manifests))
    assert found == [KeptFile("f1", 1), KeptFile("f2", 2), fourth]
    assert list(kept_files(run, Networks("f", "c"), manifests, {2})) == [KeptFile("f2", 2), fourth]
    assert list(kept_files(run, Networks("f", "c"), manifests, set())) == [fourth]
