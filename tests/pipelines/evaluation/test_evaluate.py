"""The command: its options, its table, its one JSON object, and every problem at once."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.schema import ConfigError
from model_handlers.pack import Pack
from pipelines import evaluate
from pipelines.cli.flags import at_least_one
from pipelines.evaluation import tasks
from pipelines.evaluation.table import make_table
from pipelines.evaluation.task import EvaluationTask, check_extra, gather, open_for
from pipelines.evaluation.task_options import TASK_OPTIONS
from pipelines.evaluation.tasks import TASKS


def count_letters(flags: Namespace) -> dict[str, Any]:
    print("a scorer that talks")
    if flags.word == "wrong":
        raise ConfigError(["--word wrong: is wrong", "--more: too"])
    if flags.word == "broken":
        raise RuntimeError("out of letters")
    return {"letters": {"all": len(flags.word), "share": 0.25, "none": None}}


def add_word(parser: ArgumentParser) -> None:
    parser.add_argument("--word", required=True)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Returns a function that runs the command with one made-up task; it returns the exit code, stdout and stderr."""
    task = EvaluationTask("counts letters", add_word, count_letters, {"Somebody 2014": {"letters.share": 0.5}})
    monkeypatch.setattr(tasks, "TASKS", {"letters": task})
    monkeypatch.setattr(evaluate, "TASK_OPTIONS", {"letters": (task.help, task.add_options)})

    def run(*argv: str) -> tuple[int, str, str]:
        code = evaluate.main(list(argv))
        return code, *capsys.readouterr()

    return run


def test_json_is_one_object_and_nothing_else(measure: Any) -> None:
    code, out, err = measure("letters", "--word=abc", "--json")
    assert code == 0
    assert json.loads(out) == {"letters": {"all": 3, "share": 0.25, "none": None}}
    assert "a scorer that talks" in err


def test_table_stands_beside_the_published_figures(measure: Any) -> None:
    code, out, _ = measure("letters", "--word=abc")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["this", "pack", "Somebody", "2014"],
        ["letters.all", "3"],
        ["letters.share", "0.2500", "0.5000"],
        ["letters.none"],
    ]


def test_columns_are_aligned() -> None:
    lines = make_table({"long_name": {"a": 1.5, "b": 100.0}}, {"X": {"long_name.b": 12.25}}).splitlines()
    assert lines == ["             this pack      X", "long_name.a       1.50", "long_name.b     100.00  12.25"]


@pytest.mark.parametrize(
    ("argv", "code", "part"),
    [
        (["letters", "--word=wrong"], 2, "  - --word wrong: is wrong\n  - --more: too"),
        (["letters", "--word=broken"], 1, "out of letters"),
        (["letters"], 2, "--word"),
        (["letters", "--word=a", "--wo=b"], 2, "--wo=b"),
        (["letters", "--word=a", "--batch-size=0"], 2, "'0' is not a whole number above 0"),
        (["letters", "--word=a", "--device=tpu"], 2, "tpu"),
        (["numbers"], 2, "numbers"),
        ([], 2, "TASK"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_printed(
    measure: Any, caplog: Any, argv: list[str], code: int, part: str
) -> None:
    found, out, err = measure(*argv)
    assert found == code and out == ""
    assert part in err + caplog.text


def test_each_task_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"retrieval", "captions", "stories"} <= set(TASKS)
    for name in TASKS:
        with pytest.raises(SystemExit, match="0"):
            evaluate.command_line().parse_args([name, "--help"])
        printed = capsys.readouterr().out
        assert all(flag in printed for flag in ("--pack", "--device", "--batch-size", "--json"))


def test_pack_and_device_are_checked_together(
    story_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack, placement = open_for(Namespace(pack=story_pack.location, device="cpu"), ["joint_embedding"])
    assert (pack.digest, placement.digest, placement.device) == (story_pack.digest, story_pack.digest, "cpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError) as caught:
        open_for(Namespace(pack=story_pack.location, device="cuda"), ["features", "captions"])
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["--device", f"--pack {story_pack.location}"]
    assert "has no features" in caught.value.problems[1]
    with pytest.raises(ConfigError) as caught:
        open_for(Namespace(pack=str(tmp_path / "gone"), device="cuda"), ["features"])
    assert len(caught.value.problems) == 2 and "gone" in caught.value.problems[1]


def test_gather_lists_the_problems_of_all_checks() -> None:
    def fail(*problems: str) -> None:
        raise ConfigError(list(problems))

    assert gather(lambda: 1, lambda: "b") == [1, "b"]
    with pytest.raises(ConfigError) as caught:
        gather(lambda: fail("a"), lambda: 2, lambda: fail("b", "c"))
    assert caught.value.problems == ["a", "b", "c"]


def test_missing_packages_are_named() -> None:
    check_extra("json", "numpy")
    with pytest.raises(ConfigError, match="no_such_package is not installed; it comes with the extra `evaluate`"):
        check_extra("json", "no_such_package")


def test_numbers_start_at_one() -> None:
    assert at_least_one("12") == 12
    for text in ("0", "-1", "x", "1.5", ""):
        with pytest.raises(Exception, match="not a whole number"):
            at_least_one(text)


def test_a_task_is_run_with_values_and_the_defaults_of_the_others() -> None:
    seen: list[Namespace] = []
    task = EvaluationTask("keeps its options", add_word, lambda flags: {"run": seen.append(flags)})
    task.measure(word="abc", batch_size=8)
    (flags,) = seen
    assert (flags.word, flags.batch_size, flags.device) == ("abc", 8, "auto")
    with pytest.raises(ConfigError) as caught:
        task.measure(words="abc")
    assert caught.value.problems == [
        "words: the evaluation has no such option",
        "word: the evaluation needs this option",
    ]


def test_every_task_says_what_it_needs() -> None:
    for task in TASKS.values():
        with pytest.raises(ConfigError, match="the evaluation needs this option"):
            task.measure()


def test_tasks_and_options_go_together() -> None:
    assert list(TASKS) == list(TASK_OPTIONS)
    assert all((TASKS[name].help, TASKS[name].add_options) == options for name, options in TASK_OPTIONS.items())
