"""Options of a run: every wrong key is reported at once, with its place."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from configs.choices import Choices
from configs.schema import ConfigError, RunConfig, check_choices, check_config, load_yaml


def test_the_defaults_are_the_originals() -> None:
    config, choices = check_config({}), Choices()
    assert (choices.captions_per_photo, choices.beam_width, choices.style_strength) == (100, 50, 1.0)
    assert all(getattr(config, name) is None for name in Choices.model_fields)
    assert (config.lyric, config.style, config.max_dead_letter_ratio, config.device) == (False, "romance", 0.25, "auto")
    assert config.input == [] and config.features is None and config.pack is None


@pytest.mark.parametrize("name", Choices.model_fields)
def test_a_user_may_say_what_a_pack_may(name: str) -> None:
    """The two schemas hold the same rules for a choice."""
    by_pack, by_user = (TypeAdapter(kind).json_schema() for kind in (Choices, RunConfig))
    plain = {key: rule for key, rule in by_pack["properties"][name].items() if key not in ("default", "title")}
    assert by_user["properties"][name]["anyOf"] == [plain, {"type": "null"}]
    value = Choices.model_fields[name].default
    assert getattr(check_config({name: value}), name) == value == getattr(check_choices({name: value}), name)


def test_choices_leave_other_keys_alone() -> None:
    assert check_choices({"decoder": "romance", "later": 1, "beam_width": 7}) == Choices(beam_width=7)


def test_every_option_is_explained() -> None:
    assert all(field.description for field in RunConfig.model_fields.values())


WRONG: dict[str, tuple[Any, str]] = {
    "beam_width": (0, "beam_width = 0: input should be greater than or equal to 1"),
    "captions_per_photo": (10_001, "less than or equal to 10000"),
    "style_strength": ("warm", "style_strength = 'warm'"),
    "max_dead_letter_ratio": (1.5, "max_dead_letter_ratio = 1.5"),
    "device": ("gpu", "'auto', 'cpu' or 'cuda'"),
    "precision": ("int8", "'float32', 'tf32' or 'bfloat16'"),
    "decoding": ("loose", "'strict' or 'original'"),
    "preprocessing": ("quick", "'pack' or 'fast'"),
    "output": ("", "output = ''"),
    "style": (None, "style = None"),
    "input": (7, "input = 7: input should be a valid list"),
    "lyric": ("perhaps", "lyric = 'perhaps'"),
    "wave_size": (1.5, "wave_size = 1.5"),
    "shards": (0, "shards = 0"),
    "colour": ("red", "colour: no such option; see --help"),
    "since": ("yesterday", "since = 'yesterday': "),
    "sample": (1.5, "a share below 1, or a whole number"),
    "limit": (0, "limit = 0"),
    "beam_options": (["runner"], "beam_options = ['runner']"),
}


@pytest.mark.parametrize("key", WRONG)
def test_each_wrong_value_is_named(key: str) -> None:
    value, part = WRONG[key]
    with pytest.raises(ConfigError) as raised:
        check_config({key: value})
    (problem,) = raised.value.problems
    assert part in problem


def test_all_wrong_values_come_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        check_config({key: value for key, (value, _) in WRONG.items()})
    assert len(raised.value.problems) == len(WRONG)
    assert all(problem in str(raised.value) for problem in raised.value.problems)


def test_keys_that_are_no_text() -> None:
    with pytest.raises(ConfigError) as raised:
        check_config({1: 2})  # type: ignore[dict-item]
    assert "keys should be strings" in str(raised.value)


def test_fast_preprocessing_is_none_of_the_original_decoding() -> None:
    with pytest.raises(ConfigError) as raised:
        check_config({"decoding": "original", "preprocessing": "fast"})
    (problem,) = raised.value.problems
    assert problem == "preprocessing = 'fast' reads fewer pixels than decoding = 'original' does; choose one"


def test_text_from_a_command_line_is_read_as_numbers() -> None:
    config = check_config({"beam_width": "7", "style_strength": "-0.5", "shards": "3"})
    assert (config.beam_width, config.style_strength, config.shards) == (7, -0.5, 3)


def test_moments_are_dates_times_and_ages() -> None:
    for text in ("2026-01-31", "2026-01-31 06:00", "2026-01-31T06:00:00+02:00", "2d", "36h"):
        assert check_config({"since": text}).since == text
    assert check_config({"since": date(2026, 1, 31)}).since == "2026-01-31"  # as YAML reads it
    for wrong in ("2 d", "2w", "31.1.2026", "", 5):
        with pytest.raises(ConfigError, match="since = "):
            check_config({"since": wrong})


@pytest.mark.parametrize("sample", [0, -1, float("nan"), float("inf"), 2.5])
def test_samples_that_are_none(sample: float) -> None:
    with pytest.raises(ConfigError, match="sample = "):
        check_config({"sample": sample})


def test_yaml_files(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("beam_width: 7\ninput: [caf\u00e9/**]\nbeam_options: {runner: DirectRunner}\n", "utf-8")
    assert load_yaml(str(path)) == {
        "beam_width": 7, "input": ["caf\u00e9/**"], "beam_options": {"runner": "DirectRunner"},
    }  # fmt: skip
    path.write_text("# nothing yet\n")
    assert load_yaml(str(path)) == {}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"- a\n- b\n", "does not consist of keys and values"),
        (b"text", "does not consist of keys and values"),
        (b"a: [1", "cannot be read"),
        (b"a: \xff", "cannot be read"),
        (b"a: !!python/object/apply:os.system [ls]", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_yaml_files_that_are_wrong(tmp_path: Path, content: bytes | None, part: str) -> None:
    path = tmp_path / "run.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load_yaml(str(path))
    (problem,) = raised.value.problems
    assert problem.startswith(f"--config {path}: ") and part in problem
