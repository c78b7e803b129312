"""Memory that runs out in a run: smaller batches give the same stories, and if no batch fits the run fails."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from model_handlers.captions import CaptionHandler
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEncoder
from model_handlers.handler import PackHandler
from model_handlers.pack import Pack
from model_handlers.process_cache import PROCESS_CACHE
from model_handlers.stories import StoryHandler

FLAGS = ("--captions-per-photo=3", "--beam-width=3", "--device=cpu", "--batch-size=8", "--wave-size=8")
PHOTOS = 16

ERRORS = {
    CaptionHandler: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    StoryHandler: RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
}


@pytest.fixture
def tell(run_job: Any, write_features: Any, story_pack: Pack, monkeypatch: Any) -> Callable[[Any], tuple[int, str]]:
    """Returns a function that tells photos in two waves into an OUTPUT, in a process that has no model yet."""
    PROCESS_CACHE.clear()
    draw = np.random.RandomState(1)
    features = write_features([(f"photo {place:02d}", draw.rand(4096).astype("f4")) for place in range(PHOTOS)])

    def run(output: Any) -> tuple[int, str]:
        places = (f"--features={features}", f"--output={output.location}", f"--pack={story_pack.location}")
        code, _, errors = run_job(*places, *FLAGS)
        return code, errors

    return run


def hold_at_most(kind: type[PackHandler], most: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns the sizes of the batches that a handler gets from now on; larger ones than `most` do not fit."""
    infer, sizes = kind.infer, []

    def hungry(self: Any, batch: Sequence[Any], model: Any) -> Any:
        sizes.append(len(batch))
        if len(batch) > most:
            raise ERRORS[kind]
        return infer(self, batch, model)

    monkeypatch.setattr(kind, "infer", hungry)
    return sizes


def test_smaller_batches_tell_the_same_stories(
    tell: Any, output_at: Any, same_stories: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide, narrow = output_at(str(tmp_path / "wide")), output_at(str(tmp_path / "narrow"))
    assert tell(wide)[0] == 0
    PROCESS_CACHE.clear()
    sizes = {kind: hold_at_most(kind, 3, monkeypatch) for kind in ERRORS}
    encode, chunks = SkipThoughtsEncoder._encode_batch, []

    def hungry(self: Any, rows: Any, normalise: bool) -> Any:
        chunks.append(len(rows))
        if len(rows) > 2:
            raise MemoryError("Unable to allocate 1 GiB")
        return encode(self, rows, normalise)

    monkeypatch.setattr(SkipThoughtsEncoder, "_encode_batch", hungry)
    code, errors = tell(narrow)
    assert code == 0, errors
    assert narrow.outcomes() == {"story": PHOTOS}
    same_stories(narrow.rows("stories"), wide.rows("stories"))
    for found in sizes.values():
        assert found == [8, 4, *[2] * 8]  # the second wave, and its batch of 8, too
    assert max(chunks) > 2 and sum(size > 2 for size in chunks) <= 3


@pytest.mark.parametrize("kind", ERRORS)
def test_one_photo_that_does_not_fit_fails_the_run(
    kind: type[PackHandler], tell: Any, output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = hold_at_most(kind, 0, monkeypatch)
    code, errors = tell(output)
    assert code == 1
    last = errors.strip().splitlines()[-1]
    told = f"The run failed; nothing was published: memory ran out for a batch of one: {kind.__name__} ({ERRORS[kind]})"
    assert last.startswith(told) and "--beam-width" in last
    assert sizes == [8, 4, 2, 1] and output.manifests == []
