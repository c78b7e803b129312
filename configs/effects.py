"""What each option of a run changes, as its declaration says."""

from typing import Any

from configs.choices import Choices, Effect, changes_of
from configs.schema import RunConfig

DECLARED = {name: changes_of(Choices.model_fields.get(name, field)) for name, field in RunConfig.model_fields.items()}
"""What each option changes; an option that declares nothing is an error at once."""


def options_that_change(*effects: Effect, digest: Effect) -> dict[str, Any]:
    """Returns the options that change one of some things, each with the value at which a digest leaves it out.

    Args:
        effects: what the options change.
        digest: the digest that they go into; options that are as old as it are never left out, and have `...`.
    """
    return {
        name: RunConfig.model_fields[name].default if digest in declared.silent_in else ...
        for name, declared in DECLARED.items()
        if declared.effect in effects
    }
