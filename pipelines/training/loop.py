"""The loop that trains every network: steps, schedule, log, early stopping, and checkpoints that resume exactly.

A task draws each batch, and torch its noise, from the seed and the number of the step alone. A run that was killed
goes on from its last checkpoint to the same losses as one that was not.
"""

import json
import os
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

_STEP_SEEDS = 1_000_003


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast a network learns.

    Args:
        steps: batches in all; the learning rate falls to zero over them.
        learning_rate: the highest.
        warmup: steps over which the learning rate rises.
        clip: the largest norm of the gradient.
        weight_decay: as in AdamW.
        evaluate_every: steps between two evaluations on the held-out part.
        checkpoint_every: steps between two checkpoints.
        patience: evaluations without a better score after which training stops; 0 never stops it.
        seed: of weights, batches and noise.
        threads: of torch.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup: int = 200
    clip: float = 2.0
    weight_decay: float = 0.0
    evaluate_every: int = 1000
    checkpoint_every: int = 500
    patience: int = 0
    seed: int = 1
    threads: int = 1


@dataclass(frozen=True)
class Loss:
    """A batch's loss to descend, the share of tokens it stands for, and figures for the log."""

    value: Tensor
    tokens: int
    figures: dict[str, float] = field(default_factory=dict)


class Task(ABC):
    """A network to train: its weights, its batches, its loss and its score."""

    model: nn.Module

    @abstractmethod
    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        """Returns the loss of the batch of this step; all chance comes from `draw` and torch's own generator."""

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """Returns figures on the held-out part; `score` is the one that decides, higher is better."""


@dataclass
class _Progress:
    step: int = 0
    best: float = float("-inf")
    stale: int = 0


def train(task: Task, config: LoopConfig, output: Path) -> dict[str, float]:
    """Returns the figures of the best evaluation; its weights are left in `output/best.safetensors`.

    `output` also gets the log (`log.jsonl`) and the checkpoint, from which a second call goes on.
    """
    output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads)
    optimiser = torch.optim.AdamW(
        task.model.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=(0.9, 0.99),
        fused=True,
    )
    progress = _restore(task, optimiser, output)
    begun, tokens = time.monotonic(), 0
    sums: dict[str, list[float]] = {}
    bar = tqdm(total=config.steps, initial=progress.step, desc=output.name, unit="step", mininterval=2)
    while progress.step < config.steps and not (config.patience and progress.stale >= config.patience):
        loss = _step(task, optimiser, config, progress.step)
        progress.step += 1
        tokens += loss.tokens
        for name, value in (("loss", float(loss.value.detach())), *loss.figures.items()):
            sums.setdefault(name, []).append(value)
        bar.update()
        if progress.step % 50 == 0:
            speed = tokens / (time.monotonic() - begun)
            bar.set_postfix(
                {name: f"{np.mean(values[-200:]):.3f}" for name, values in sums.items()} | {"tok/s": int(speed)}
            )
        if progress.step % config.evaluate_every == 0 or progress.step == config.steps:
            means = {name: float(np.mean(values)) for name, values in sums.items()}
            _judge(task, progress, means | {"tokens_per_s": tokens / (time.monotonic() - begun)}, output)
            sums.clear()
        if progress.step % config.checkpoint_every == 0 or progress.step == config.steps:
            _store(task, optimiser, progress, output)
    bar.close()
    return read_best(output)


def _step(task: Task, optimiser: torch.optim.Optimizer, config: LoopConfig, step: int) -> Loss:
    """Returns the loss of one step after descending it."""
    torch.manual_seed(config.seed * _STEP_SEEDS + step)
    draw = np.random.default_rng([config.seed, step])
    rate = config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup)) * max(0.02, 1 - step / config.steps)
    for group in optimiser.param_groups:
        group["lr"] = rate
    task.model.train()
    loss = task.loss(step, draw)
    optimiser.zero_grad(set_to_none=True)
    loss.value.backward()
    norm = nn.utils.clip_grad_norm_(task.model.parameters(), config.clip)
    if torch.isfinite(norm):
        optimiser.step()
    return loss


def _judge(task: Task, progress: _Progress, means: dict[str, float], output: Path) -> None:
    """Evaluates, logs, and keeps the weights where they are the best so far."""
    task.model.eval()
    with torch.inference_mode():
        figures = task.evaluate()
    line = {"step": progress.step, "time": time.time(), **means, **figures}
    if figures["score"] > progress.best:
        progress.best, progress.stale = figures["score"], 0
        save_file({name: tensor.contiguous() for name, tensor in task.model.state_dict().items()}, output / "best.part")
        os.replace(output / "best.part", output / "best.safetensors")
        (output / "best.json").write_text(json.dumps(line, indent=1) + "\n")
    else:
        progress.stale += 1
    with (output / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    tqdm.write(json.dumps({name: round(value, 4) for name, value in line.items() if name != "time"}))


def _store(task: Task, optimiser: torch.optim.Optimizer, progress: _Progress, output: Path) -> None:
    state = {"model": task.model.state_dict(), "optimiser": optimiser.state_dict(), "progress": asdict(progress)}
    torch.save(state, output / "checkpoint.part")
    os.replace(output / "checkpoint.part", output / "checkpoint.pt")


def _restore(task: Task, optimiser: torch.optim.Optimizer, output: Path) -> _Progress:
    """Returns where training goes on: from the checkpoint, or from the start."""
    path = output / "checkpoint.pt"
    if not path.exists():
        return _Progress()
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    task.model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    progress = _Progress(**state["progress"])
    _trim_log(output / "log.jsonl", progress.step)
    return progress


def _trim_log(path: Path, step: int) -> None:
    """Takes the lines out of the log that lie beyond the step of the checkpoint."""
    if path.exists():
        lines = [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= step]
        path.write_text("".join(f"{line}\n" for line in lines))


def read_best(output: Path) -> dict[str, float]:
    """Returns the figures of the best evaluation in a training's folder; empty before the first."""
    path = output / "best.json"
    figures: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return figures


def best_weights(output: Path) -> dict[str, Tensor]:
    """Returns the weights of the best evaluation in a training's folder."""
    return load_file(output / "best.safetensors")
