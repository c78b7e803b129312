"""What the decoder's training needs beside texts: stories with contexts, and styles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.training.corpus import Corpus
from pipelines.training.expansion import outside_vectors
from pipelines.training.from_pack import Surroundings
from pipelines.training.heroes import HERO, cast, heroes, with_hero
from pipelines.training.lexicon import FACES, FEELINGS, HER, SCENES
from pipelines.training.narration import narrate
from pipelines.training.passages import photo_captions
from pipelines.training.settings import ConfigError
from pipelines.training.stories import HERO_ID, StorySet, match_passages, proper_names, topics
from pipelines.training.tables import nearest
from pipelines.training.texts import Tokens, Vocabulary, passages_of


@dataclass(frozen=True)
class StoriesConfig:
    """How stories are put together.

    Args:
        styles: for each of the pack's styles the books whose passages are in it, as beginnings of their files' names;
            "" is every book. Without it every style has all books.
        captions: captions without photos that get a story, the pack's own where there are no others.
        nearest: captions whose mean vector can be a context, as in the main job.
        passages: passages of a style that a story may go on with.
        most: stories that may share a passage, as far as possible.
        shortest: words of a passage.
        longest: words of a passage.
    """

    styles: dict[str, list[str]] = field(default_factory=dict)
    captions: int = 24000
    nearest: int = 100
    passages: int = 3
    most: int = 20
    shortest: int = 22
    longest: int = 60


@dataclass(frozen=True)
class _Told:
    """What stories are about: openings with their captions, and the joint embeddings `[Q, J]` that find captions."""

    openings: list[str]
    captions: list[str]
    embeddings: np.ndarray


@dataclass(frozen=True)
class _Passages:
    """Passages of books, and the place of each one's book."""

    texts: list[list[str]]
    books: np.ndarray


def prepare_stories(config: StoriesConfig, corpus: Corpus, around: Surroundings, output: Path) -> StorySet:
    """Returns the stories, made once and kept in `output`.

    Raises:
        ConfigError: a style is none of the pack, or has no books or no passages; or no caption can be told.
    """
    path = output / "stories.npz"
    if not path.exists():
        output.mkdir(parents=True, exist_ok=True)
        _stories(config, corpus, around).save(path)
    return StorySet.load(path)


def books_of_styles(config: StoriesConfig, corpus: Corpus, styles: Sequence[str]) -> dict[str, list[int]]:
    """Returns for each style the places of its books.

    Raises:
        ConfigError: a style is unknown or has no books.
    """
    wanted = config.styles or dict.fromkeys(styles, [""])
    problems = [f"stories.styles.{name}: the pack has {', '.join(styles)}" for name in wanted if name not in styles]
    names = corpus.book_names
    books = {
        name: [place for place, book in enumerate(names) if book.startswith(tuple(prefixes))]
        for name, prefixes in wanted.items()
    }
    problems += [f"stories.styles.{name}: no book's name begins so" for name, places in books.items() if not places]
    if problems:
        raise ConfigError("; ".join(problems))
    return books


def _stories(config: StoriesConfig, corpus: Corpus, around: Surroundings) -> StorySet:
    styles = books_of_styles(config, corpus, list(around.styles))
    words = around.words
    told = _told(config, corpus, around)
    near = nearest(told.embeddings, around.bank_embeddings(), config.nearest)  # [Q, k]
    passages = _passages(config, corpus, words)
    ids = Tokens.of([HERO_ID if word == HERO else words.ids[word] for word in text] for text in passages.texts)
    openings, captions = (Tokens.of(words.encode(text) for text in part) for part in (told.openings, told.captions))
    names, places, people = _heroes(told.captions)
    return StorySet(
        bank=around.bank_vectors(),
        near=near.astype(np.int32),
        openings=openings,
        captions=captions,
        names=Tokens.of(words.encode(name) for name in names),
        heroes=places,
        passages=ids,
        women=np.asarray([bool(HER & set(text)) for text in passages.texts]),
        rows=_rows(config, words, openings, people, passages, ids, styles),
        styles=np.stack([around.styles[name] - around.source_style for name in styles]),
    )


