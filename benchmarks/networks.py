"""The stages behind the photos, at the original's sizes: beam search, sentences, captions and the start."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import apache_beam as beam
import numpy as np
import torch

from benchmarks import original
from benchmarks.bench import Bench
from benchmarks.checks import Check
from benchmarks.limits import encoder_flops, retrieval_seconds, search_flops
from benchmarks.random_packs import DECODER, ready_pack
from benchmarks.results import Result
from benchmarks.timing import Reckoned, Side, Timed, play
from model_handlers.captions import CaptionHandler, ReadyVectors
from model_handlers.families import gru_decoder
from model_handlers.nets.search import Hypothesis, beam_search, best_hypothesis
from model_handlers.pack import Pack
from model_handlers.sentences import SentenceHandler
from model_handlers.stories import StoryHandler
from pipelines.cli.options import beam_options
from transforms.encode_sentences import EncodeSentences
from transforms.records import CaptionMatch, Matched, Photo

ROOT = Path(__file__).parents[1]


def searches(bench: Bench) -> Iterator[Result]:
    """Yields the figures of beam search: no search ends by itself, and both sides stop after as many words."""
    scale, pack = bench.scale, bench.random
    entry = pack.decoder(DECODER)
    contexts = bench.draw(scale.searched, entry.dim_context)  # [N, S]
    teller = StoryHandler(bench.place(pack), DECODER, scale.width).load_model().get()
    decoder = original.Decoder(pack, DECODER)

    def search(photos: int) -> list[list[Hypothesis]]:
        with mock.patch.object(gru_decoder, "beam_search", partial(beam_search, max_words=scale.steps)):
            return teller.search(contexts[:photos], scale.width)

    def search_each(photos: int) -> list[original.Sequences]:
        return [decoder.search(context, scale.width, scale.steps) for context in contexts[:photos]]

    flops = search_flops(entry, [scale.steps] * scale.width)
    product = Timed(lambda: search(scale.searched), scale.searched, lambda: search(1))
    theirs = Timed(lambda: search_each(scale.original), scale.original, lambda: search_each(1))
    figures = play(
        {"product": product, "original": theirs, "limit": Reckoned(lambda: flops / bench.rate())}, bench.rounds
    )
    check = check_searches(product.output, theirs.output, pack, contexts)
    lengths = {len(one.words) for found in product.output for one in found}
    check.equal("words of the hypotheses, by which operations are counted", lengths, {scale.steps})
    yield Result(
        "beam_search",
        scale.name,
        "photo",
        figures,
        targets={"original": 2.5, "limit": 0.7},
        amounts={"product": scale.searched, "original": scale.original, "operations a photo": flops},
        check=check,
        notes=[f"beam width {scale.width}, stopped after {scale.steps} words"],
    )


def check_searches(
    ours: list[list[Hypothesis]], theirs: list[original.Sequences], pack: Pack, contexts: torch.Tensor
) -> Check:
    """Returns how the winners compare, photo by photo."""
    check, exact = Check(), original.Decoder(pack, DECODER, torch.float64)
    for place, (found, sequences) in enumerate(zip(ours, theirs, strict=False)):
        best = best_hypothesis(found)
        assert best is not None
        context = contexts[place]  # [S]
        winner = (best.words, best.cost)
        check.story(f"photo {place}", winner, original.best(sequences), partial(exact.cost, context))
    return check


def sentences(bench: Bench) -> Iterator[Result]:
    """Yields the figures of sentence encoding, and of looking up ready vectors."""
    scale, pack = bench.scale, bench.random
    entry = pack.sentence_encoder
    captions = list(dict.fromkeys(pack.lines(pack.captions.texts)))[: scale.encoded]
    photos = [captions[first :: scale.original][: scale.nearest] for first in range(scale.original)]
    handler = SentenceHandler(bench.place(pack))
    encoder = handler.load_model().get()
    theirs_encoder, rows = original.Sentences(pack), count_rows(encoder.net)

    def encode() -> np.ndarray:
        rows.clear()
        return encoder.encode(captions)  # [K, S]

    def encode_each() -> list[np.ndarray]:
        return [theirs_encoder.encode(texts).numpy() for texts in photos]  # each [k, S]

    flops = encoder_flops(entry) * sum(len(encoder.words(text)) for text in captions) / len(captions)
    product = Timed(encode, len(captions), lambda: encoder.encode(captions[:100]))
    theirs = Timed(encode_each, sum(map(len, photos)))
    table = ReadyVectors(bench.place(ready_pack(bench.work, scale.sizes, pack, captions)))
    looked_up = Timed(lambda: table.look_up(captions), len(captions))
    limit = Reckoned(lambda: flops / bench.rate())
    sides: dict[str, Side] = {"product": product, "original": theirs, "limit": limit, "look_up": looked_up}
    figures = play(sides, bench.rounds)
    check, place_of = Check(), {caption: row for row, caption in enumerate(captions)}
    check.equal("encoder rows of the unique captions", sum(rows), len(captions))
    rows.clear()
    take_means(handler, bench.work, [photos[0], photos[0][::-1], photos[0]])
    check.equal("encoder rows of three photos with the same captions", sum(rows), len(photos[0]))
    for texts, vectors in zip(photos, theirs.output, strict=True):
        check.floats("sentence vectors", product.output[[place_of[text] for text in texts]], vectors)
    ready = figures.pop("look_up")
    amounts = {"product": len(captions), "original": theirs.units, "operations a caption": flops}
    yield Result(
        "sentences", scale.name, "caption", figures, targets={"limit": 0.5}, amounts=amounts, check=check,
        notes=["the original encodes a photo's captions at a time, in batches of one length"],
    )  # fmt: skip
    pair = {"product": ready, "encoding": figures["product"]}
    yield Result("look_up", scale.name, "caption", pair, targets={"encoding": 100}, amounts={"product": len(captions)})


def count_rows(net: torch.nn.Module) -> list[int]:
    """Returns a list that gets the number of rows of each batch that the network is given from now on."""
    rows: list[int] = []
    net.register_forward_hook(lambda _, given, output: rows.append(len(output)))
    return rows


def take_means(handler: SentenceHandler, work: Path, photos: Sequence[Sequence[str]]) -> None:
    """Runs the main job's step over photos with these captions."""
    matched = [
        Matched(
            Photo(str(place), "", str(place), None, None), tuple(CaptionMatch(caption, 1.0) for caption in captions)
        )
        for place, captions in enumerate(photos)
    ]
    with TemporaryDirectory(dir=work) as folder, beam.Pipeline(options=beam_options([])) as root:
        _ = root | "Name photos" >> beam.Create(matched, reshuffle=False) | EncodeSentences(handler, f"{folder}/")


