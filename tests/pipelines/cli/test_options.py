"""Options: flags over --set over the config file, and no word that nobody knows."""

from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
)

from configs.schema import ConfigError, RunConfig
from pipelines.cli.flags import StrictParser, flag_parser
from pipelines.cli.options import parse, parse_with_beam


def parsed(*argv: str) -> tuple[RunConfig, PipelineOptions]:
    return parse(list(argv), "run", "A test.")


def problems(*argv: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parsed(*argv)
    return raised.value.problems


@pytest.fixture
def config_file(tmp_path: Path) -> Any:
    def write(text: str) -> str:
        (tmp_path / "run.yaml").write_text(text)
        return f"--config={tmp_path}/run.yaml"

    return write


def test_flags_win_over_set_and_set_over_the_file(config_file: Any) -> None:
    file = config_file("beam_width: 1\nstyle: file\noutput: file\nlyric: true\n")
    config, _ = parsed(file, "--set=beam_width=2", "--set", "style=set", "--beam-width", "3", "--no-lyric")
    assert (config.beam_width, config.style, config.output, config.lyric) == (3, "set", "file", False)


def test_set_reads_yaml_and_either_spelling() -> None:
    config, _ = parsed("--set=style-strength=-0.5", "--set=input=[a, b c]", "--set=lyric=yes", "--set=decoder=a=b")
    assert (config.style_strength, config.input, config.lyric, config.decoder) == (-0.5, ["a", "b c"], True, "a=b")


def test_one_input_needs_no_list(config_file: Any) -> None:
    config, _ = parsed(config_file("input: photos/**\nuris: list.txt\n"))
    assert config.input == ["photos/**"] and config.uris == ["list.txt"]


def test_repeated_flags_are_lists() -> None:
    config, _ = parsed("--input", "a", "--input=b #1.jpg", "--uris", "c")
    assert config.input == ["a", "b #1.jpg"] and config.uris == ["c"]


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ('["gs://a, b/**", "c"]', ["gs://a, b/**", "c"]),
        ('["a"]', ["a"]),
        ("a, b", ["a, b"]),
        ("[ab]*.jpg", ["[ab]*.jpg"]),
        ("[1]", ["[1]"]),
        ("7", ["7"]),
        ('{"a": "b"}', ['{"a": "b"}']),
    ],
)
def test_a_json_list_of_texts_is_several_values(word: str, values: list[str]) -> None:
    """A template gives each flag once."""
    config, _ = parsed("--input=first", f"--input={word}", f"--roots={word}")
    assert (config.input, config.roots) == (["first", *values], values)


@pytest.mark.parametrize(("word", "on"), [("", True), ("=true", True), ("=True", True), ("=false", False)])
def test_switches_may_have_a_value(word: str, on: bool) -> None:
    assert parsed(f"--lyric{word}")[0].lyric is on
    assert parsed("--no-lyric")[0].lyric is False
    assert parsed("--lyric", "--no-lyric")[0].lyric is False


def test_a_switch_has_no_other_value() -> None:
    assert "--lyric" in " ".join(problems("--lyric=perhaps"))
    assert "--device" in " ".join(problems("--device"))


def test_underscores_are_taken_as_hyphens() -> None:
    config, _ = parsed("--beam_width=3", "--style_strength", "2", "--max_dead_letter_ratio=0.5")
    assert (config.beam_width, config.style_strength, config.max_dead_letter_ratio) == (3, 2.0, 0.5)


def test_beams_options_reach_beam(config_file: Any) -> None:
    file = config_file(
        "beam_options: {runner: PortableRunner, environment_type: LOOPBACK, experiments: [a, b], streaming: false,"
        " job_endpoint: null}\n"
    )
    _, options = parsed(file, "--direct_num_workers=2", "--direct_running_mode", "multi_processing")
    assert options.view_as(StandardOptions).runner == "PortableRunner"
    assert options.view_as(StandardOptions).streaming is False
    assert options.view_as(PortableOptions).environment_type == "LOOPBACK"
    assert options.view_as(DebugOptions).experiments == ["a", "b"]
    assert options.view_as(DirectOptions).direct_num_workers == 2


def test_true_options_are_bare_flags(config_file: Any) -> None:
    _, options = parsed(config_file("beam_options: {allow_unsafe_triggers: true}\n"))
    assert "allow_unsafe_triggers" in options.get_all_options(drop_default=True)


@pytest.mark.parametrize("argv", [[], ["--runner=DirectRunner"], ["--runner", "DirectRunner"]])
def test_the_default_runner_fetches_nothing(argv: list[str]) -> None:
    _, options = parsed(*argv)
    assert options.view_as(StandardOptions).runner == ("DirectRunner" if argv else "FnApiRunner")


