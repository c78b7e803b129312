"""Configurations of trainings: overrides, unknown keys, and the files that ship."""

from pathlib import Path

import pytest

from configs.schema import ConfigError
from pipelines.training.engine.loop import LoopConfig
from pipelines.training.engine.training_settings import read_settings, section
from pipelines.training.packing.stages import PARTS, STAGES
from pipelines.training.packing.whole_pack import PackConfig
from pipelines.training.recipe_2015.decoder_2015 import OriginalDecoderConfig
from pipelines.training.recipe_2015.joint_2015 import OriginalJointConfig
from pipelines.training.recipe_2015.skip_thoughts_2015 import OriginalThoughtsConfig
from pipelines.training.recipes.writer import BankConfig

CONFIGS = Path(__file__).parents[4] / "configs" / "training"


def test_the_configuration_of_the_pocket_pack_is_valid() -> None:
    settings = read_settings(CONFIGS / "pocket.yaml")
    assert settings and settings.keys() <= {*STAGES, "pack"}
    for name in settings.keys() - {"pack"}:
        for part, kind in (PARTS[name] | {"training": LoopConfig}).items():
            assert section(settings[name], part, kind)
        assert settings[name].keys() <= {*PARTS[name], "training", "shares"}
    assert section(settings, "pack", PackConfig)


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


def test_overrides_reach_into_sections_of_sections(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("decoder: {training: {steps: 5, clip: 3}, shares: {books: 1}}\n")
    changes = ["decoder.training.steps=7", "decoder.network.pack=some/pack", "pack.styles.tales=[Grimm, '']"]
    assert read_settings(file, changes) == {
        "decoder": {"training": {"steps": 7, "clip": 3}, "shares": {"books": 1}, "network": {"pack": "some/pack"}},
        "pack": {"styles": {"tales": ["Grimm", ""]}},
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps=7", "section.key=value"),
        ("training.steps", "section.key=value"),
        ("training..steps=7", "section.key=value"),
        ("training.=7", "section.key=value"),
        (".steps=7", "section.key=value"),
        ("training.steps.more=7", "steps is a value and holds no keys"),
    ],
)
def test_an_override_that_names_no_key_is_refused(tmp_path: Path, override: str, message: str) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("training: {steps: 5}\n")
    with pytest.raises(ConfigError, match=message):
        read_settings(file, [override])


@pytest.mark.parametrize("content", ["5", "[training]", "training: 5", "training:"])
def test_a_file_without_sections_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "some.yaml").write_text(content)
    with pytest.raises(ConfigError, match="must hold sections"):
        read_settings(tmp_path / "some.yaml")


def test_every_wrong_key_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"training.speed is not an option.*training.steps is 'five'"):
        section({"training": {"speed": 1, "steps": "five"}}, "training", LoopConfig)
    with pytest.raises(ConfigError, match="steps"):
        section({}, "training", LoopConfig)
    with pytest.raises(ConfigError, match="training is 5, but must hold keys and values"):
        section({"training": 5}, "training", LoopConfig)


def test_a_key_may_have_its_earlier_name() -> None:
    assert section({"bank": {"dearest": 1.5}}, "bank", BankConfig) == BankConfig(max_cost=1.5)
