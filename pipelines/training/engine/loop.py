"""The loop that trains every network: steps, schedule, log, early stopping, and checkpoints that resume exactly.

Each batch and torch's noise depend only on the seed and the number of the step. A training that was killed resumes from
its last checkpoint and gets the same losses as one that was not killed. Every file is replaced as a whole.
"""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from configs.schema import ConfigError
from model_handlers.handler import DEVICES
from pipelines.training.engine.arithmetic import PRECISIONS, choose_arithmetic, computing, threads
from pipelines.training.engine.curves import draw_curves
from pipelines.training.engine.optimisers import OPTIMISERS, make_optimiser
from pipelines.training.engine.whole_files import put_whole

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "best.safetensors"
_STEP_SEEDS = 1_000_003


@dataclass(frozen=True)
class LoopConfig:
    """Length, learning rate and other settings of a training.

    Args:
        steps: number of batches, over which the learning rate falls to 2 % of its maximum.
        optimiser: `adamw`, or `adam2015`, the Adam of the original programs, with a constant learning rate.
        learning_rate: maximum of the learning rate.
        warmup: steps over which the learning rate rises to its maximum.
        clip: maximum norm of the gradient.
        weight_decay: weight decay of AdamW.
        evaluate_every: steps between two evaluations on the held-out part.
        checkpoint_every: steps between two checkpoints.
        patience: evaluations without a better score after which training stops; 0 for no early stopping.
        seed: seed of weights, batches and noise.
        threads: number of torch's threads.
        device: `auto` (CUDA if available), `cpu` or `cuda`.
        precision: precision of the products in recurrences and output layers: `float32`, `bfloat16`, or `auto` for
            bfloat16 if the hardware multiplies it. Weights, sums and losses are float32.

    Raises:
        ConfigError: a choice is unknown, or the device is not available.
    """

    steps: int
    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    warmup: int = 200
    clip: float = 2.0
    weight_decay: float = 0.0
    evaluate_every: int = 1000
    checkpoint_every: int = 500
    patience: int = 0
    seed: int = 1
    threads: int = 1
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        choices = {"optimiser": OPTIMISERS, "device": DEVICES, "precision": PRECISIONS}
        problems = [
            f"training.{name} is {getattr(self, name)!r}; it can be {', '.join(known)}"
            for name, known in choices.items()
            if getattr(self, name) not in known
        ]
        if problems:
            raise ConfigError(problems)
        choose_arithmetic(self.device, self.precision)

    def rate(self, step: int) -> float:
        """Returns the learning rate of a step."""
        if self.optimiser == "adam2015":
            return self.learning_rate
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup)) * max(0.02, 1 - step / self.steps)


@dataclass(frozen=True)
class Loss:
    """The loss of a batch, its number of tokens, and figures for the log."""

    value: Tensor
    tokens: int
    figures: dict[str, float] = field(default_factory=dict)


class Task(ABC):
    """A network to train: its weights, its batches, its loss and its score.

    The loop moves the networks and tensors of a task to the device. Tensors made for a loss or a score must be on it
    too: `torch.as_tensor` moves an array, `torch.from_numpy` would not.
    """

    model: nn.Module

    @abstractmethod
    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        """Returns the loss of this step's batch; all random numbers come from `draw` and torch's own generator."""

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """Returns figures on the held-out part; `score` (higher is better) decides which weights are kept."""

    def to(self, device: torch.device) -> None:
        """Moves the task's networks and tensors."""
        for name, value in vars(self).items():
            if isinstance(value, nn.Module | Tensor):
                setattr(self, name, value.to(device))


@dataclass
class _Progress:
    step: int = 0
    best: float = float("-inf")
    stale: int = 0


def train(task: Task, config: LoopConfig, output: Path) -> dict[str, float]:
    """Returns the figures of the best evaluation; writes its weights to `output/best.safetensors`.

    `output` also gets the log (`log.jsonl`), its picture (`curves.png`) and the checkpoint, from which a second call
    resumes.
    """
    output.mkdir(parents=True, exist_ok=True)
    where = choose_arithmetic(config.device, config.precision)
    task.to(where.device)
    try:
        with threads(config.threads), computing(where):
            _descend(task, config, output)
    finally:
        task.to(torch.device("cpu"))
    return read_best(output)


def _descend(task: Task, config: LoopConfig, output: Path) -> None:
    """Trains from the last checkpoint to the last step, or until the score stops rising."""
    optimiser = make_optimiser(config.optimiser, task.model.parameters(), config.learning_rate, config.weight_decay)
    progress = _restore(task, optimiser, output)
    meter = _Meter(output.name, config.steps, progress.step)
    while progress.step < config.steps and not (config.patience and progress.stale >= config.patience):
        loss = _step(task, optimiser, config, progress.step)
        progress.step += 1
        meter.count(loss)
        last = progress.step == config.steps
        if last or progress.step % config.evaluate_every == 0:
            _judge(task, progress, meter.means(), output)
        if last or progress.step % config.checkpoint_every == 0:
            _store(task, optimiser, progress, output)
    meter.bar.close()


