"""A training that is killed and resumed goes on to the same losses; seeds, early stopping and the log."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.training.loop import LoopConfig, Loss, Task, best_weights, read_best, train


class Line(Task):
    """Fits a line through noise; `killed_at` raises in the middle of a run."""

    def __init__(self, killed_at: int = -1, scores: list[float] | None = None) -> None:
        torch.manual_seed(0)
        self.model: nn.Linear = nn.Linear(3, 1)
        self.killed_at, self.scores, self.losses = killed_at, scores, {}

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        if step == self.killed_at:
            raise KeyboardInterrupt
        rows = torch.from_numpy(draw.standard_normal((8, 3)).astype(np.float32)) + 0.1 * torch.randn(8, 3)  # [8, 3]
        value = (self.model(rows).squeeze(1) - rows.sum(dim=1)).square().mean()
        self.losses[step] = float(value.detach())
        return Loss(value, 8)

    def evaluate(self) -> dict[str, float]:
        return {"score": self.scores.pop(0) if self.scores is not None else -self.losses[max(self.losses)]}


CONFIG = LoopConfig(steps=40, learning_rate=0.05, warmup=4, evaluate_every=10, checkpoint_every=5, seed=3)


def test_resumes_to_the_same_losses_and_weights(tmp_path: Path) -> None:
    whole = Line()
    train(whole, CONFIG, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(Line(killed_at=23), CONFIG, tmp_path / "cut")
    resumed = Line()
    train(resumed, CONFIG, tmp_path / "cut")
    assert min(resumed.losses) == 20, "goes on from the checkpoint"
    assert resumed.losses == {step: loss for step, loss in whole.losses.items() if step >= 20}
    assert torch.equal(resumed.model.weight, whole.model.weight)
    steps = [json.loads(line)["step"] for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert steps == [10, 20, 30, 40]


def test_another_seed_draws_other_batches(tmp_path: Path) -> None:
    losses = []
    for seed in (1, 1, 2):
        task = Line()
        train(task, LoopConfig(steps=3, seed=seed, evaluate_every=3), tmp_path / str(len(losses)))
        losses.append(task.losses)
    assert losses[0] == losses[1] != losses[2]


def test_learns(tmp_path: Path) -> None:
    task = Line()
    train(task, LoopConfig(steps=300, learning_rate=0.05, warmup=4, evaluate_every=100), tmp_path)
    assert task.losses[299] < 0.05 < task.losses[0]


def test_stops_when_the_score_no_longer_rises_and_keeps_the_best(tmp_path: Path) -> None:
    task = Line(scores=[1.0, 0.5, 3.0, 2.0, 2.5, 9.0])
    config = LoopConfig(steps=100, evaluate_every=10, checkpoint_every=10, patience=2)
    assert train(task, config, tmp_path)["score"] == 3.0
    assert max(task.losses) == 49
    assert read_best(tmp_path)["step"] == 30
    assert not torch.equal(best_weights(tmp_path)["weight"], task.model.weight)
