"""The options of `pipelines.evaluate`, without loading the tasks themselves."""

from argparse import ArgumentParser
from collections.abc import Callable

from configs.values import at_home
from pipelines.cli.flags import DEVICES, a_pack, at_least_one
from pipelines.cli.packs_at_hand import POCKET


def add_common_options(parser: ArgumentParser) -> None:
    """Adds the options that every task has."""
    parser.add_argument(
        "--pack",
        type=a_pack,
        default=POCKET,
        metavar="PACK",
        help="model pack, by its name, folder or URI (default: the pocket pack)",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where the networks run (default: auto)")
    parser.add_argument(
        "--batch-size", type=at_least_one, default=32, metavar="N", help="inputs per batch of a network (default: 32)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def add_decoder_option(parser: ArgumentParser) -> None:
    """Adds the option that names the decoder."""
    parser.add_argument("--decoder", metavar="NAME", help="one of the pack's decoders (default: the pack's default)")


def add_photo_options(parser: ArgumentParser) -> None:
    """Adds the options that name photos and their captions."""
    parser.add_argument("--photos", required=True, type=at_home, metavar="DIR", help="folder of the photos")
    add_caption_options(parser, required=True)


def add_caption_options(parser: ArgumentParser, required: bool) -> None:
    """Adds the options that name captions written by people."""
    parser.add_argument(
        "--captions",
        required=required,
        type=at_home,
        metavar="TSV",
        help="table with the columns image and caption, and optionally split",
    )
    parser.add_argument(
        "--split", default="dev", help="photos to measure, if the table has a split column (default: dev)"
    )


def add_book_options(parser: ArgumentParser, limit: int, of: str) -> None:
    """Adds the options that name the books and limit how much of them is used."""
    parser.add_argument(
        "--texts",
        required=True,
        action="append",
        type=at_home,
        metavar="GLOB",
        help="unseen books, UTF-8 text; repeatable",
    )
    parser.add_argument(
        "--limit", type=at_least_one, default=limit, metavar="N", help=f"{of}, drawn from all books (default: {limit})"
    )


def add_sentences_options(parser: ArgumentParser) -> None:
    """Adds the options of the task `sentences`."""
    add_book_options(parser, 20_000, "sentences per measurement")
    add_caption_options(parser, required=False)


def add_decoder_options(parser: ArgumentParser) -> None:
    """Adds the options of the task `decoder`."""
    add_book_options(parser, 200_000, "tokens")
    add_decoder_option(parser)


def add_reconstruction_options(parser: ArgumentParser) -> None:
    """Adds the options of the task `reconstruction`."""
    add_book_options(parser, 1000, "sentences of the books, and captions")
    add_caption_options(parser, required=False)
    add_decoder_option(parser)
    parser.add_argument(
        "--beam-width", type=at_least_one, metavar="N", help="hypotheses per sentence (default: the pack's, or 50)"
    )


def add_stories_options(parser: ArgumentParser) -> None:
    """Adds the options of the task `stories`."""
    add_photo_options(parser)
    parser.add_argument(
        "--limit",
        type=at_least_one,
        default=200,
        metavar="N",
        help="number of photos, by file name (default: 200)",
    )
    parser.add_argument("--style", metavar="NAME", help="style, as in the main job (default: each style of the pack)")
    parser.add_argument(
        "--texts",
        action="append",
        default=[],
        type=at_home,
        metavar="GLOB",
        help="books for the figures novel and verbatim; repeatable",
    )
    parser.add_argument(
        "--probe-captions",
        type=at_home,
        metavar="FILE",
        help="captions for training the probe, one per line (default: those of the table's other photos)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the main job; repeatable"
    )


TASK_OPTIONS: dict[str, tuple[str, Callable[[ArgumentParser], None]]] = {
    "retrieval": (
        "how often a photo finds one of its captions among all, and a caption its photo, in percent",
        add_photo_options,
    ),
    "captions": ("CIDEr and BLEU of a photo's first caption against captions written by people", add_photo_options),
    "sentences": (
        "what sentence vectors hold, compared with the mean of the encoder's word vectors",
        add_sentences_options,
    ),
    "decoder": ("perplexity of passages of unseen books, given their own vectors", add_decoder_options),
    "reconstruction": (
        "whether the decoder reproduces sentences and captions from their own vectors",
        add_reconstruction_options,
    ),
    "stories": ("whether stories are novel, about the photo, alike, repetitive or copied", add_stories_options),
}
"""Each task's description for `--help`, and the function that adds its own options to its parser."""
