"""A training that is killed and resumed goes on to the same losses; seeds, early stopping, the log and its picture.

Run as a script, this file trains slowly into the folder it is given, to be killed.
"""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from configs.schema import ConfigError
from pipelines.training.engine.arithmetic import arithmetic
from pipelines.training.engine.curves import draw_curves
from pipelines.training.engine.loop import LoopConfig, Loss, Task, best_weights, read_best, train


class Line(Task):
    """Fits a line through noise; `killed_at` raises in the middle of a run."""

    def __init__(self, killed_at: int = -1, scores: list[float] | None = None, pause: float = 0.0) -> None:
        torch.manual_seed(0)
        self.pause, self.seen, self.weight = pause, set(), torch.ones(3)
        self.model: nn.Linear = nn.Linear(3, 1)
        self.killed_at, self.scores, self.losses = killed_at, scores, {}

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        if step == self.killed_at:
            raise KeyboardInterrupt
        time.sleep(self.pause)
        self.seen.add((arithmetic().device.type, arithmetic().low))
        rows = torch.as_tensor(draw.standard_normal((8, 3)).astype(np.float32)) + 0.1 * torch.randn(8, 3)  # [8, 3]
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


def test_a_killed_process_is_resumed_to_the_same_losses(tmp_path: Path) -> None:
    whole = Line()
    train(whole, CONFIG, tmp_path / "whole")
    cut = tmp_path / "cut"
    root = Path(__file__).parents[4]
    process = subprocess.Popen(
        [sys.executable, __file__, str(cut)], cwd=root, env=os.environ | {"PYTHONPATH": str(root)}
    )
    while not (cut / "log.jsonl").exists() or not (cut / "log.jsonl").read_text():
        assert process.poll() is None, "ended by itself before it could be killed"
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -9
    resumed = Line()
    train(resumed, CONFIG, cut)
    assert 5 <= min(resumed.losses) < 40, "goes on from a checkpoint"
    assert resumed.losses == {step: loss for step, loss in whole.losses.items() if step in resumed.losses}
    assert torch.equal(resumed.model.weight, whole.model.weight)
    logs = [[json.loads(line) for line in (folder / "log.jsonl").open()] for folder in (tmp_path / "whole", cut)]
    assert [[line["step"], line["score"]] for line in logs[0]] == [[line["step"], line["score"]] for line in logs[1]]
    assert {path.name for path in cut.iterdir()} >= {"best.safetensors", "best.json", "checkpoint.pt", "curves.png"}


def test_a_training_killed_before_its_first_checkpoint_begins_its_log_anew(tmp_path: Path) -> None:
    config = LoopConfig(steps=20, evaluate_every=5, checkpoint_every=20)
    with pytest.raises(KeyboardInterrupt):
        train(Line(killed_at=12), config, tmp_path)
    train(Line(), config, tmp_path)
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").open()] == [5, 10, 15, 20]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_device_and_precision_hold_only_within_a_training(tmp_path: Path, precision: str) -> None:
    task, before = Line(), arithmetic()
    train(task, LoopConfig(steps=2, device="cpu", precision=precision), tmp_path)
    assert task.seen == {("cpu", precision == "bfloat16")}
    assert arithmetic() == before


def test_a_tasks_networks_and_tensors_move_together() -> None:
    task = Line()
    task.to(torch.device("meta"))
    assert task.weight.device.type == task.model.weight.device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_learns_on_a_gpu_and_leaves_the_network_on_the_processor(tmp_path: Path) -> None:
    task = Line()
    train(task, LoopConfig(steps=300, learning_rate=0.05, warmup=4, evaluate_every=100, device="cuda"), tmp_path)
    assert task.losses[299] < 0.05 < task.losses[0]
    assert {device for device, _ in task.seen} == {"cuda"}
    assert task.model.weight.device.type == "cpu"


def test_wrong_choices_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"optimiser is 'sgd'.*device is 'tpu'.*precision is 'int8'"):
        LoopConfig(steps=1, optimiser="sgd", device="tpu", precision="int8")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            LoopConfig(steps=1, device="cuda")


def test_the_progress_bar_tells_speed_time_left_and_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(
        "pipelines.training.engine.loop.tqdm", lambda **options: tqdm(file=shown, **options | {"mininterval": 0})
    )
    monkeypatch.setattr("pipelines.training.engine.loop.tqdm.write", print, raising=False)
    train(Line(), LoopConfig(steps=45, evaluate_every=100), tmp_path / "line")
    assert "line" in shown.getvalue()
    assert "step 41 of 45, 00:00 left, " in shown.getvalue() and "tokens/s, loss " in shown.getvalue()


def test_the_picture_has_a_panel_for_each_kind_of_figure(tmp_path: Path) -> None:
    log = [
        {"step": step, "time": 0, "loss": 9 / step, "nll_x": 8 / step, "a_nll": 7 / step, "b_nll": 5, "score": step}
        for step in (1, 2, 3)
    ]
    sizes = []
    for held_out in (["score"], ["a_nll", "b_nll", "score"], ["a_nll", "b_nll", "b_hits", "score"]):
        lines = [line | {"b_hits": 3.0} if "b_hits" in held_out else line for line in log]
        draw_curves(lines, held_out, tmp_path / "curves.png", "a training")
        with Image.open(tmp_path / "curves.png") as picture:
            sizes.append(picture.size)
    assert sizes[0][0] * 3 == sizes[1][0] * 2 and sizes[0][1] == sizes[1][1], "two panels, then three"
    assert sizes[2][1] > sizes[1][1], "the fourth begins a row"


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


if __name__ == "__main__":
    train(Line(pause=0.05), CONFIG, Path(sys.argv[1]))
