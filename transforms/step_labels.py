"""Labels of steps, by which dashboards and counters know them."""

from typing import TypeVar

import apache_beam as beam

Step = TypeVar("Step", bound=beam.PTransform)


def labelled(step: Step, label: str) -> Step:
    """Returns the step under a label that stays when its function is renamed.

    Beam names a step with several outputs twice: after the label given with `>>`, and within it after the function.
    """
    step.label = label
    return step
