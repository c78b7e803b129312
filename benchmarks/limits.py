"""Limits of the machine, and the operations that the stages need.

Operations are those that the mathematics needs: a multiplication and an addition for each weight and live row. Anything
that a program computes beyond that, such as padding or finished rows, counts against it.
"""

import io
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from model_handlers.families.gru_decoder import GruDecoderEntry
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEntry

SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (64, 1024, 65536), (1600, 1600, 4800))
"""Products `[m, k] @ [k, n]` that the measured rate is the best of."""

MEMORY_BYTES = 512 << 20
TRIES = 3


def processor() -> str:
    """Returns the processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def fastest(work: Callable[[], object], tries: int = TRIES) -> float:
    """Returns the lowest time in seconds of a few tries."""
    seconds = []
    for _ in range(tries):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def multiply_rate(shapes: Sequence[tuple[int, int, int]] = SHAPES) -> float:
    """Returns float32 operations a second in matrix products, at the shape where they are most."""
    rates = []
    for m, k, n in shapes:
        left, right, out = torch.rand(m, k), torch.rand(k, n), torch.empty(m, n)  # [m, k], [k, n], [m, n]
        torch.mm(left, right, out=out)
        rates.append(2 * m * k * n / fastest(lambda a=left, b=right, c=out: torch.mm(a, b, out=c)))  # type: ignore[misc]
    return max(rates)


def memory_rate(size: int = MEMORY_BYTES) -> float:
    """Returns bytes a second that are read from memory, the better of a sum and a product with a vector."""
    table, vector = torch.ones(size // 4096, 1024), torch.ones(1024)  # [rows, 1024], [1024]
    return size / min(fastest(table.sum), fastest(lambda: table @ vector))


def decode_seconds(photos: Sequence[bytes]) -> float:
    """Returns the seconds of one core that decoding a photo takes, and nothing else done with it."""

    def decode() -> None:
        for data in photos:
            Image.open(io.BytesIO(data)).convert("RGB").load()

    return fastest(decode, 1) / len(photos)


def gru_flops(width: int, state: int) -> int:
    """Returns the operations of one step of a gated recurrent unit: three gates from word and state."""
    return 2 * 3 * state * (width + state)


def decoder_flops(entry: GruDecoderEntry) -> int:
    """Returns the operations of the decoder for one live row, from its entry in the pack's card."""
    state, word, words = entry.dim, entry.dim_word, entry.n_words
    output = state * word + word * words if entry.deep_output else state * words
    return gru_flops(word, state) + 2 * output


def live_rows(lengths: Sequence[int]) -> int:
    """Returns the rows that a search of one photo steps: one at first, then each hypothesis until it has ended.

    Args:
        lengths: words of each hypothesis that the search returns, its end among them.
    """
    return 1 + sum(length - 1 for length in lengths)


def search_flops(entry: GruDecoderEntry, lengths: Sequence[int]) -> int:
    """Returns the operations of one photo's search, its first state with them."""
    return live_rows(lengths) * decoder_flops(entry) + 2 * entry.dim_context * entry.dim


def encoder_flops(entry: SkipThoughtsEntry) -> int:
    """Returns the operations of the sentence encoder for one word."""
    return gru_flops(entry.dim_word, entry.uni) + 2 * gru_flops(entry.dim_word, entry.bi)


def retrieval_seconds(captions: int, joint: int, feature: int, photos: int, rate: float, memory: float) -> float:
    """Returns the seconds a photo that finding captions takes at the limit, of arithmetic or of memory.

    Args:
        captions: in the index, read once a batch as float32.
        joint: J.
        feature: F.
        photos: of a batch.
        rate: operations a second.
        memory: bytes a second.
    """
    return max(2 * joint * (captions + feature) / rate, 4 * captions * joint / memory / photos)


def network_flops(build: Callable[[], nn.Module], side: int) -> int:
    """Returns the operations of a network's convolutions and linear layers for one photo of `side` pixels squared."""
    counts: list[int] = []

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        counts.append(layer_flops(layer, output))

    with torch.device("meta"):
        net = build().eval()
        for layer in net.modules():
            layer.register_forward_hook(count)
        net(torch.empty(1, 3, side, side))  # [1, F]
    return sum(counts)


def layer_flops(layer: nn.Module, output: Tensor) -> int:
    """Returns the operations of one layer that gave an output; 0 for what multiplies no weights."""
    if isinstance(layer, nn.Conv2d):
        rows, columns = layer.kernel_size
        return 2 * output.numel() * layer.in_channels // layer.groups * rows * columns
    return 2 * output.numel() * layer.in_features if isinstance(layer, nn.Linear) else 0
