"""The steps get what the options say; those of photos also load and look at them."""

from configs.schema import check_config
from model_handlers.pack import Pack
from pipelines.telling.settings import Settings, resolve
from pipelines.telling.steps import PhotoSteps, make_steps


def test_how_photos_are_loaded(photo_pack: Pack) -> None:
    options = {"preprocessing": "fast", "max_pixels": 9, "max_bytes": 8, "schemes": ["file"]}
    settings = resolve(check_config({"pack": photo_pack.location, "device": "cpu", **options}))
    load = photo_steps(settings, processes=3).load
    assert load.recipe == photo_pack.component("features")["preprocessing"]
    assert (load.decoding, load.preprocessing, load.processes) == ("strict", "fast", 3)
    assert (load.max_pixels, load.max_bytes, load.allowed.schemes) == (9, 8, ("file",))
    plain = photo_steps(resolve(check_config({"pack": photo_pack.location, "device": "cpu"}))).load
    assert (plain.preprocessing, plain.processes) == ("pack", None)


def test_feature_vectors_need_no_photo_steps(story_pack: Pack) -> None:
    steps = make_steps(resolve(check_config({"pack": story_pack.location, "features": "f.parquet"})), {})
    assert not isinstance(steps, PhotoSteps)


def photo_steps(settings: Settings, processes: int | None = None) -> PhotoSteps:
    """Returns the steps of a run that reads photos."""
    steps = make_steps(settings, {}, processes)
    assert isinstance(steps, PhotoSteps)
    return steps
