"""The handler of the feature network."""

from collections.abc import Callable

import numpy as np
import timm
import torch

from model_handlers.features import FeatureHandler
from model_handlers.handler import Placement
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter

Place = Callable[..., Placement]


def pixels(count: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.normal(size=(3, 224, 224)).astype(np.float32) for _ in range(count)]


def test_features_are_the_networks(tiny_pack: Callable[..., Pack], place: Place) -> None:
    pack, batch = tiny_pack(), pixels(3)
    handler = FeatureHandler(place(pack))
    features = handler.run_inference(batch, handler.load_model())
    net = pack.features.load(pack, torch.device("cpu"))
    expected = net(torch.from_numpy(np.stack(batch)))  # [3, 5]
    np.testing.assert_allclose(np.stack(features), expected, rtol=1e-5, atol=1e-6)
    assert features[0].dtype == np.float32 and features[0].base is None and expected.any()


def test_a_batch_equals_its_photos_one_by_one(tiny_pack: Callable[..., Pack], place: Place) -> None:
    batch = pixels(3)
    handler = FeatureHandler(place(tiny_pack()))
    together = handler.run_inference(batch, handler.load_model())
    alone = [handler.run_inference([photo], handler.load_model())[0] for photo in batch]
    np.testing.assert_allclose(np.stack(together), np.stack(alone), rtol=1e-5)


def scaled_pack(tiny_pack: Callable[..., Pack]) -> Pack:
    """Returns a pack whose recipe is one of grey levels."""

    def edit(writer: PackWriter) -> None:
        recipe = {"name": "resize", "resize": 256, "crop": 224, "channels": "RGB", "mean": [127.0, 100.0, 90.0]}
        writer.components["features"] |= {"preprocessing": recipe | {"scale": [128.0, 63.0, 31.0]}}

    return tiny_pack("scaled", edit)


def test_grey_levels_are_scaled_as_the_card_says(tiny_pack: Callable[..., Pack], place: Place) -> None:
    levels = list(np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8))
    scale = np.float32([128, 63, 31])
    ready = [np.ascontiguousarray(((one - np.float32([127, 100, 90])) / scale).transpose(2, 0, 1)) for one in levels]
    handler = FeatureHandler(place(scaled_pack(tiny_pack)))
    model = handler.load_model()
    expected = np.stack(handler.run_inference(ready, model))
    assert np.stack(handler.run_inference(levels, model)).tobytes() == expected.tobytes()
    mixed = handler.run_inference([levels[0], ready[1], levels[2]], model)
    assert np.stack(mixed).tobytes() == expected.tobytes()


def test_a_width_that_is_not_the_cards_is_no_story(tiny_pack: Callable[..., Pack], place: Place) -> None:
    def edit(writer: PackWriter) -> None:
        writer.components["features"] = {
            "family": "timm:test_resnet",
            "width": 7,
            "weights": writer.add_tensors("net.safetensors", net.state_dict()),
        }

    net = timm.create_model("test_resnet", pretrained=False, num_classes=0)
    handler = FeatureHandler(place(tiny_pack("other", edit)))
    (result,) = handler.run_inference(pixels(1), handler.load_model())
    assert isinstance(result, ValueError) and "the card says 7 wide" in str(result)


def test_pixels_of_another_shape_are_that_photos_error(tiny_pack: Callable[..., Pack], place: Place) -> None:
    batch = pixels(3)
    batch[1] = batch[1][:, :100]
    handler = FeatureHandler(place(tiny_pack()))
    first, second, third = handler.run_inference(batch, handler.load_model())
    assert isinstance(second, ValueError | RuntimeError)
    assert isinstance(first, np.ndarray) and isinstance(third, np.ndarray) and not isinstance(first, Exception)
