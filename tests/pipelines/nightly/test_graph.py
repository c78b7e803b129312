"""The main job's steps get what the options say."""

from configs.schema import check_config
from model_handlers.pack import Pack
from pipelines.nightly.graph import make_parts
from pipelines.telling.settings import resolve


def test_how_photos_are_loaded(photo_pack: Pack) -> None:
    options = {"preprocessing": "fast", "max_pixels": 9, "max_bytes": 8, "schemes": ["file"]}
    settings = resolve(check_config({"pack": photo_pack.location, "device": "cpu", **options}))
    load = make_parts(settings, {}, threads=3).load
    assert load is not None and load.recipe == photo_pack.component("features")["preprocessing"]
    assert (load.decoding, load.preprocessing, load.processes) == ("strict", "fast", 3)
    assert (load.max_pixels, load.max_bytes, load.allowed.schemes) == (9, 8, ("file",))
    plain = make_parts(resolve(check_config({"pack": photo_pack.location, "device": "cpu"})), {}).load
    assert plain is not None and (plain.preprocessing, plain.processes) == ("pack", None)
