"""Passages that a decoder writes well stay in their style, and the others are removed."""

from pathlib import Path

import numpy as np
import pytest

from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from model_handlers.stories import Passage, StoryHandler
from pipelines.training.packing import told_passages
from pipelines.training.packing.told_passages import keep_told, telling_costs


@pytest.fixture
def pack(story_pack: Pack, tmp_path: Path) -> Pack:
    """Returns a pack with four passages in each of two styles."""
    writer, draw = PackWriter(str(tmp_path / "pack"), story_pack), np.random.default_rng(0)
    writer.components["passages"] = {
        style: writer.add_array(f"passages/{style}.npy", draw.standard_normal((4, 48)).astype("f2"))
        for style in ("romance", "swift")
    }
    writer.card["style_texts"] = {style: {"kept": 4} for style in ("romance", "swift")}
    writer.card["defaults"] |= {"captions_per_photo": 3, "max_words": 20}
    return writer.finish()


@pytest.mark.parametrize(("max_cost", "least", "rows"), [(0.5, 1, [0, 2]), (0.1, 1, [2]), (0.1, 3, [0, 2, 3])])
def test_dear_passages_go_but_for_the_least_dear(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_cost: float, least: int, rows: list[int]
) -> None:
    costs = {"romance": np.asarray([0.4, np.inf, 0.2, 0.9]), "swift": np.zeros(4)}
    monkeypatch.setattr(told_passages, "telling_costs", lambda _: costs)
    monkeypatch.setattr(told_passages, "LEAST", least)
    new = keep_told(pack, max_cost, tmp_path / "new")
    old = pack.array(pack.components["passages"]["romance"])
    np.testing.assert_array_equal(new.array(new.components["passages"]["romance"]), old[rows])
    assert len(new.array(new.components["passages"]["swift"])) == 4
    assert new.card["style_texts"] == {"romance": {"kept": len(rows)}, "swift": {"kept": 4}}


def test_the_cost_of_telling_is_that_of_the_story(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_passages, "INDEFINITE", 99)
    seen: list[np.ndarray] = []
    infer = StoryHandler.infer

    def noted(self: StoryHandler, batch: list[np.ndarray], model: object) -> object:
        seen.extend(batch)
        told = infer(self, batch, model)  # type: ignore[arg-type]
        noted.told = [*getattr(noted, "told", []), *told]  # type: ignore[attr-defined]
        return told

    monkeypatch.setattr(StoryHandler, "infer", noted)
    costs = telling_costs(pack)
    assert costs.keys() == {"romance", "swift"} and len(seen) == 8
    wanted = [passage.cost / (passage.words + 1) for passage in noted.told]  # type: ignore[attr-defined]
    monkeypatch.undo()
    np.testing.assert_allclose(np.concatenate(list(costs.values())), wanted)
    many_a = Passage("a dog and a cat and a cow .", "", 2.0, 9)
    few_a = Passage("a dog and a cat .", "", 3.0, 5)
    answers = [ValueError("nothing"), many_a, few_a, few_a]
    monkeypatch.setattr(StoryHandler, "infer", lambda self, batch, model: answers)
    assert telling_costs(pack)["swift"].tolist() == [np.inf, np.inf, 0.5, 0.5]
