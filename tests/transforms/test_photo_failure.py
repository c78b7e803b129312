"""Codes of errors: one each, and rows go on to spell them as they always did."""

from collections.abc import Iterator

from transforms import load_images, photo_decoders, photo_errors, read_errors
from transforms.photo_failure import PhotoFailure

MODULES = (load_images, photo_errors, photo_decoders, read_errors)
NAMES = (
    "AccessDenied DamagedImage DecoderCrashed DecoderKilled DecoderOutOfMemory DecoderTimeout EmptyFile FileTooLarge "
    "LinkLoop MissingFile NotAFile NotAnImage PhotoError ReadError ReadTimeout RefusedUri SizeMismatch TooManyPixels "
    "TruncatedImage UnsupportedChannels UnsupportedFormat"
)
"""What stands in rows since the first run; whoever selects rows by it must find the new ones too."""


def below(kind: type[PhotoFailure]) -> Iterator[type[PhotoFailure]]:
    for one in kind.__subclasses__():
        if any(one.__module__ == module.__name__ for module in MODULES):
            yield one
            yield from below(one)


def test_rows_spell_errors_as_they_did() -> None:
    assert sorted(kind("").name for kind in below(PhotoFailure)) == NAMES.split()


def test_each_error_has_a_code_of_its_own() -> None:
    assert all("code" in vars(kind) for kind in below(PhotoFailure))


def test_what_may_pass_in_a_moment() -> None:
    assert {kind.__name__ for kind in below(PhotoFailure) if read_errors.may_pass(kind(""))} == {
        "ReadError",
        "ReadTimeout",
    }