def test_the_main_session_is_never_pickled() -> None:
    _, options = parsed("--save_main_session")
    assert options.view_as(SetupOptions).save_main_session is False


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (
            ["--wave-sise=3"],
            ["--wave-sise=3: neither this job nor Apache Beam knows this option. Did you mean --wave-size?"],
        ),
        (["--styl=a"], ["--styl=a: neither this job nor Apache Beam knows this option. Did you mean --style?"]),
        (
            ["--runer=DirectRunner", "--qqq"],
            ["Did you mean --runner?", "--qqq: neither this job nor Apache Beam knows"],
        ),
        (["--set=wavesize=3"], ["wavesize: no such option. Did you mean wave_size?"]),
        (["--device=cpuu"], ["device = 'cpuu': input should be 'auto', 'cpu' or 'cuda'. Did you mean cpu?"]),
        (["--set=lyric"], ["--set lyric: write it as key=value"]),
        (["--set=style=[a"], ["--set style=[a: the value is no YAML"]),
        (["--set=colour=red"], ["colour: no such option"]),
        (["--style"], ["expected one argument"]),
        (["--direct_num_workers=many"], ["direct_num_workers: invalid int value: 'many'"]),
        (["--beam-width=x", "--set=y", "--z"], ["--set y", "beam_width = 'x'", "--z: neither"]),
    ],
)
def test_every_wrong_word_is_named(argv: list[str], parts: list[str]) -> None:
    found = problems(*argv)
    assert len(found) == len(parts)
    for problem, part in zip(found, parts, strict=True):
        assert part in problem


def test_wrong_words_of_a_file_are_named(config_file: Any) -> None:
    found = problems(config_file("beam-width: 3\nbeam_options: {runer: x}\n"), "--wave-size=0")
    assert sorted(problem.split(" ")[0] for problem in found) == ["beam-width:", "wave_size"]
    assert problems(config_file("beam_options: {runer: x}\n")) == [
        "--runer=x: neither this job nor Apache Beam knows this option. Did you mean --runner?"
    ]


def test_help_names_every_option_and_its_default() -> None:
    text = flag_parser("run", "A test.").format_help()
    for name in RunConfig.model_fields:
        if name != "beam_options":
            assert f"--{name.replace('_', '-')}" in text, name
    assert "--no-lyric" in text and "{auto,cpu,cuda}" in text and "(default: 0.25)" in text
    assert "--beam-width N" in text and "the pack's choice, else 50" in " ".join(text.split())
    assert "3 too many dead" in " ".join(text.split())


def test_smaller_commands_are_as_strict() -> None:
    parser = StrictParser(allow_abbrev=False)
    parser.add_argument("--name", required=True)
    flags, options = parse_with_beam(parser, ["--name=a", "--direct_num_workers=3"])
    assert flags.name == "a" and options.view_as(DirectOptions).direct_num_workers == 3
    for argv in (["--name=a", "--nam=b"], ["--direct_num_workers=3"]):
        with pytest.raises(ConfigError):
            parse_with_beam(parser, argv)


@pytest.mark.parametrize(
    ("argv", "photos"),
    [
        (["a.jpg", "b c.jpg"], ["a.jpg", "b c.jpg"]),
        (["a", "--input=b", "c", "--input", "d"], ["a", "b", "c", "d"]),
        (["--lyric", "a", "--no-keep-features", "b"], ["a", "b"]),
        (["--style", "x", "a", "--style-strength", "-0.5", "b"], ["a", "b"]),
        (["--direct_num_workers", "2", "a", "--runner=DirectRunner", "b"], ["a", "b"]),
        (["--save_main_session", "a"], ["a"]),
        (["--lyric", "--", "--lyric", "-x.jpg"], ["--lyric", "-x.jpg"]),
    ],
)
def test_words_without_a_flag_are_photos(argv: list[str], photos: list[str]) -> None:
    assert parsed(*argv)[0].input == photos


def test_the_word_behind_an_unknown_flag_is_no_photo() -> None:
    found = problems("--wrkers", "5", "a.jpg", "--input", "b.jpg")
    assert [problem.partition(":")[0] for problem in found] == ["--wrkers=5"]
    _, options = parsed("a.jpg", "--direct_num_workers", "2", "b.jpg")
    assert options.view_as(DirectOptions).direct_num_workers == 2


def test_home_is_meant_by_a_tilde_wherever_a_place_is_named(
    config_file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config_file("input: [~/a, ~/b]\nroots: ~/\nfeatures: ~/f\n")
    config, _ = parsed("--config=~/run.yaml", "--set=pack=~/p", "--output=~/o", "--uris", "~/u")
    places = [*config.input, *config.roots, config.features, config.pack, config.output, *config.uris]
    assert places == [f"{tmp_path}/a", f"{tmp_path}/b", f"{tmp_path}/", *(f"{tmp_path}/{name}" for name in "fpou")]
    (tmp_path / "~").mkdir()
    assert parsed("~")[0].input == ["~"]


@pytest.mark.parametrize(
    ("text", "style"),
    [("romance", "romance"), ("[romance, mystery]", "romance,mystery"), ("[a+b, c]", "a+b,c"), ("[only]", "only")],
)
def test_styles_may_be_a_list(config_file: Any, text: str, style: str) -> None:
    assert parsed(config_file(f"style: {text}\n"))[0].style == style
    assert parsed(f"--set=style={text}")[0].style == style


def test_missing_flags_and_those_meant_for_them_are_named_together() -> None:
    parser = StrictParser(allow_abbrev=False)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--device", choices=("auto", "cpu"))
    with pytest.raises(ConfigError) as raised:
        parser.parse_args(["--pak=x", "--quite-another"])
    assert raised.value.problems == [
        "the following arguments are required: --pack",
        "--pak=x: no such option. Did you mean --pack?",
    ]
    with pytest.raises(ConfigError, match="choose from .*Did you mean cpu"):
        parser.parse_args(["--pack=x", "--device=cup"])
    with pytest.raises(ConfigError) as raised:
        parser.parse_args(["--pack=x", "--devise=cpu", "stray"])
    assert raised.value.problems == [
        "--devise=cpu: no such option. Did you mean --device?",
        "stray: one word too many; see --help",
    ]