def _step(task: Task, optimiser: torch.optim.Optimizer, config: LoopConfig, step: int) -> Loss:
    """Takes one step and returns its loss."""
    torch.manual_seed(config.seed * _STEP_SEEDS + step)
    draw = np.random.default_rng([config.seed, step])
    for group in optimiser.param_groups:
        group["lr"] = config.rate(step)
    task.model.train()
    loss = task.loss(step, draw)
    optimiser.zero_grad(set_to_none=True)
    loss.value.backward()
    norm = nn.utils.clip_grad_norm_(task.model.parameters(), config.clip)
    if torch.isfinite(norm):
        optimiser.step()
    return loss


class _Meter:
    """Figures of the steps since the last evaluation, on a progress bar with tokens per second and the time left.

    Args:
        name: name of the training.
        steps: total number of steps.
        done: steps that an earlier call has taken.
    """

    def __init__(self, name: str, steps: int, done: int) -> None:
        shape = "{desc} {percentage:3.0f}% |{bar:16}| step {n_fmt} of {total_fmt}, {remaining} left{postfix}"
        self.bar = tqdm(total=steps, initial=done, desc=name, bar_format=shape, mininterval=2)
        self._begun, self._tokens = time.monotonic(), 0
        self._figures: dict[str, list[float]] = {}

    def count(self, loss: Loss) -> None:
        """Adds the loss of a step, and shows recent means every 20 steps."""
        self._tokens += loss.tokens
        for name, value in {"loss": float(loss.value.detach()), **loss.figures}.items():
            self._figures.setdefault(name, []).append(value)
        if self.bar.n % 20 == 0:
            recent = [f"{name} {np.mean(values[-200:]):.3f}" for name, values in self._figures.items()]
            self.bar.set_postfix_str(", ".join([f"{self.speed:,.0f} tokens/s", *recent]), refresh=False)
        self.bar.update()

    @property
    def speed(self) -> float:
        """Tokens per second, evaluations included."""
        return self._tokens / (time.monotonic() - self._begun)

    def means(self) -> dict[str, float]:
        """Returns the mean of each figure since the last call, and the speed."""
        means = {name: float(np.mean(values)) for name, values in self._figures.items()}
        self._figures.clear()
        return means | {"tokens_per_s": self.speed}


def _judge(task: Task, progress: _Progress, means: Mapping[str, float], output: Path) -> None:
    """Evaluates, updates the log and its picture, and saves the weights if they are the best so far."""
    task.model.eval()
    with torch.inference_mode():
        figures = task.evaluate()
    line = {"step": progress.step, "time": time.time(), **means, **figures}
    if figures["score"] > progress.best:
        progress.best, progress.stale = figures["score"], 0
        weights = {name: tensor.cpu().contiguous() for name, tensor in task.model.state_dict().items()}
        put_whole(output / WEIGHTS, lambda part: save_file(weights, part))
        put_whole(output / "best.json", lambda part: part.write_text(json.dumps(line, indent=1) + "\n"))
    else:
        progress.stale += 1
    log = [*_read_log(output), line]
    _write_log(output, log)
    put_whole(output / "curves.png", lambda part: draw_curves(log, list(figures), part, output.name))
    tqdm.write(json.dumps({name: round(value, 4) for name, value in line.items() if name != "time"}))


def _store(task: Task, optimiser: torch.optim.Optimizer, progress: _Progress, output: Path) -> None:
    state = {"model": task.model.state_dict(), "optimiser": optimiser.state_dict(), "progress": asdict(progress)}
    put_whole(output / CHECKPOINT, lambda part: torch.save(state, part))


def _restore(task: Task, optimiser: torch.optim.Optimizer, output: Path) -> _Progress:
    """Restores the checkpoint, if any, and returns its progress; removes later lines from the log."""
    path, progress = output / CHECKPOINT, _Progress()
    if path.exists():
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        task.model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        progress = _Progress(**state["progress"])
    _write_log(output, [line for line in _read_log(output) if line["step"] <= progress.step])
    return progress


def _read_log(output: Path) -> list[dict[str, float]]:
    path = output / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _write_log(output: Path, lines: list[dict[str, float]]) -> None:
    put_whole(output / "log.jsonl", lambda part: part.write_text("".join(f"{json.dumps(line)}\n" for line in lines)))


def read_best(output: Path) -> dict[str, float]:
    """Returns the figures of the best evaluation in a training's folder; nothing before the first evaluation."""
    path = output / "best.json"
    figures: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return figures


def best_weights(output: Path) -> dict[str, Tensor]:
    """Returns the weights of the best evaluation in a training's folder."""
    return load_file(output / WEIGHTS)
