"""Training of the caption writer, a decoder network that starts from a joint embedding; writing of a caption bank."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model_handlers.nets.search import sample
from model_handlers.nets.story_decoder import StoryDecoder
from pipelines.corpora.lexicon import NOT_LAST, OFTEN
from pipelines.corpora.texts import END, Tokens, Vocabulary, padded
from pipelines.training.engine.loop import Loss, Task
from pipelines.training.recipes.thoughts import decoder_states, drop_words, jitter, text_loss


@dataclass(frozen=True)
class WriterConfig:
    """Training of the caption writer; word vectors, cell and output layer start from the sentence encoder's decoder.

    Args:
        photo_share: share of the batches that start from the photos' joint embeddings, not from the captions' own.
        pseudo: number of pseudo photos, with captions, of classes that photos do not show.
        noise: maximum length of the random vector added to a joint embedding (of length 1).
    """

    dim_word: int = 160
    dim: int = 640
    tokens: int = 3500
    negatives: int = 0
    photo_share: float = 0.4
    pseudo: int = 0
    noise: float = 0.5
    word_dropout: float = 0.1


class WriterTask(Task):
    """Trains a `StoryDecoder` to write a caption from its own joint embedding or that of its photo."""

    def __init__(
        self,
        config: WriterConfig,
        n_words: int,
        texts: Tokens,
        own: np.ndarray,
        photos: np.ndarray,
        held_out: int = 512,
    ) -> None:
        """Makes the task.

        Args:
            config: settings of the training.
            n_words: number of words V.
            texts: captions.
            own: joint embeddings of the captions `[K, J]`.
            photos: joint embeddings of the photos of the first P captions `[P, J]`.
            held_out: maximum number of evenly spaced captions that are held out for the score.
        """
        self.config, self.texts, self.own, self.photos = config, texts, own, photos
        self.dev = np.linspace(0, len(texts) - 1, min(held_out, 1 + len(texts) // 20), dtype=int)
        train = np.setdiff1d(np.arange(len(texts)), self.dev)
        order = train[np.argsort(texts.lengths[train], kind="stable")]
        self.pictured, self.plain = order[order < len(photos)], order
        self.model: StoryDecoder = StoryDecoder(own.shape[1], config.dim_word, config.dim, n_words, deep_output=True)
        torch.nn.init.normal_(self.model.state.weight, std=0.5)

    def loss(self, step: int, draw: np.random.Generator) -> Loss:
        """Returns the loss of one batch of captions of similar length."""
        pictured = draw.random() < self.config.photo_share
        order, rows = (self.pictured, self.photos) if pictured else (self.plain, self.own)
        middle = int(draw.integers(len(order)))
        wide = self.config.tokens // (int(self.texts.lengths[order[middle]]) + 1)
        first = int(np.clip(middle - draw.integers(wide), 0, max(0, len(order) - wide)))
        places = order[first : first + wide]
        ids, lengths = (torch.as_tensor(array) for array in padded([self.texts[place] for place in places]))
        contexts = jitter(torch.as_tensor(rows[places].astype(np.float32)), self.config.noise)  # [N, J]
        states = decoder_states(self.model, contexts, ids, drop_words(ids, self.config.word_dropout))  # [N, T, W]
        value = text_loss(self.model, states, ids, lengths, self.config.negatives)
        return Loss(value, int(lengths.sum()), {"nll_photos" if pictured else "nll_texts": float(value.detach())})

    def evaluate(self) -> dict[str, float]:
        """Returns the loss per token on held-out captions, given their own joint embeddings."""
        ids, lengths = (torch.as_tensor(array) for array in padded([self.texts[place] for place in self.dev]))
        contexts = torch.as_tensor(self.own[self.dev].astype(np.float32))  # [N, J]
        value = float(text_loss(self.model, decoder_states(self.model, contexts, ids, ids), ids, lengths))
        return {"nll": value, "score": -value}


@torch.inference_mode()
def write_captions(
    writer: StoryDecoder, contexts: Tensor, vocabulary: Vocabulary, temperature: float, seed: int, batch_size: int = 256
) -> Iterable[tuple[str, float]]:
    """Yields a sampled caption for each joint embedding `[N, J]`, with its cost per token."""
    for first in tqdm(range(0, len(contexts), batch_size), desc="captions", unit="batch"):
        states = writer.initial_state(contexts[first : first + batch_size])  # [N, H]
        seeds = [seed + first + row for row in range(len(states))]
        for found in sample(writer.step, states, seeds, max_words=24, temperature=temperature):
            if found.words[-1] == END:
                yield vocabulary.decode(found.words), found.cost / len(found.words)


_WORDS = re.compile(r"[a-z][a-z'-]*")
_WRONG_ARTICLE = re.compile(r"\ban [b-df-gj-np-tv-z]|\ba (?!one)[aeio]")
_NO_MARKS = re.compile(r"[^a-z0-9 ]")


def is_fluent(caption: str) -> bool:
    """Returns whether a caption has 5 to 18 words and ends with its only full stop.

    It must not have numbers, other punctuation than commas, wrong articles or repeated content words.
    """
    words = caption.split()
    if not 6 <= len(words) <= 19 or words[-1] != "." or words[-2] in NOT_LAST:
        return False
    body = words[:-1]
    if any(not _WORDS.fullmatch(word) and word != "," for word in body):
        return False
    if _WRONG_ARTICLE.search(caption):
        return False
    echoes = any(one == two for one, two in zip(body, body[1:], strict=False))
    content = [word.removesuffix("s") for word in body if word not in NOT_LAST | OFTEN]
    return not echoes and len(set(content)) == len(content)


def choose_captions(
    candidates: Sequence[tuple[str, float]],
    known: frozenset[str],
    limit: int,
    max_cost: float,
    most: int,
    turn: int = 8,
) -> list[str]:
    """Returns different fluent captions that are not in the data, on as many subjects as possible.

    A caption's subject is its rarest word. Subjects take turns, and in each turn every subject offers its next
    likeliest captions. By likelihood only, the commonest subjects would fill the bank.

    Args:
        candidates: captions with their cost per token.
        known: captions of the data; none of them is chosen, with or without its first article.
        limit: maximum number of captions.
        max_cost: highest cost per token of a fluent caption.
        most: maximum number of captions with the same subject, or the same first four words.
        turn: number of captions that a subject offers in a turn.
    """
    bare = {strip_article(text) for text in known}
    common = Counter(word for text, _ in candidates for word in set(text.split()))
    costs = {text: cost for text, cost in candidates if cost <= max_cost and is_fluent(text)}
    fresh = sorted((text for text in costs if strip_article(text) not in bare), key=lambda text: costs[text])
    subjects = {text: min(text.split(), key=lambda word: (common[word], word)) for text in fresh}
    put_up: Counter[str] = Counter()
    turns: dict[str, int] = {}
    for text in fresh:
        turns[text] = put_up[subjects[text]] // turn
        put_up[subjects[text]] += 1
    counts: Counter[str] = Counter()
    chosen: list[str] = []
    for text in sorted(fresh, key=lambda text: turns[text]):
        keys = (subjects[text], first_words(text))
        if len(chosen) < limit and max(counts[key] for key in keys) < most:
            counts.update(keys)
            chosen.append(text)
    return chosen


def strip_article(text: str) -> str:
    """Returns the words of a caption as letters and digits, without an article or number at the start."""
    words = _NO_MARKS.sub(" ", text).split()
    return " ".join(words[1:] if words and words[0] in ("a", "an", "the", "two", "some") else words)


def first_words(text: str, count: int = 4) -> str:
    """Returns the first words of a caption, without the article."""
    return " ".join(strip_article(text).split()[:count])


@dataclass(frozen=True)
class BankConfig:
    """How the caption bank is written.

    Args:
        from_photos: number of captions to sample from photos' joint embeddings.
        from_captions: number of captions to sample from captions' joint embeddings.
        limit: maximum number of captions to keep.
        max_cost: highest cost per token, in nats, of a caption that counts as fluent.
        most: maximum number of captions with the same rarest word.
        last: number of last captions to draw from (the broadest source comes last); 0 for all.
        noise: length of the random vector added to each joint embedding.
    """

    from_photos: int = 8000
    from_captions: int = 16000
    limit: int = 8000
    max_cost: float = 2.0
    most: int = 60
    last: int = 0
    temperature: float = 0.7
    noise: float = 0.3
    seed: int = 1


def write_bank(
    config: BankConfig,
    writer: StoryDecoder,
    own: np.ndarray,
    photos: np.ndarray,
    vocabulary: Vocabulary,
    known: frozenset[str],
) -> list[str]:
    """Returns the captions of a new bank, none of which is in `known`."""
    contexts = mixed_contexts(
        own[-config.last :], photos, (config.from_photos, config.from_captions), config.noise, config.seed
    )
    candidates = list(write_captions(writer, contexts, vocabulary, config.temperature, config.seed))
    return choose_captions(candidates, known, config.limit, config.max_cost, config.most)


def mixed_contexts(own: np.ndarray, photos: np.ndarray, shares: Sequence[int], noise: float, seed: int) -> Tensor:
    """Returns joint embeddings of photos and of captions to write captions from, with noise and again of unit length.

    Args:
        own: joint embeddings of captions `[K, J]`.
        photos: joint embeddings of photos `[P, J]`.
        shares: number of captions to write from photos, and from captions.
        noise: length of the added random vector.
        seed: seed of choice and noise.
    """
    draw = np.random.default_rng(seed)
    rows = [table[draw.choice(len(table), count)] for table, count in zip((photos, own), shares, strict=True)]
    picked = np.concatenate(rows).astype(np.float32)  # [N, J]
    away = draw.standard_normal(picked.shape).astype(np.float32)  # [N, J]
    picked += noise * away / np.linalg.norm(away, axis=1, keepdims=True)  # [N, J]
    return torch.as_tensor(picked / np.linalg.norm(picked, axis=1, keepdims=True))  # [N, J]
