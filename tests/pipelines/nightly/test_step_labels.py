"""Labels of the job's steps stay, however functions are renamed: dashboards and counters know the steps by them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from configs.schema import check_config
from model_handlers.pack import Pack
from pipelines.nightly import remote
from pipelines.nightly.main_job import new_run
from pipelines.telling.settings import resolve
from pipelines.telling.steps import make_steps

LABELS = Path(__file__).parents[2] / "golden" / "step_labels.txt"
SELECTION = {"sample": 5, "limit": 3}


class StepLabels(PipelineVisitor):
    """Labels of our own steps, and of those that Beam makes of a step with several outputs."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        """Notes a composite."""
        self.visit_transform(node)

    def visit_transform(self, node: AppliedPTransform) -> None:
        """Notes a step unless it is inside one of Beam's own."""
        above = node.parent.transform if node.parent else None
        beams = type(above).__module__.startswith("apache_beam") and type(above).__name__ != "_MultiParDo"
        if node.full_label and (above is None or not beams):
            self.found.append(node.full_label)


@pytest.fixture
def labels(photo_pack: Pack, tmp_path: Path, write_features: Any) -> list[str]:
    lines: list[str] = []
    sources = {"photos": {"input": [str(tmp_path)]}, "features": {"features": write_features([("a", [1.0])])}}
    for name, changes in sources.items():
        config = {"pack": photo_pack.location, "device": "cpu", "output": str(tmp_path / "out"), **SELECTION, **changes}
        settings = resolve(check_config(config))
        root = beam.Pipeline()
        parts = make_steps(settings, {}, deadline=datetime.now(UTC))
        remote.build_single(root, new_run(settings), settings, parts)
        visitor = StepLabels()
        root.visit(visitor)
        lines += [f"{name}: {label}" for label in visitor.found]
    return lines


def test_labels_of_steps_stay(labels: list[str]) -> None:
    assert sorted(labels) == LABELS.read_text().splitlines()
