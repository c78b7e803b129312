"""Configurations of trainings: overrides, unknown keys, the files that ship; weights under other names."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pipelines.training.decoder import DecoderConfig
from pipelines.training.features import in_timm_names
from pipelines.training.joint import JointConfig
from pipelines.training.loop import LoopConfig
from pipelines.training.original_decoder import OriginalDecoderConfig
from pipelines.training.original_joint import OriginalJointConfig
from pipelines.training.original_skip_thoughts import OriginalThoughtsConfig
from pipelines.training.settings import ConfigError, read_settings, section
from pipelines.training.story_material import StoriesConfig
from pipelines.training.thoughts import ThoughtsConfig
from pipelines.training.writer import BankConfig, WriterConfig

CONFIGS = Path(__file__).parents[3] / "configs" / "training"


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("joint_embedding", {"network": JointConfig}),
        ("skip_thoughts", {"network": ThoughtsConfig}),
        ("caption_writer", {"network": WriterConfig, "bank": BankConfig}),
        ("decoder", {"network": DecoderConfig, "stories": StoriesConfig}),
        ("original/joint_embedding", {"network": OriginalJointConfig}),
        ("original/skip_thoughts", {"network": OriginalThoughtsConfig}),
        ("original/decoder", {"network": OriginalDecoderConfig}),
    ],
)
def test_the_configurations_that_ship_are_valid(name: str, kinds: dict[str, type]) -> None:
    settings = read_settings(CONFIGS / f"{name}.yaml")
    for part, kind in (kinds | {"training": LoopConfig}).items():
        assert section(settings, part, kind)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("joint_embedding", OriginalJointConfig),
        ("skip_thoughts", OriginalThoughtsConfig),
        ("decoder", OriginalDecoderConfig),
    ],
)
def test_the_original_recipes_ship_with_the_programs_values(name: str, kind: type) -> None:
    settings = read_settings(CONFIGS / "original" / f"{name}.yaml")
    assert section(settings, "network", kind) == kind()
    loop = section(settings, "training", LoopConfig)
    clip = 2.0 if name == "joint_embedding" else 5.0
    assert (loop.optimiser, loop.learning_rate, loop.clip, loop.precision) == ("adam2015", 0.0002, clip, "float32")


def test_overrides_win_and_whole_numbers_count_as_fractions(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("training: {steps: 5, clip: 3}\n")
    config = section(read_settings(file, ["training.steps=7", "training.seed=2"]), "training", LoopConfig)
    assert (config.steps, config.seed, config.clip) == (7, 2, 3.0)
    with pytest.raises(ConfigError, match="section.key=value"):
        read_settings(file, ["steps=7"])


def test_every_wrong_key_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"training.speed is no option.*training.steps is 'five'"):
        section({"training": {"speed": 1, "steps": "five"}}, "training", LoopConfig)
    with pytest.raises(ConfigError, match="steps"):
        section({}, "training", LoopConfig)


def test_weights_take_the_backbones_names_in_order_and_must_fit() -> None:
    net = nn.Linear(2, 3)
    weights = {"a": torch.ones(3, 2), "b": torch.zeros(3)}
    assert list(in_timm_names(weights, net)) == ["weight", "bias"]
    with pytest.raises(ValueError, match="differ in the shape of weight"):
        in_timm_names(weights | {"a": torch.ones(2, 3)}, net)
    with pytest.raises(ValueError, match="1 tensors and the backbone 2"):
        in_timm_names({"a": torch.ones(3, 2)}, net)
