"""Operations against sums done by hand."""

import io

import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks import limits
from benchmarks.limits import (
    decode_seconds,
    decoder_flops,
    encoder_flops,
    gru_flops,
    live_rows,
    memory_rate,
    multiply_rate,
    network_flops,
    retrieval_seconds,
    search_flops,
)
from model_handlers.families.gru_decoder import GruDecoderEntry
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEntry
from model_handlers.nets.vgg import VGG19

FILES = {"weights": "w.safetensors", "vocabulary": "w.json", "words": "w.json"}
ENTRY = GruDecoderEntry(family="gru", dim_context=7, dim_word=2, dim=3, n_words=5, deep_output=False, **FILES)


def test_flops_of_the_decoder() -> None:
    assert gru_flops(2, 3) == 2 * (3 * (2 * 3 + 3 * 3))
    assert decoder_flops(ENTRY) == 90 + 2 * 3 * 5
    assert decoder_flops(ENTRY.model_copy(update={"deep_output": True})) == 90 + 2 * (3 * 2 + 2 * 5)


def test_rows_live_until_they_end() -> None:
    """Beam 3: one row at first; of its three words one ends at once, one a step later, the last another step later."""
    assert live_rows([1, 2, 3]) == 1 + 2 + 1
    assert live_rows([60] * 50) == 1 + 59 * 50
    assert search_flops(ENTRY, [1, 2, 3]) == 4 * 120 + 2 * 7 * 3


def test_flops_of_the_encoder() -> None:
    assert encoder_flops(SkipThoughtsEntry(family="skip_thoughts", dim_word=2, uni=3, bi=1, **FILES)) == 90 + 2 * (
        2 * 3 * (2 + 1)
    )


def test_retrieval_waits_for_arithmetic_or_for_memory() -> None:
    sizes = {"captions": 1000, "joint": 10, "feature": 24}
    assert retrieval_seconds(**sizes, photos=1, rate=1e12, memory=4e4) == 1.0
    assert retrieval_seconds(**sizes, photos=100, rate=20480, memory=1e12) == 1.0


def test_flops_of_vgg_19() -> None:
    """16 convolutions on 224, 112, 56, 28 and 14 pixels squared, fc6 and fc7."""
    convolutions = 1_936_392_192 + 2_774_532_096 + 2 * 6_473_908_224 + 1_849_688_064
    assert network_flops(VGG19, 224) == 2 * (convolutions + 25_088 * 4096 + 4096 * 4096)


def test_flops_of_grouped_convolutions() -> None:
    def build() -> nn.Module:
        layers = [nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3), nn.BatchNorm2d(6), nn.ReLU()]
        return nn.Sequential(*layers)

    assert network_flops(build, 8) == 2 * (6 * 4 * 4) * 9


def test_the_best_shape_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0, 1.0])
    monkeypatch.setattr(limits, "fastest", lambda work, tries=3: next(seconds))
    assert multiply_rate([(2, 3, 4), (5, 3, 4)]) == 2 * 5 * 3 * 4


def test_rates_are_measured() -> None:
    assert multiply_rate([(8, 8, 8)]) > 0
    assert memory_rate(1 << 16) > 0
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    assert decode_seconds([stream.getvalue()] * 2) > 0
    assert torch.get_default_dtype() == torch.float32
