"""Labels of steps, which dashboards and counters use, and the type of their tagged outputs."""

from typing import Any, TypeVar

import apache_beam as beam

Step = TypeVar("Step", bound=beam.PTransform[Any, Any])

TaggedOutputs = Any
"""PCollections by tag, as `expand` returns them. Beam reads its types but has none for this one, and expects Any."""


def labelled(step: Step, label: str) -> Step:
    """Returns the step with a label that stays when its function is renamed.

    Beam names a step with several outputs twice: by the label given with `>>`, and within it by the function.
    """
    step.label = label
    return step
