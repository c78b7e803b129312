"""Measures a pack's stories: like a novel or a caption, about the photo or not, alike, repetitive, copied."""

import logging
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from configs.schema import ConfigError
from pipelines.cli.options import parse_assignments
from pipelines.corpora.text_places import expand_texts, read_captions
from pipelines.evaluation.photos import extract, find_files, read_table, select
from pipelines.evaluation.probe_texts import Probe, learn
from pipelines.evaluation.quotations import find_copies
from pipelines.evaluation.scores import plain
from pipelines.evaluation.story_measures import Subjects, distinct_pairs, percent, repeats, told_twice
from pipelines.evaluation.task import EvaluationTask, Figures, check_extra, gather, open_for
from pipelines.evaluation.task_options import TASK_OPTIONS
from pipelines.evaluation.wordnet import find_wordnet, open_wordnet
from pipelines.telling.chain import split_errors
from pipelines.telling.one_photo import Models, load_all, tell_batch
from transforms.average_texts import read_passages
from transforms.records import Listing
from transforms.rows import Row

OWN_FLAGS = ("pack", "style", "device", "batch_size")
SUBJECT_CAPTIONS = 5  # the first captions of a photo stand for its content


def run(flags: Namespace) -> Figures:
    """Returns the figures of each style, and the accuracy of the probe on unseen passages and captions.

    Percentages of each style's stories:
    `novel`: the probe classifies the story as novel, not as caption (see `probe_texts`);
    `about_photo`: it has a content word of the photo's first five captions, or a related word (see `WordNet.related`);
    `about_another`: the same with the captions of the next photo, as the level of chance;
    `rarest_word`: it has the rarest content word on which these captions agree (see `Subjects.rarest`): a story of a
    cat has a cat and not only something that cats do; photos without such a word are not counted;
    `same_story`: another photo has the same story, letter by letter;
    `repeats`: it has the same four words in a row three times or more;
    `verbatim`: it has a sentence of six words or more that is also in the books.
    `words` is the mean number of words without punctuation; `distinct_2` is the share of different pairs of words among
    all pairs, from 0 to 1. Figures that need books are null without `--texts`. `untold` counts the failed stories.

    Raises:
        ConfigError: lists all problems of pack, table, photos, books and options.
    """
    models, (listings, captions), books, folder, _ = gather(
        lambda: _open_models(flags),
        lambda: _open_table(flags),
        lambda: _find_books(flags.texts),
        find_wordnet,
        lambda: check_extra(*(["sklearn"] if flags.texts else [])),
    )
    probe, learned = learn(captions, books) if books else (None, {"accuracy": None})
    rows = tell_all(models, listings)
    subjects = Subjects(open_wordnet(folder))
    texts = (" ".join(read_passages(book, 0)) for book in tqdm(books, desc="books", unit="book"))
    copied = find_copies([row["story"] for row in rows], texts)
    styles = {}
    for style in models.steps.styles:
        places = [place for place, row in enumerate(rows) if row["style"] == style]
        verbatim = percent([copied[place] for place in places]) if books else None
        styles[style] = measure([rows[place] for place in places], subjects, probe) | {"verbatim": verbatim}
    untold = len(listings) * len(styles) - len(rows)
    return {"photos": len(listings), "untold": untold, "styles": styles, "probe": learned}


def measure(rows: Sequence[Row], subjects: Subjects, probe: Probe | None) -> Figures:
    """Returns the figures of one style from its rows, one row per photo; see `run`."""
    stories = [row["story"] for row in rows]
    captions = [[match["caption"] for match in row["captions"][:SUBJECT_CAPTIONS]] for row in rows]
    others = [*captions[1:], *captions[:1]]
    texts = [plain(story) for story in stories]
    words = [text.split() for text in texts]
    return {
        "novel": percent(probe(texts)) if probe else None,
        "about_photo": percent([subjects.share(*pair) for pair in zip(stories, captions, strict=True)]),
        "about_another": percent([subjects.share(*pair) for pair in zip(stories, others, strict=True)]),
        "rarest_word": percent(subjects.rarest(stories, captions)),
        "same_story": percent(told_twice(stories)),
        "repeats": percent([repeats(one) for one in words]),
        "words": float(np.mean([len(one) for one in words])) if words else None,
        "distinct_2": distinct_pairs(words),
    }


def tell_all(models: Models, listings: Sequence[Listing]) -> list[Row]:
    """Returns the rows of the listed photos, one per style; logs a warning for each failed story and leaves it out."""
    steps = models.photo_steps()
    styles = tuple(steps.styles)
    batch_size = models.settings.config.batch_size
    wanted = [replace(listing, styles=styles) for listing in listings]
    pairs = extract(wanted, steps.load, steps.features, batch_size)
    at_once = max(1, batch_size // len(styles))
    rows: list[Row] = []
    with tqdm(total=len(pairs), desc="stories", unit="photo") as line:
        for start in range(0, len(pairs), at_once):
            found, errors = split_errors(tell_batch(models, pairs[start : start + at_once]))
            rows += found
            for error in errors:
                logging.warning("%s", error)
            line.update(min(at_once, len(pairs) - start))
    return rows


def _open_models(flags: Namespace) -> Models:
    values, problems = parse_assignments(flags.set)
    problems += [f"--set {name}: use --{name.replace('_', '-')} instead" for name in OWN_FLAGS if name in values]
    try:
        pack, _ = open_for(flags, ("styles",))
        own: dict[str, Any] = {
            "style": flags.style or ",".join(pack.styles),
            "device": flags.device,
            "batch_size": flags.batch_size,
        }
        models = load_all(flags.pack, **{name: value for name, value in values.items() if name not in OWN_FLAGS}, **own)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return models


def _open_table(flags: Namespace) -> tuple[list[Listing], list[str]]:
    """Returns the listings of the measured photos, and the captions that the probe learns from."""
    table = read_table(flags.captions)
    chosen = select(table, flags)[: flags.limit]
    if flags.probe_captions:
        captions = read_captions(flags.probe_captions, "--probe-captions")
    else:
        measured = set(chosen)
        others = (photo for photo in table if photo.split != flags.split and photo not in measured)
        captions = [caption for photo in others for caption in photo.captions]
    return find_files(chosen, flags.photos), captions


def _find_books(patterns: Sequence[str]) -> list[str]:
    books = sorted({uri for pattern in patterns for uri in expand_texts(pattern)})
    if patterns and not books:
        raise ConfigError([f"--texts {' '.join(patterns)}: no file matches"])
    return books


TASK = EvaluationTask(*TASK_OPTIONS["stories"], run)
