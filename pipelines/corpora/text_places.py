"""Text files that a flag names: a glob's files, and a file's captions."""

import fsspec

from configs.schema import ConfigError


def expand_texts(pattern: str) -> list[str]:
    """Returns the URIs of the files that a glob, or a plain name, stands for.

    Raises:
        ConfigError: the place cannot be listed.
    """
    try:
        filesystem, path = fsspec.core.url_to_fs(pattern)
        found = (
            [path] if filesystem.isfile(path) else [name for name in filesystem.glob(path) if filesystem.isfile(name)]
        )
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError([f"--texts {pattern}: cannot be listed ({error})"]) from error
    return [name if "://" not in pattern else filesystem.unstrip_protocol(name) for name in found]


def read_captions(location: str, option: str = "--captions") -> list[str]:
    """Returns a file's captions: its lines, stripped; blank ones are left out.

    Args:
        location: file or URI.
        option: what named it, for the error.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        with fsspec.open(location, "rb") as file:
            lines = file.read().split(b"\n")
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError([f"{option} {location}: cannot be read ({error})"]) from error
    return [line.strip().decode("utf-8", "surrogateescape") for line in lines if line.strip()]
