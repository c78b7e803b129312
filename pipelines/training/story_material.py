"""What the decoder's training needs beside texts: stories with contexts, styles, captions with mean vectors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipelines.training.corpus import Corpus
from pipelines.training.joint import embed_texts
from pipelines.training.lexicon import FEELINGS
from pipelines.training.passages import Source, caption_source, read_cached
from pipelines.training.stories import StorySet, match_passages, persons, romance_passages, topics
from pipelines.training.tables import (
    joint_embeddings,
    load_autoencoder,
    load_joint,
    load_words,
    nearest,
    sentence_vectors,
)
from pipelines.training.texts import UNKNOWN, Tokens, Vocabulary
from pipelines.training.thoughts import Autoencoder


@dataclass(frozen=True)
class StoriesConfig:
    """How stories are put together.

    Args:
        captions: captions without photos that get a story.
        nearest: captions whose mean vector is a context, as in the main job.
        romantic: similarity above which a romantic caption may open a story about a caption.
        openings: romantic captions a context may open with.
        clusters: of contexts; those of one cluster share their passages.
        passages: passages a context may go on with.
        least: words of a passage, where a cluster has one so long.
        most: clusters that may share a passage, as far as possible.
    """

    captions: int = 24000
    nearest: int = 100
    romantic: float = 0.6
    openings: int = 3
    clusters: int = 1500
    passages: int = 3
    least: int = 16
    most: int = 2


@dataclass(frozen=True)
class Material:
    """Stories, captions with mean vectors `[P, S]`, and style vectors `[S]` by name; `source` is the captions'."""

    stories: StorySet
    plain: tuple[np.ndarray, Tokens]
    styles: dict[str, np.ndarray]


@dataclass(frozen=True)
class _Queries:
    """What stories are about: joint embeddings `[Q, J]`, a caption of each, and whether it is romantic itself."""

    embeddings: np.ndarray
    texts: Tokens
    romantic: np.ndarray


def _queries(corpus: Corpus, sources: dict[str, Source], joint: dict[str, np.ndarray], captions: int) -> _Queries:
    """Returns the training photos with their captions, the romantic captions, and a choice of the other captions."""
    draw = np.random.default_rng(0)
    places = corpus.photos_of("train", "extra")
    counts = [len(corpus.photos[place].captions) for place in places]
    chosen = draw.choice(len(sources["captions"].texts), min(captions, len(sources["captions"].texts)), replace=False)
    photos, romantic = sources["photos"].texts, sources["romantic"].texts
    texts = Tokens.of([*photos, *romantic, *(sources["captions"].texts[place] for place in chosen)])
    embeddings = np.concatenate(
        [np.repeat(joint["images"][places], counts, axis=0), joint["romantic"], joint["captions"][chosen]]
    )  # [Q, J]
    flags = np.zeros(len(texts), bool)  # [Q]
    flags[len(photos) : len(photos) + len(romantic)] = True
    return _Queries(embeddings, texts, flags)


