"""Photos with people's captions: tables right and wrong, splits, files, and features by the pipeline's own steps."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.schema import ConfigError
from model_handlers.features import FeatureHandler
from model_handlers.handler import Placement
from model_handlers.pack import Pack
from pipelines.evaluation import photos as module
from pipelines.evaluation.photos import CaptionedPhoto, extract, find_files, open_photos, read_table, select
from transforms.load_images import LoadImages, load_photo
from transforms.records import DeadLetter


def table(path: Path, *lines: str) -> str:
    (path / "captions.tsv").write_text("".join(f"{line}\n" for line in lines))
    return str(path / "captions.tsv")


def test_captions_of_a_photo_are_kept_together_as_they_are(tmp_path: Path) -> None:
    location = table(
        tmp_path,
        "image\tsplit\tcaption\tsource",
        'b.jpg\tdev\tHe said "stop',
        "a.jpg\ttrain\tA dog .\tme",
        "b.jpg\tdev\tone",
    )
    assert read_table(location) == [
        CaptionedPhoto("b.jpg", "dev", ('He said "stop', "one")),
        CaptionedPhoto("a.jpg", "train", ("A dog .",)),
    ]


def test_a_table_without_splits_is_taken_whole_by_file_name(tmp_path: Path) -> None:
    location = table(tmp_path, "caption\timage", "second\tb.jpg", "first\ta.jpg")
    chosen = select(read_table(location), Namespace(split="dev", captions=location))
    assert [(photo.image, photo.split, photo.captions) for photo in chosen] == [
        ("a.jpg", None, ("first",)),
        ("b.jpg", None, ("second",)),
    ]


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        (["picture\ttext", "a\tb"], "has no column image"),
        (["image\ttext", "a\tb"], "has no column caption"),
        (["image\tcaption", "a.jpg\tfine", "a.jpg", "\tno image", "b.jpg\t "], "line 3 lacks"),
        (["image\tcaption"], "holds no photo"),
        (["image\tcaption\tsplit", "a.jpg\tfine\ttrain"], "no photo is of split 'dev'; the table has train"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, lines: list[str], part: str) -> None:
    location = table(tmp_path, *lines)
    with pytest.raises(ConfigError, match=part):
        open_photos(Namespace(captions=location, photos=str(tmp_path), split="dev"))


def test_a_file_that_is_not_a_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "photo.tsv").write_bytes(b"\xff\xd8\xff\xe0")
    for name in ("gone.tsv", "photo.tsv"):
        with pytest.raises(ConfigError, match=f"--captions .*{name}: cannot be read"):
            read_table(str(tmp_path / name))


def test_all_wrong_lines_are_named_up_to_a_limit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_table(table(tmp_path, "image\tcaption", *["a.jpg"] * 1234))
    assert len(caught.value.problems) == module.SHOWN + 1
    assert caught.value.problems[-1] == "... and 1,224 more of this kind"


def test_missing_files_are_named_together(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(b"x")
    photos = [CaptionedPhoto(name, None, ("a",)) for name in ("a.jpg", "b.jpg", "c.jpg")]
    with pytest.raises(ConfigError) as caught:
        find_files(photos, str(tmp_path))
    assert [problem.split("/")[-1][:5] for problem in caught.value.problems] == ["a.jpg", "c.jpg"]
    (found,) = find_files(photos[1:2], str(tmp_path))
    assert found.uri.endswith("b.jpg") and found.size == 1 and found.version


def parts(pack: Pack) -> tuple[LoadImages, FeatureHandler]:
    return LoadImages(pack.component("features")["preprocessing"]), FeatureHandler(
        Placement(pack.location, pack.digest, "cpu")
    )


def test_features_are_the_pipelines_in_any_batch(photo_pack: Pack, photo_data: Any) -> None:
    data, (load, handler) = photo_data(dev=3), parts(photo_pack)
    photos, listings = open_photos(Namespace(captions=data.captions, photos=data.photos, split="dev"))
    pairs = extract(listings, load, handler, 2)
    assert [Path(record.uri).name for record, _ in pairs] == [photo.image for photo in photos]
    for record, feature in pairs:
        alone = load_photo(record.uri, load)
        assert not isinstance(alone, DeadLetter)
        (expected,) = handler.run_inference([alone[1]], handler.load_model())
        np.testing.assert_allclose(feature, expected, rtol=1e-4, atol=0.05)  # of thousands
        assert record == alone[0]


def test_photos_that_are_none_are_named_together(photo_pack: Pack, photo_data: Any) -> None:
    data, (load, handler) = photo_data(dev=4), parts(photo_pack)
    photos, listings = open_photos(Namespace(captions=data.captions, photos=data.photos, split="dev"))
    for photo in photos[1:3]:
        Path(data.photos, photo.image).write_bytes(b"no photo")
    listings = find_files(photos, data.photos)
    with pytest.raises(ConfigError) as caught:
        extract(listings, load, handler, 2)
    assert [Path(problem.split(":")[0]).name for problem in caught.value.problems] == [
        photo.image for photo in photos[1:3]
    ]
