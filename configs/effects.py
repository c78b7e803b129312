"""The effects of a run's options, as they are declared."""

from typing import Any

from configs.choices import Choices, Effect, changes_of
from configs.schema import RunConfig

DECLARED = {name: changes_of(Choices.model_fields.get(name, field)) for name, field in RunConfig.model_fields.items()}
"""Effect of each option; an option without a declaration raises an error on import."""


def options_that_change(*effects: Effect, digest: Effect) -> dict[str, Any]:
    """Returns the options that have one of the effects, each with the value at which a digest omits it.

    Args:
        effects: effects of the options wanted.
        digest: the digest that the options are part of; options as old as the digest are never omitted and have `...`.
    """
    return {
        name: RunConfig.model_fields[name].default if digest in declared.silent_in else ...
        for name, declared in DECLARED.items()
        if declared.effect in effects
    }
