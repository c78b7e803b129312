"""Stories with contexts, which the decoder's training needs besides texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from configs.schema import ConfigError
from pipelines.corpora.narration import narrate
from pipelines.corpora.protagonists import PROTAGONIST, protagonists
from pipelines.corpora.story_passages import cut_passages
from pipelines.corpora.texts import Tokens
from pipelines.training.data.corpus import Corpus
from pipelines.training.data.passages import photo_captions
from pipelines.training.data.story_set import PROTAGONIST_ID, StorySet
from pipelines.training.recipes.from_pack import Surroundings
from pipelines.training.recipes.text_vectors import nearest, sentence_vectors

SAME = 0.98
"""Cosine from which a passage of the books counts as one of the passages that a style keeps."""


@dataclass(frozen=True)
class StoriesConfig:
    """How stories are composed.

    Args:
        captions: maximum number of the data's captions without photos that get a story.
        nearest: maximum number of captions whose mean vector is a context, as in the main job.
        usual: number of captions whose mean vector chooses an opening's nearest passages.
        passages: number of a style's nearest passages that may continue a story.
    """

    captions: int = 12000
    nearest: int = 100
    usual: int = 6
    passages: int = 4


Rows = dict[str, np.ndarray]


@dataclass(frozen=True)
class _Openings:
    """Openings of stories with their captions, and the joint embeddings `[Q, J]` that find similar captions."""

    openings: list[str]
    captions: list[str]
    embeddings: np.ndarray


def prepare_stories(config: StoriesConfig, corpus: Corpus, around: Surroundings, output: Path) -> StorySet:
    """Returns the stories; `output` caches them.

    Raises:
        ConfigError: no style of the pack keeps passages of the books, or too few captions can open a story.
    """
    path = output / "stories.npz"
    if not path.exists():
        output.mkdir(parents=True, exist_ok=True)
        _stories(config, corpus, around).save(path)
    return StorySet.load(path)


def _stories(config: StoriesConfig, corpus: Corpus, around: Surroundings) -> StorySet:
    words = around.words
    found = _find_openings(config, corpus, around)
    near = nearest(found.embeddings, around.bank_embeddings(), config.nearest)  # [Q, k]
    known = words.ids.keys() | {PROTAGONIST}
    passages = [passage for passage in cut_passages(corpus.books) if known >= set(passage.words)]
    vectors = sentence_vectors(around.encoder, Tokens.of(words.encode(passage.said()) for passage in passages))
    bank = around.bank_vectors()
    usual = np.stack([bank[places].mean(axis=0, dtype=np.float32) for places in near[:, : config.usual]])  # [Q, S]
    rows = _near_passages(config, around, usual - around.source_style, vectors)
    names, places = _protagonists(found.captions)
    openings, captions = (Tokens.of(words.encode(text) for text in part) for part in (found.openings, found.captions))
    return StorySet(
        bank=bank,
        near=near.astype(np.int32),
        openings=openings,
        captions=captions,
        names=Tokens.of(words.encode(name) for name in names),
        protagonists=places,
        passages=Tokens.of(
            [PROTAGONIST_ID if word == PROTAGONIST else words.ids[word] for word in passage.words]
            for passage in passages
        ),
        women=np.asarray([passage.about_a_woman for passage in passages]),
        vectors=vectors,
        rows=np.stack(list(rows.values())),
        styles=np.stack([around.styles[name] for name in rows]),
        source=around.source_style,
    )


def _near_passages(config: StoriesConfig, around: Surroundings, apart: np.ndarray, vectors: np.ndarray) -> Rows:
    """Returns for each style that is made of these books its passages nearest to each opening `[Q, passages]`.

    They are places among all passages of the books; only passages that the style keeps are used.

    Args:
        config: number of passages.
        around: has the passages that the styles keep.
        apart: usual contexts of the openings, minus the caption style `[Q, S]`.
        vectors: sentence vectors of all passages `[P, S]`.

    Raises:
        ConfigError: no style keeps passages of these books.
    """
    table = torch.from_numpy(vectors.astype(np.float32))  # [P, S], of unit length
    rows = {}
    for name, kept in around.passages.items():
        likeness, places = (torch.from_numpy(kept) @ table.T).max(dim=1)  # [K]
        same = torch.unique(places[likeness >= SAME])  # [k]
        if len(same) >= config.passages:
            own = table[same] - torch.from_numpy(kept).mean(dim=0)  # [k, S]
            unit = (own / own.norm(dim=1, keepdim=True)).numpy()  # [k, S]
            rows[name] = same.numpy()[nearest(apart.astype(np.float32), unit, config.passages)]  # [Q, passages]
    if not rows:
        raise ConfigError(
            f"network.pack: no style keeps {config.passages} passages or more of the books here (it has "
            f"{', '.join(around.passages)}); make a style of these books with pipelines.fit_style --passages"
        )
    return rows


def _find_openings(config: StoriesConfig, corpus: Corpus, around: Surroundings) -> _Openings:
    """Returns openings from captions: of training photos, romantic ones, some others, and those of the pack's bank.

    The bank is broad: it names things that the data's captions rarely name, such as cats and rockets. Captions of a
    photo have the embedding of the photo, the others their own.
    """
    draw = np.random.default_rng(0)
    other = corpus.captions("flickr30k_train") + corpus.captions("coco_sample")
    chosen = draw.choice(len(other), min(config.captions, len(other)), replace=False)
    texts = [*corpus.captions("romantic"), *(other[place] for place in chosen), *around.bank]
    embeddings = around.embed(texts)  # [N, J]
    captions = texts
    if places := corpus.photos_of("train", "extra"):
        counts = [len(corpus.photos[place].captions) for place in places]
        images = around.embed_photos(corpus.features[places])  # [N, J]
        captions = photo_captions(corpus, "train", "extra")[0] + texts
        embeddings = np.concatenate([np.repeat(images, counts, axis=0), embeddings])  # [Q, J]
    known = around.words.ids
    openings = [narrate(caption) for caption in captions]
    kept = [place for place, text in enumerate(openings) if text and all(word in known for word in text.split())]
    if len(kept) < 2:
        raise ConfigError(f"stories: only {len(kept)} of {len(captions)} captions can open a story, which is too few")
    return _Openings([openings[place] or "" for place in kept], [captions[place] for place in kept], embeddings[kept])


def _protagonists(captions: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Returns names, and the places of each caption's two protagonists among them `[Q, 2]`."""
    found = [protagonists(caption) for caption in captions]
    names = sorted({name for both in found for name in both})
    place = {name: row for row, name in enumerate(names)}
    return names, np.asarray([[place[name] for name in both] for both in found], np.int32)
