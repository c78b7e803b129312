"""Errors in the content of a photo."""

from transforms.photo_failure import PhotoFailure


class PhotoError(PhotoFailure):
    """Something is wrong with a photo's content; a retry will not help."""

    code = "photo_error"


class EmptyFile(PhotoError):
    """The file has no bytes."""

    code = "empty_file"


class NotAnImage(PhotoError):
    """The bytes do not begin like any known image."""

    code = "not_an_image"


class UnsupportedFormat(PhotoError):
    """The file is an image or another known kind of file, but of an unsupported format."""

    code = "unsupported_format"


class TruncatedImage(PhotoError):
    """The file ends before its last pixels."""

    code = "truncated_image"


class DamagedImage(PhotoError):
    """The file begins like an image, but its content breaks the format's rules."""

    code = "damaged_image"


class TooManyPixels(PhotoError):
    """The header declares more pixels than are allowed; no raster was allocated."""

    code = "too_many_pixels"


class UnsupportedChannels(PhotoError):
    """The pixels have a colour model that cannot be converted to three channels."""

    code = "unsupported_channels"


class DecoderOutOfMemory(PhotoError):
    """Decoding needs more memory than a photo with the allowed number of pixels should."""

    code = "decoder_out_of_memory"

    def __init__(self, message: str = "decoding it needs more memory than a photo of max_pixels should") -> None:
        super().__init__(message)
