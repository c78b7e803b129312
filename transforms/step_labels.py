"""Labels of steps, by which dashboards and counters know them, and the type of their tagged outputs."""

from typing import Any, TypeVar

import apache_beam as beam

Step = TypeVar("Step", bound=beam.PTransform[Any, Any])

TaggedOutputs = Any
"""PCollections by tag: what `expand` returns, where Beam reads types but has none for these, and wants to see Any."""


def labelled(step: Step, label: str) -> Step:
    """Returns the step under a label that stays when its function is renamed.

    Beam names a step with several outputs twice: after the label given with `>>`, and within it after the function.
    """
    step.label = label
    return step