def retrieval(bench: Bench) -> Iterator[Result]:
    """Yields the figures of finding captions."""
    scale, pack = bench.scale, bench.random
    entry = pack.joint_embedding
    features = bench.draw(scale.batch, entry.dim_image).abs()  # [N, F]
    index = CaptionHandler(bench.place(pack), scale.nearest).load_model().get()
    captions = original.Captions(pack, ready=True)

    def limit() -> float:
        sizes = (len(index.captions), entry.dim, entry.dim_image, scale.batch)
        return retrieval_seconds(*sizes, bench.rate(), bench.memory_rate())

    product = Timed(lambda: index.search(features, scale.nearest), scale.batch)
    photos = features[: scale.original]  # [n, F]
    theirs = Timed(lambda: [captions.nearest(photo, scale.nearest) for photo in photos], scale.original)
    figures = play({"product": product, "original": theirs, "limit": Reckoned(limit)}, bench.rounds)
    check = Check()
    for place, (ours, others) in enumerate(zip(product.output, theirs.output, strict=False)):
        check.captions(f"photo {place}", ours, others)
    amounts = {"product": scale.batch, "original": scale.original, "captions": len(index.captions)}
    targets = {"original": 10, "limit": 0.7}
    yield Result("retrieval", scale.name, "photo", figures, targets=targets, amounts=amounts, check=check)


def start(bench: Bench) -> Iterator[Result]:
    """Yields the figures of a start: a fresh process with the caches warm, until it has found a photo's captions."""
    scale, pack = bench.scale, bench.random
    told: list[dict[str, Any]] = []

    def begin() -> float:
        command = [sys.executable, "-m", "benchmarks.fresh_start", pack.location, str(bench.threads)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        told.append(json.loads(run.stdout.splitlines()[-1]))
        return told[-1]["loading"] + told[-1]["first captions"]

    captions = original.Captions(pack)
    sample = captions.texts[: scale.embedded]
    theirs = Timed(lambda: captions.embed(sample), len(sample) / len(captions.texts))
    figures = play({"product": Reckoned(begin), "original": theirs}, bench.rounds)
    check = Check()
    ours = pack.joint_embedding.open(pack, torch.device("cpu")).embed(sample)  # [n, J]
    check.floats("caption embeddings", ours, theirs.output.numpy())
    means = {name: sum(one[name] for one in told[1:]) / bench.rounds for name in told[0]}
    yield Result(
        "start", scale.name, "start", figures, most_seconds=5, amounts=means, check=check,
        starts={"importing": [one["imports"] for one in told[1:]]},
        notes=[
            "all weights read and the captions of one photo found; imports are counted separately",
            f"the original embeds all {len(captions.texts):,} captions: reckoned from {len(sample):,} of them",
        ],
    )  # fmt: skip
