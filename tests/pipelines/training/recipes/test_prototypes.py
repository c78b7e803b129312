import numpy as np
import pytest

from pipelines.corpora.texts import Tokens, Vocabulary
from pipelines.training.recipes.joint import PhotoSet
from pipelines.training.recipes.prototypes import prototypes

VOCABULARY = Vocabulary(["zebra", "retriever", "runs", "stands"])


def test_classes_that_captions_name_and_photos_do_not_show_are_drawn_oftener() -> None:
    draw = np.random.default_rng(0)
    shown = Tokens.of([VOCABULARY.encode("retriever runs")] * 7 + [VOCABULARY.encode("somebody runs")] * 90)
    photos = PhotoSet(draw.random((97, 4), np.float32), shown, [[row] for row in range(97)])
    texts = ["a zebra stands"] * 16 + ["a retriever runs"] * 16 + ["a monocle", "an abacus"] * 5 + ["a tench"] * 4
    found = prototypes(draw.random((1000, 4), np.float32), photos, texts, VOCABULARY)
    about: dict[str, list[float]] = {}
    for rows, weight in zip(found.rows, found.weights, strict=True):
        (text,) = {VOCABULARY.decode(found.captions[row]) for row in rows}
        about.setdefault(text, []).append(float(weight))
    zebra, retriever = (about[VOCABULARY.decode(VOCABULARY.encode(text))] for text in (texts[0], texts[16]))
    assert zebra == pytest.approx([8.0] * len(zebra)) and zebra  # 16 ** .75
    assert retriever == pytest.approx([2**0.75] * len(retriever)) and retriever  # (16 / 8) ** .75
    assert {len(rows) for rows in found.rows} == {16, 5}  # a tench is named by four captions only
    assert len(found.features) == len(found.rows)