def _told(config: StoriesConfig, corpus: Corpus, around: Surroundings) -> _Told:
    """Returns the training photos' captions, the romantic captions, and a choice of the others, those that can be told.

    A photo's captions have the photo's embedding, the others their own.
    """
    draw = np.random.default_rng(0)
    other = corpus.captions("flickr30k_train") + corpus.captions("coco_sample") or around.bank
    chosen = draw.choice(len(other), min(config.captions, len(other)), replace=False)
    texts = corpus.captions("romantic") + [other[place] for place in chosen]
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
        raise ConfigError(f"stories: of {len(captions)} captions {len(kept)} can open a story, which is too few")
    return _Told([openings[place] or "" for place in kept], [captions[place] for place in kept], embeddings[kept])


def _heroes(captions: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns names, each caption's two among them `[Q, 2]`, and whether men and women suit it `[Q, 2]`."""
    found = [heroes(caption) for caption in captions]
    names = sorted({name for both, _ in found for name in both})
    place = {name: row for row, name in enumerate(names)}
    return (
        names,
        np.asarray([[place[name] for name in both] for both, _ in found], np.int32),
        np.asarray([people for _, people in found], np.float32),
    )


def _passages(config: StoriesConfig, corpus: Corpus, words: Vocabulary) -> _Passages:
    """Returns passages of the books, each once, without unknown words."""
    names = proper_names(corpus.books)
    draw = np.random.default_rng(0)
    texts: dict[str, int] = {}
    for place, book in enumerate(corpus.books):
        for paragraph in book:
            for passage in passages_of(paragraph.split(), config.shortest, config.longest, draw):
                told = with_hero(passage, names)
                if told and all(word in words.ids or word == HERO for word in told):
                    texts.setdefault(" ".join(told), place)
    return _Passages([text.split() for text in texts], np.fromiter(texts.values(), np.int64))


def _is_moving(words: set[str]) -> bool:
    """Returns whether a passage tells of feelings or of a scene, and not of faces."""
    return bool(words & (FEELINGS | SCENES)) and len(words & FACES) < 2


def _rows(
    config: StoriesConfig,
    words: Vocabulary,
    openings: Tokens,
    people: np.ndarray,
    passages: _Passages,
    ids: Tokens,
    styles: Mapping[str, Sequence[int]],
) -> np.ndarray:
    """Returns the places of passages that suit each opening, in each style `[styles, Q, passages]`.

    Args:
        config: how many.
        words: the vocabulary.
        openings: Q of them.
        people: whether men and women suit each opening `[Q, 2]`.
        passages: P of them, as words.
        ids: the same as ids.
        styles: the places of each style's books.
    """
    outside = outside_vectors(words.words)  # [V - 2, D]
    meanings = np.concatenate([np.zeros((2, outside.shape[1]), np.float32), outside - outside.mean(axis=0)])  # [V, D]
    counts = np.bincount(np.concatenate([openings.ids, ids.ids[ids.ids >= 0]]), minlength=words.size)  # [V]
    rarity = 1 / np.sqrt(1 + counts)  # [V]
    rarity[[words.ids[word] for word in FEELINGS if word in words.ids]] = 0
    about, told = (topics(texts, meanings, rarity) for texts in (openings, ids))  # [Q, D], [P, D]
    casts = np.asarray([cast(text) for text in passages.texts], np.float32)  # [P, 2]
    moving = np.asarray([_is_moving(set(text)) for text in passages.texts], bool)  # [P]
    rows = []
    for name, books in styles.items():
        (places,) = np.nonzero(np.isin(passages.books, books) & moving)
        if len(places) < config.passages:
            raise ConfigError(f"stories.styles.{name}: {len(places)} passages of its books can be part of a story")
        found = match_passages(about, people, told[places], casts[places], config.passages, config.most)
        rows.append(places[found])
    return np.stack(rows)  # [styles, Q, passages]