def _mean_vectors(places: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Returns the mean `[Q, S]` of the rows of `vectors` `[K, S]` at each row of `places` `[Q, k]`, half precision."""
    means = np.empty((len(places), vectors.shape[1]), np.float16)  # [Q, S]
    table = vectors.astype(np.float32)  # [K, S]
    for row, chosen in enumerate(places):
        means[row] = table[chosen].mean(axis=0)
    return means


def _openings(queries: _Queries, joint: dict[str, np.ndarray], config: StoriesConfig, offset: int) -> np.ndarray:
    """Returns openings `[Q, openings]`: places of romantic captions, or `offset` + the query's own; -1 is none."""
    best = nearest(queries.embeddings, joint["romantic"], config.openings)  # [Q, openings]
    near = np.einsum("qj,qoj->qo", queries.embeddings.astype(np.float32), joint["romantic"][best].astype(np.float32))
    from_photo = np.arange(len(queries.texts)) < np.argmax(queries.romantic)  # [Q]
    rows = np.where((near >= config.romantic) | from_photo[:, None], best, -1)  # [Q, openings]
    rows[queries.romantic] = -1
    alone = (rows < 0).all(axis=1)  # [Q]
    rows[alone, 0] = offset + np.arange(len(rows))[alone]
    return rows


def _known(rows: np.ndarray, openings: Tokens) -> np.ndarray:
    """Returns `rows` `[Q, openings]` without openings that hold an unknown word; where none is left, its own."""
    unknown = np.zeros(len(openings) + 1, bool)  # [O + 1]
    unknown[np.repeat(np.arange(len(openings)), openings.lengths)[openings.ids == UNKNOWN]] = True
    kept = np.where(unknown[rows], -1, rows)  # [Q, openings]
    alone = (kept < 0).all(axis=1)  # [Q]
    kept[alone, 0] = len(openings) - len(rows) + np.flatnonzero(alone)
    return kept


def prepare_stories(config: StoriesConfig, corpus: Corpus, output: Path) -> Material:
    """Returns the material, made once and kept in `output`; the caption bank must have been written before."""
    stories, plain, styles = output / "stories.npz", output / "plain.npz", output / "styles.npz"
    if not styles.exists():
        output.mkdir(parents=True, exist_ok=True)
        _make(config, corpus, output)
    with np.load(plain) as arrays, np.load(styles) as vectors:
        captions = Tokens(arrays["ids"], arrays["starts"])
        return Material(StorySet.load(stories), (arrays["contexts"], captions), dict(vectors))


def _make(config: StoriesConfig, corpus: Corpus, output: Path) -> None:
    thoughts, joint_folder = output.parent / "thoughts", output.parent / "joint"
    words, sources, model = load_words(thoughts), read_cached(thoughts / "texts.npz"), load_autoencoder(thoughts)
    joint = joint_embeddings(corpus, joint_folder)
    bank = (output.parent / "writer" / "bank.txt").read_text().splitlines()
    bank_texts = caption_source(bank, words).texts
    bank_vectors = sentence_vectors(model, bank_texts)  # [K, S]
    joint_words = load_words(joint_folder)
    bank_embeddings = embed_texts(
        load_joint(joint_folder), Tokens.of(joint_words.encode(text) for text in bank)
    )  # [K, J]
    queries = _queries(corpus, sources, joint, config.captions)
    found = nearest(queries.embeddings, bank_embeddings.detach().half().numpy(), config.nearest)  # [Q, k]
    contexts = _mean_vectors(found, bank_vectors)  # [Q, S]
    passages = _passages(corpus, words, output / "passages.npz")
    openings = Tokens.of([*sources["romantic"].texts, *queries.texts])
    opening_rows = _known(_openings(queries, joint, config, len(sources["romantic"].texts)), openings)
    rows = _passage_rows(model, words, queries, contexts, passages, config)
    StorySet(contexts, openings, opening_rows, passages, rows).save(output / "stories.npz")
    plain = ~queries.romantic  # [Q]
    kept = Tokens.of(queries.texts[place] for place in np.flatnonzero(plain))
    np.savez(output / "plain.npz", contexts=contexts[plain], ids=kept.ids, starts=kept.starts)
    np.savez(output / "styles.npz", **_styles(model, sources, passages))  # type: ignore[arg-type]


def _passages(corpus: Corpus, words: Vocabulary, path: Path) -> Tokens:
    """Returns the romance passages of the books that are not held out, kept in `path`."""
    if not path.exists():
        Tokens.of(romance_passages(corpus.books[: -corpus.held_out_books], words)).save(path)
    return Tokens.load(path)


def clusters(contexts: np.ndarray, count: int, rounds: int = 8) -> np.ndarray:
    """Returns the cluster of each context `[Q]` after some rounds of k-means from random contexts."""
    rows = torch.from_numpy(contexts).bfloat16()  # [Q, S]
    some = np.random.default_rng(0).choice(len(contexts), min(count, len(contexts)), replace=False)
    centres = torch.from_numpy(contexts[some].astype(np.float32))  # [C, S]
    nearest_ = torch.zeros(len(rows), dtype=torch.long)  # [Q]
    for _ in range(rounds):
        offset = (centres.square().sum(dim=1) / 2).bfloat16()  # [C]
        parts = [(part @ centres.bfloat16().T - offset).argmax(dim=1) for part in rows.split(4096)]
        nearest_ = torch.cat(parts)  # [Q]
        sizes = torch.bincount(nearest_, minlength=len(centres)).clamp(min=1)  # [C]
        centres = torch.zeros_like(centres).index_add_(0, nearest_, rows.float()) / sizes[:, None]  # [C, S]
    return nearest_.numpy()


def long_enough(rows: np.ndarray, lengths: np.ndarray, least: int) -> np.ndarray:
    """Returns `rows` `[C, passages]` with passages below `least` words replaced by the longest of their row.

    Beam search adds up costs, so the shortest passages that the decoder knows would end all stories.
    """
    longest = rows[np.arange(len(rows)), lengths[rows].argmax(axis=1)]  # [C]
    return np.where(lengths[rows] < least, longest[:, None], rows)


def _passage_rows(
    model: Autoencoder,
    words: Vocabulary,
    queries: _Queries,
    contexts: np.ndarray,
    passages: Tokens,
    config: StoriesConfig,
) -> np.ndarray:
    """Returns the places of the passages that suit each query, `[Q, passages]`.

    Like contexts share their passages, so that the decoder can learn where in the space of contexts each belongs:
    contexts are clustered, and a cluster gets the passages that suit the captions in it best.

    Args:
        model: its output layer holds word vectors in which words of like topics are near.
        words: the vocabulary.
        queries: a caption of each query.
        contexts: of the queries `[Q, S]`.
        passages: to choose from.
        config: how many a query gets, and how many clusters may share one.
    """
    counts = np.bincount(np.concatenate([queries.texts.ids, passages.ids]), minlength=words.size)  # [V]
    rarity = 1 / np.sqrt(1 + counts)  # [V]
    rarity[[words.ids[word] for word in FEELINGS if word in words.ids]] = 0
    meanings = model.decoder.logits.weight.detach().numpy()  # [V, W]
    meanings = meanings - meanings.mean(axis=0)  # [V, W]
    about, told = (topics(part, meanings, rarity) for part in (queries.texts, passages))  # [Q, W], [P, W]
    who, cast = persons(queries.texts, words), persons(passages, words)  # [Q, 2], [P, 2]
    cluster = clusters(contexts, config.clusters)  # [Q]
    size = np.maximum(np.bincount(cluster, minlength=config.clusters), 1)[:, None]  # [C, 1]
    shared = np.zeros((len(size), about.shape[1]), np.float32)  # [C, W]
    people = np.zeros((len(size), 2), np.float32)  # [C, 2]
    np.add.at(shared, cluster, about)
    np.add.at(people, cluster, who)
    shared /= np.maximum(np.linalg.norm(shared, axis=1, keepdims=True), 1e-6)  # [C, W]
    rows = match_passages(
        shared, people / size.astype(np.float32), told, cast, config.passages, config.most
    )  # [C, passages]
    return rows[cluster]


def _styles(model: Autoencoder, sources: dict[str, Source], passages: Tokens) -> dict[str, np.ndarray]:
    """Returns the mean sentence vectors `[S]` of captions (`source`), of romance passages and of novels at large."""
    draw = np.random.default_rng(0)
    books = sources["books"].texts
    some = Tokens.of(books[place] for place in draw.choice(len(books), min(20000, len(books)), replace=False))
    captions = Tokens.of([*sources["photos"].texts, *sources["captions"].texts])
    kinds = {"source": captions, "romance": passages, "novel": some}
    return {name: sentence_vectors(model, texts).astype(np.float32).mean(axis=0) for name, texts in kinds.items()}
