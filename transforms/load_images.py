"""Step 2 of the main job: reads listed files in bulk and decodes them to pixels ahead, in other processes."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from transforms.decode_ahead import Decoded, decode_ahead
from transforms.decoding import DEFAULT_MAX_PIXELS
from transforms.infer import DEAD_LETTERS, RESULTS
from transforms.metrics import count, measure
from transforms.object_stats import Stat
from transforms.photo_decoder_process import DECODERS
from transforms.photo_decoders import SECONDS, Decoders, SharedDecoders, decoder_settings
from transforms.photo_errors import PhotoError
from transforms.photo_failure import PhotoFailure
from transforms.preprocessing import Recipe, RecipeError, check_recipe
from transforms.read_errors import MissingFile, ReadError
from transforms.records import DeadLetter, Listing, Photo
from transforms.redaction import bare_uri
from transforms.step_labels import TaggedOutputs
from transforms.storage import read_all, stat_all
from transforms.uris import EVERYTHING, Allowed, absolute

DEFAULT_MAX_BYTES = 64_000_000
BATCH_FILES = 64  # files read in one call
BATCH_BYTES = 64_000_000  # bytes held at once, unless a single file is larger


class FileTooLarge(ReadError):
    """The listed size is over `max_bytes`; the file was not read."""

    code = "file_too_large"
    again = False
    retryable = False


class SizeMismatch(ReadError):
    """The file's size has changed since it was listed: it is being written, or was replaced."""

    code = "size_mismatch"
    again = False


def batch_listings(
    listings: Iterable[Listing], files: int = BATCH_FILES, size: int = BATCH_BYTES
) -> Iterator[list[Listing]]:
    """Yields the listings in batches limited in files and bytes; a larger file is a batch of its own."""
    batch: list[Listing] = []
    total = 0
    for listing in listings:
        if batch and (len(batch) == files or total + max(listing.size, 0) > size):
            yield batch
            batch, total = [], 0
        batch.append(listing)
        total += max(listing.size, 0)
    if batch:
        yield batch


def read_batch(
    listings: list[Listing], max_bytes: int, allowed: Allowed = EVERYTHING
) -> Iterator[tuple[Listing, bytes | ReadError]]:
    """Yields each listing with its file's bytes or the error.

    The listed size decides whether a file is read at all; at most one byte beyond it is read.
    """
    unseen = [listing for listing in listings if listing.size < 0]
    reasons = dict(zip(unseen, stat_all([listing.uri for listing in unseen], allowed), strict=True))
    wanted = [listing for listing in listings if 0 < listing.size <= max_bytes]
    contents = read_all([item.uri for item in wanted], [item.size for item in wanted], allowed)
    found = dict(zip(wanted, contents, strict=True))
    for listing in listings:
        if listing in reasons:
            reason = reasons[listing]
            if isinstance(reason, Stat):
                reason = MissingFile(f"{listing.uri} was not there when listed")
            yield listing, reason
        elif listing.size > max_bytes:
            yield listing, _too_large(listing, max_bytes)
        else:
            yield listing, _check_size(listing, found.get(listing, b""))


def _too_large(listing: Listing, max_bytes: int) -> FileTooLarge:
    limit = f"{listing.size:,} bytes, over the limit of {max_bytes:,} (max_bytes)"
    return FileTooLarge(f"{listing.uri} has {limit}")


def _check_size(listing: Listing, content: bytes | ReadError) -> bytes | ReadError:
    if isinstance(content, ReadError) or len(content) == listing.size:
        return content
    now = "more" if len(content) > listing.size else f"{len(content):,}"
    return SizeMismatch(f"{listing.uri} was listed with {listing.size:,} bytes and has {now}; it changed meanwhile")


def load_photos(
    contents: Iterable[tuple[Listing, bytes | ReadError]], decoders: Decoders
) -> Iterator[tuple[Photo, np.ndarray] | DeadLetter]:
    """Yields photos and their pixels as the feature handler takes them, or dead letters.

    Args:
        contents: listings with their files' bytes or the errors.
        decoders: processes that decode the files.
    """
    with closing(decode_ahead(contents, decoders)) as found:
        for listing, decoded in found:
            yield as_photo(listing, decoded)


def as_photo(listing: Listing, decoded: Decoded | ReadError) -> tuple[Photo, np.ndarray] | DeadLetter:
    """Returns a photo and its pixels as the feature handler takes them, or its dead letter; counts either."""
    if isinstance(decoded, ReadError):
        return _letter(listing, None, "read", decoded)
    for name in decoded.counted:
        count(name)
    measure("bytes_read", decoded.size)
    photo_id, found = decoded.photo_id, decoded.found
    if isinstance(found, PhotoError):
        return _letter(listing, photo_id, "decode", found)
    pixels, width, height = found
    measure("decode_msecs", decoded.msecs)
    measure("pixels", width * height)
    copies = tuple(Photo(one.uri, one.version, photo_id, width, height, one.styles) for one in listing.copies)
    return Photo(listing.uri, listing.version, photo_id, width, height, listing.styles, copies), pixels


def _letter(listing: Listing, photo_id: str | None, stage: str, error: PhotoFailure) -> DeadLetter:
    return DeadLetter(listing.uri, listing.version, photo_id, stage, error.name, str(error), error.retryable)


def split_copies(listing: Listing, decoded: Decoded | ReadError) -> tuple[Listing, Listing | None]:
    """Returns the listing that was decoded, with its copies, and the listing that is still to be read.

    A file that is now missing or has other bytes continues by itself, and passes its copies to the first of them.
    """
    if not listing.copies:
        return listing, None
    if isinstance(decoded, Decoded) and decoded.photo_id == listing.photo_id:
        return listing, None
    return replace(listing, copies=()), replace(listing.copies[0], copies=listing.copies[1:])


