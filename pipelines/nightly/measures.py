"""Sums of a local run's counters and distributions over its waves."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from apache_beam.metrics.metric import MetricResults, MetricsFilter

from transforms.metrics import NAMESPACE


class Sums:
    """Sums of counters, and of distributions with their counts, least and largest values, by name."""

    def __init__(self) -> None:
        self._counters: Counter[str] = Counter()
        self._distributions: dict[str, dict[str, int]] = {}

    def count(self, name: str, number: int) -> None:
        """Adds to a counter."""
        self._counters[name] += number

    def add(self, results: MetricResults) -> None:
        """Adds the metrics of a pipeline, over all of its steps."""
        found = results.query(MetricsFilter().with_namespace(NAMESPACE))
        for entry in found["counters"]:
            self.count(entry.key.metric.name, entry.result)
        for entry in found["distributions"]:
            if entry.result.count:
                found_here = {part: getattr(entry.result, part) for part in ("count", "sum", "min", "max")}
                self._add_distribution(entry.key.metric.name, found_here)

    def _add_distribution(self, name: str, more: Mapping[str, int]) -> None:
        known = self._distributions.get(name, {"count": 0, "sum": 0, "min": more["min"], "max": more["max"]})
        self._distributions[name] = {
            "count": known["count"] + more["count"],
            "sum": known["sum"] + more["sum"],
            "min": min(known["min"], more["min"]),
            "max": max(known["max"], more["max"]),
        }

    def totals(self) -> dict[str, Any]:
        """Returns `counters` and `distributions` by name, as a manifest holds them."""
        counters = {name: number for name, number in sorted(self._counters.items()) if number}
        return {"counters": counters, "distributions": dict(sorted(self._distributions.items()))}
