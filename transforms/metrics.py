"""Beam counters and distributions of the main job, with the same names on all runners.

A bundle that is retried counts again, and a runner may lose the counts of a worker that died: counters show the
progress of a run, and prove nothing. The outcome of each photo is in the ledger.
"""

from apache_beam.metrics.metric import Metrics

NAMESPACE = "storyteller"

COUNTERS = (
    "photos",
    "read_retries",
    "decoder_starts",
    "decoder_restarts",
    "captions_encoded",
    "dead_letters_STAGE_ERROR",
    "outcomes_OUTCOME",
)
DISTRIBUTIONS = (
    "bytes_read",
    "pixels",
    "decode_msecs",
    "STAGE_batch_size",
    "STAGE_batch_msecs",
    "similarity_millionths",
    "story_words",
    "story_cost_thousandths",
    "bytes_written",
)
"""All names; docs/reference/counters.md explains them. STAGE, ERROR and OUTCOME stand for values of dead letters and
ledgers."""


def count(name: str, number: int = 1) -> None:
    """Increases a counter; does nothing outside a pipeline."""
    Metrics.counter(NAMESPACE, name).inc(number)


def measure(name: str, value: float) -> None:
    """Adds a value, as a whole number, to a distribution; does nothing outside a pipeline."""
    Metrics.distribution(NAMESPACE, name).update(round(value))


def count_dead_letter(stage: str, error: str) -> None:
    """Counts a dead letter under its stage and error."""
    count(f"dead_letters_{stage}_{error}")
