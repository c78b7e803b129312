"""Common parts of the tasks of `pipelines.evaluate`: their interface, their options, and opening the pack."""

from argparse import Action, ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from configs.schema import ConfigError
from model_handlers.handler import Placement, resolve_device
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.run_errors import DeviceError
from pipelines.evaluation.task_options import add_common_options

Figures = dict[str, Any]
_PACKAGE_NAMES = {"sklearn": "scikit-learn"}  # of packages that are imported by another name


@dataclass(frozen=True)
class EvaluationTask:
    """One kind of measurement of a pack.

    Attributes:
        help: description of the measurement, for `--help`.
        add_options: adds the task's own options to its parser.
        run: measures and returns the figures, nested as they are printed; raises a ConfigError if options are wrong.
        published: figures of others for comparison, by name, then by dotted path: `{"image_to_text.R@1": 22.3}`.
    """

    help: str
    add_options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], Figures]
    published: dict[str, dict[str, float]] = field(default_factory=dict)

    def measure(self, **options: object) -> Figures:
        """Returns the figures for options that are given as values; the others have their defaults.

        Args:
            **options: values by the names of the flags, such as `batch_size=8`: strings for paths and choices, numbers
                for numbers, a list for a repeatable flag.

        Raises:
            ConfigError: options are unknown, missing or wrong.
        """
        parser = _Defaults()
        add_common_options(parser)
        self.add_options(parser)
        values = vars(parser.parse_args([]))
        problems = [f"{name}: the evaluation has no such option" for name in options if name not in values]
        problems += [f"{name}: the evaluation needs this option" for name in parser.needed if name not in options]
        if problems:
            raise ConfigError(problems)
        return self.run(Namespace(**values | options))


class _Defaults(ArgumentParser):
    """A parser of which no option is required; `needed` holds the names of those that the command requires."""

    def __init__(self) -> None:
        super().__init__(add_help=False)
        self.needed: list[str] = []

    def add_argument(self, *names: Any, **settings: Any) -> Action:  # noqa: ANN401, as in argparse
        """Returns the new option, which is not required."""
        needed = settings.pop("required", False)
        option = super().add_argument(*names, **settings)
        if needed:
            self.needed.append(option.dest)
        return option


def open_for(flags: Namespace, components: Sequence[str]) -> tuple[Pack, Placement]:
    """Returns the pack that `--pack` names, checked for the needed components, and the placement of its handlers.

    Raises:
        ConfigError: lists all problems of pack and device.
    """
    problems = []
    try:
        resolve_device(flags.device)
    except DeviceError as error:
        problems.append(f"--device: {error}")
    try:
        pack = Pack.open(flags.pack)
    except PackError as error:
        raise ConfigError(problems + [f"--pack {problem}" for problem in error.problems]) from error
    problems += [
        f"--pack {pack.location}: has no {name}, but this task needs it"
        for name in components
        if name not in pack.components
    ]
    if problems:
        raise ConfigError(problems)
    return pack, Placement(pack.location, pack.digest, flags.device)


def check_extra(*packages: str) -> None:
    """Checks that packages of the extra `evaluate` are installed, given the names by which they are imported.

    Raises:
        ConfigError: lists the packages that are not installed.
    """
    problems = [
        f"the package {_PACKAGE_NAMES.get(name, name)} is not installed; "
        "it comes with the extra `evaluate`: pip install -e '.[evaluate]'"
        for name in packages
        if find_spec(name) is None
    ]
    if problems:
        raise ConfigError(problems)


def gather(*checks: Callable[[], Any]) -> list[Any]:
    """Returns the result of each check.

    Raises:
        ConfigError: lists the problems of all checks, not only those of the first.
    """
    results, problems = [], []
    for check in checks:
        try:
            results.append(check())
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return results
