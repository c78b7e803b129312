"""A decoder's step as CUDA graphs, one for each frequent number of rows: one launch for all kernels."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from model_handlers.nets.beams import Step

AFTER = 16  # plain steps of a size before it is captured
MOST = 4  # sizes that are captured; each keeps its logits in the GPU's memory
WARM = 3  # steps before a capture, on a separate stream, as torch requires


def captured(step: Step, words: Tensor, states: Tensor) -> Step:
    """Returns the step as a CUDA graph, for as many rows as `words` `[R]` and `states` `[R, H]` have.

    What a call returns is overwritten by the next one.
    """
    words, states = words.clone(), states.clone()  # [R], [R, H]
    graph, here, aside = torch.cuda.CUDAGraph(), torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        for _ in range(WARM):
            step(words, states)
    here.wait_stream(aside)
    try:
        # Other threads may continue meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            logits, after = step(words, states)  # [R, V], [R, H]
    finally:
        torch.cuda.set_stream(here)  # a failed capture leaves another stream

    def replay(next_words: Tensor, next_states: Tensor) -> tuple[Tensor, Tensor]:
        words.copy_(next_words)  # [R]
        states.copy_(next_states)  # [R, H]
        graph.replay()
        return logits, after

    return replay


class GraphedStep:
    """A decoder's step, which on a GPU is replayed for sizes that have come often; elsewhere a plain call.

    The next call may overwrite the results, so callers read them before it, and each search runs within `alone`.

    Args:
        step: the decoder.
        device: device that it runs on.
        capture: turns a step into one for a single size; None for never. By default CUDA graphs, on CUDA only.

    Attributes:
        capturing: held during a capture: torch captures one graph at a time.
    """

    capturing = threading.Lock()

    def __init__(
        self, step: Step, device: torch.device, capture: Callable[[Step, Tensor, Tensor], Step] | None = None
    ) -> None:
        self._step = step
        self._capture = captured if capture is None and device.type == "cuda" else capture
        self._most = MOST if self._capture else 0
        self._graphs: dict[int, Step] = {}
        self._seen: Counter[int] = Counter()
        self._searching = threading.Lock()

    def __call__(self, words: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits `[R, V]` of the next words and new states `[R, H]`, after words `[R]` and states `[R, H]`."""
        rows = len(words)
        self._seen[rows] += 1
        if rows not in self._graphs and self._seen[rows] > AFTER and len(self._graphs) < self._most:
            self._add(words, states)
        return self._graphs.get(rows, self._step)(words, states)

    def alone(self) -> AbstractContextManager[object]:
        """Returns a context that admits one search at a time if steps are captured."""
        return self._searching if self._capture else nullcontext()

    def _add(self, words: Tensor, states: Tensor) -> None:
        """Captures a size; if that fails, mostly for lack of memory, no other size is tried."""
        assert self._capture is not None
        try:
            with self.capturing:
                self._graphs[len(words)] = self._capture(self._step, words, states)
        except RuntimeError as error:
            self._most = len(self._graphs)
            logging.warning("no CUDA graph of a step with %d rows (%s); continuing without one", len(words), error)