def load_batch(listings: list[Listing], decoders: SharedDecoders, max_bytes: int, allowed: Allowed) -> Iterator[Any]:
    """Yields (Photo, pixels as in LoadImages) for each listing, or dead letters under the tag DEAD_LETTERS.

    There is one dead letter for the listing, and one for each of its copies.
    """
    count("photos", sum(1 + len(listing.copies) for listing in listings))
    while listings:
        left: list[Listing] = []
        with closing(decode_ahead(read_batch(listings, max_bytes, allowed), decoders.get())) as found:
            for listed, decoded in found:
                listing, other = split_copies(listed, decoded)
                left += [other] if other else []
                loaded = as_photo(listing, decoded)
                if not isinstance(loaded, DeadLetter):
                    yield loaded
                    continue
                for one in (listing, *listing.copies):
                    yield TaggedOutput(DEAD_LETTERS, replace(loaded, uri=one.uri, version=one.version))
        listings = left


class BatchListings(beam.DoFn):
    """Groups listings into batches within a bundle, so that no photo waits for those of another bundle."""

    def start_bundle(self) -> None:
        """Starts an empty batch."""
        self._batch: list[Listing] = []

    def process(self, listing: Listing) -> Iterator[list[Listing]]:
        """Adds the listing to the batch; yields the batch before it if that is full."""
        *full, self._batch = batch_listings([*self._batch, listing])
        yield from full

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Yields the last batch."""
        if self._batch:
            window = GlobalWindow()
            yield WindowedValue(self._batch, window.max_timestamp(), (window,))
        self._batch = []


@dataclass(eq=False)
class LoadImages(beam.PTransform[PCollection[Listing], TaggedOutputs]):
    """Pixels of listed files.

    Input: Listing, with its photo id if it has copies, in the global window. Output: `results` (Photo, pixels) and
    `dead_letters` DeadLetter. Pixels are grey levels `[crop, crop, 3]` uint8, which the feature handler scales, or its
    network's input `[3, crop, crop]` float32 (see `cut`). Dead letters are of stage `read` for files that are missing,
    too large, unreadable or of another size than listed, and of stage `decode` for empty files, files that are
    not valid images, and files that crash or hang the decoder process. Nothing is shuffled.

    Attributes:
        recipe: the model pack's preprocessing.
        decoding: `strict` or `original`.
        max_pixels: larger photos, by their header, are dead letters.
        max_bytes: larger files are dead letters, unread.
        seconds: a photo that takes longer to decode is a dead letter.
        allowed: allowed schemes and places; other photos are dead letters.
        preprocessing: `pack`, or `fast`: large JPEGs are decoded to fewer pixels, and the recipe starts from these.
        processes: decoder processes for each process of the run; None is one for each core.
        decoders: the decoder processes, which last as long as these settings.
    """

    recipe: Recipe
    decoding: str = "strict"
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_bytes: int = DEFAULT_MAX_BYTES
    seconds: float = SECONDS
    allowed: Allowed = EVERYTHING
    preprocessing: str = "pack"
    processes: int | None = None
    decoders: SharedDecoders = field(init=False, repr=False)

    def __post_init__(self) -> None:
        problems = check_recipe(self.recipe)
        if self.decoding not in DECODERS:
            problems.append(f"decoding must be one of {', '.join(DECODERS)}, not {self.decoding!r}")
        if self.preprocessing not in ("pack", "fast"):
            problems.append(f"preprocessing must be 'pack' or 'fast', not {self.preprocessing!r}")
        if (self.decoding, self.preprocessing) == ("original", "fast"):
            problems.append("preprocessing 'fast' works only with decoding 'strict'")
        if problems:
            raise RecipeError("; ".join(problems))
        self.decoders = SharedDecoders(self.settings)

    @property
    def settings(self) -> str:
        """Returns the settings of decoding as one text."""
        limits = (self.max_pixels, self.max_bytes, self.seconds)
        return decoder_settings(self.recipe, self.decoding, *limits, self.preprocessing, self.processes)

    def expand(self, listings: PCollection[Listing]) -> TaggedOutputs:
        """Returns the pixels and dead letters by the tags RESULTS and DEAD_LETTERS."""
        self.decoders.get()  # so that they continue with the next pipeline in this process
        load = beam.FlatMap(load_batch, self.decoders, self.max_bytes, self.allowed)
        return (
            listings
            | "Batch listings" >> beam.ParDo(BatchListings())  # type: ignore[no-untyped-call]
            | "Load photos" >> load.with_outputs(DEAD_LETTERS, main=RESULTS)
        )


def load_photo(
    uri: str, load: LoadImages, styles: tuple[str, ...] = (), content: bytes | None = None
) -> tuple[Photo, np.ndarray] | DeadLetter:
    """Returns one photo and its pixels (see LoadImages), or its dead letter, like the pipeline's steps.

    Args:
        uri: path or URI, or any name if the content is given.
        load: how photos are read and decoded.
        styles: styles of the photo's stories.
        content: bytes of the file, whose sha256 is then the version; None reads the file.
    """
    contents: Iterable[tuple[Listing, bytes | ReadError]]
    if content is not None:
        listing = Listing(uri, len(content), hashlib.sha256(content).hexdigest(), styles)
        contents = [(listing, _too_large(listing, load.max_bytes) if listing.size > load.max_bytes else content)]
    else:
        uri = absolute(bare_uri(uri))
        (status,) = stat_all([uri], load.allowed)
        if isinstance(status, ReadError):
            return _letter(Listing(uri, -1, "", styles), None, "read", status)
        contents = read_batch([Listing(uri, status.size, status.version, styles)], load.max_bytes, load.allowed)
    (loaded,) = load_photos(contents, load.decoders.get())
    return loaded
