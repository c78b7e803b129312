"""What the tasks of `pipelines.evaluate` share: their form, their options, and a pack opened for them."""

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
_PACKAGE_NAMES = {"sklearn": "scikit-learn"}  # of what is imported by another name


@dataclass(frozen=True)
class EvaluationTask:
    """One measure of a pack.

    Attributes:
        help: what is measured, for `--help`.
        add_options: adds the task's own options to its parser.
        run: measures and returns the figures, nested as they are printed; wrong options raise a ConfigError.
        published: others' figures to stand beside, by name, then by dotted path: `{"image_to_text.R@1": 22.3}`.
    """

    help: str
    add_options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], Figures]
    published: dict[str, dict[str, float]] = field(default_factory=dict)

    def measure(self, **options: object) -> Figures:
        """Returns the figures where options are values: those given by name, and the defaults of the others.

        Args:
            **options: by the names of the flags, such as `batch_size=8`; paths and choices as they are typed, numbers
                as numbers, what is repeatable as a list.

        Raises:
            ConfigError: options are unknown or missing, or what they name is wrong.
        """
        parser = _Defaults()
        add_common_options(parser)
        self.add_options(parser)
        values = vars(parser.parse_args([]))
        problems = [f"{name}: no such option of the evaluation" for name in options if name not in values]
        problems += [f"{name}: is needed by the evaluation" for name in parser.needed if name not in options]
        if problems:
            raise ConfigError(problems)
        return self.run(Namespace(**values | options))


class _Defaults(ArgumentParser):
    """A parser that nothing needs to be typed for; `needed` are the names of what people must type."""

    def __init__(self) -> None:
        super().__init__(add_help=False)
        self.needed: list[str] = []

    def add_argument(self, *names: Any, **settings: Any) -> Action:  # noqa: ANN401, as argparse has it
        """Returns the new option, which may be left out."""
        needed = settings.pop("required", False)
        option = super().add_argument(*names, **settings)
        if needed:
            self.needed.append(option.dest)
        return option


def open_for(flags: Namespace, components: Sequence[str]) -> tuple[Pack, Placement]:
    """Returns the pack that `--pack` names, with the components that a task needs, and where its handlers run.

    Raises:
        ConfigError: lists all that is wrong with pack and device.
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
        f"--pack {pack.location}: has no {name}, which this task needs"
        for name in components
        if name not in pack.components
    ]
    if problems:
        raise ConfigError(problems)
    return pack, Placement(pack.location, pack.digest, flags.device)


def check_extra(*packages: str) -> None:
    """Looks for packages that only measuring needs, by the names that they are imported by.

    Raises:
        ConfigError: lists those that are not installed.
    """
    problems = [
        f"the package {_PACKAGE_NAMES.get(name, name)} is not installed; "
        "the extra `evaluate` brings it: pip install -e '.[evaluate]'"
        for name in packages
        if find_spec(name) is None
    ]
    if problems:
        raise ConfigError(problems)


def gather(*checks: Callable[[], Any]) -> list[Any]:
    """Returns what each check returns.

    Raises:
        ConfigError: lists the problems of all checks, not only the first one's.
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
