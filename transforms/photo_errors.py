"""What can be wrong with the content of a photo, by name."""

from transforms.photo_failure import PhotoFailure


class PhotoError(PhotoFailure):
    """Something is wrong with one photo's content; another try will not help."""

    code = "photo_error"


class EmptyFile(PhotoError):
    """The file has no bytes."""

    code = "empty_file"


class NotAnImage(PhotoError):
    """The bytes do not begin like any image."""

    code = "not_an_image"


class UnsupportedFormat(PhotoError):
    """An image, or another known kind of file, of a format that is not read here."""

    code = "unsupported_format"


class TruncatedImage(PhotoError):
    """The file ends before its pixels do."""

    code = "truncated_image"


class DamagedImage(PhotoError):
    """The file begins like an image, but its content breaks the format's rules."""

    code = "damaged_image"


class TooManyPixels(PhotoError):
    """The header promises more pixels than are allowed; no raster was made."""

    code = "too_many_pixels"


class UnsupportedChannels(PhotoError):
    """The pixels are of a colour model that cannot become three channels."""

    code = "unsupported_channels"


class DecoderOutOfMemory(PhotoError):
    """Decoding wants more memory than a photo of the allowed pixels needs."""

    code = "decoder_out_of_memory"

    def __init__(self, message: str = "decoding it wants more memory than a photo of max_pixels needs") -> None:
        super().__init__(message)
