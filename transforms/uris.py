"""URIs of photos and outputs: their schemes and forms, their file systems, and which of them may be read."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import fsspec
from fsspec import AbstractFileSystem

from transforms.redaction import USER

SCHEMES = frozenset(
    ("abfs", "abfss", "adl", "az", "file", "gcs", "gs", "hdfs", "memory", "obs", "oci", "oss", "r2", "s3", "s3a")
    + ("sftp", "smb", "ssh", "webhdfs")
)  # schemes that photos are read from; http and wrappers such as zip:: are not among them


def split_scheme(uri: str) -> tuple[str, str]:
    """Returns (scheme, rest); a plain path has the scheme `file`."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", uri)
    if match is None:
        return "file", uri
    return match[1].lower(), uri[match.end() :]


def is_local(uri: str) -> bool:
    """Returns whether the URI names a local file."""
    return split_scheme(uri)[0] == "file"


def absolute(uri: str) -> str:
    """Returns the URI as rows spell it: local files as absolute plain paths, others with their scheme."""
    scheme, rest = split_scheme(uri)
    if scheme != "file":
        return uri
    return os.path.abspath(os.path.expanduser(rest) if rest.startswith("~") and not os.path.lexists(rest) else rest)


def open_remote(uri: str) -> tuple[AbstractFileSystem, str]:
    """Returns (fsspec file system, path in it) of a URI with a scheme."""
    scheme, _ = split_scheme(uri)
    kind = fsspec.get_filesystem_class(scheme)
    options = kind._get_kwargs_from_urls(uri)  # fsspec's url_to_fs would read a :: in a name as a chain of file systems
    return fsspec.filesystem(scheme, use_listings_cache=False, **options), kind._strip_protocol(uri)


@dataclass(frozen=True)
class Allowed:
    """Schemes and places that photos may be read from.

    Attributes:
        schemes: URI schemes, `file` for local paths; none allows all of SCHEMES.
        roots: places that everything must be below after following symbolic links; none allows all.
    """

    schemes: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()


EVERYTHING = Allowed()


def check_uri(uri: str, allowed: Allowed = EVERYTHING) -> str | None:
    """Returns the problem with a URI, a local path or a pattern, None if there is none."""
    scheme, rest = split_scheme(uri)
    schemes, roots = sorted(SCHEMES.intersection(allowed.schemes or SCHEMES)), allowed.roots
    if not uri.strip() or "\0" in uri:
        return f"{uri!r}: is not the name of anything"
    if scheme in ("http", "https"):
        return f"{uri}: files are not fetched over http; copy them to a folder or bucket"
    if scheme not in schemes:
        return f"{uri}: the scheme {scheme}:// is not allowed; allowed are {', '.join(schemes)}"
    if USER.search(uri):
        return f"{scheme}://...: a password in a URI would be written to every row; configure it for fsspec instead"
    if roots and not any(_is_below(absolute(uri), absolute(root)) for root in roots):
        return f"{uri}: is outside the allowed places ({', '.join(roots)})"
    if roots and scheme == "file" and not _leads_below(absolute(uri), roots):
        return f"{uri}: a symbolic link leads out of the allowed places ({', '.join(roots)})"
    return None


def _is_below(uri: str, root: str) -> bool:
    return ".." not in uri.split("/") and (uri + "/").startswith(root.rstrip("/") + "/")


def _leads_below(path: str, roots: Sequence[str]) -> bool:
    real = os.path.realpath(path)
    return any(_is_below(real, os.path.realpath(absolute(root))) for root in roots if is_local(root))
