"""Removes secrets from URIs and texts before they reach rows, manifests or logs."""

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
_SECRET = (
    r"(?:signature|token|secret|passw|pwd|credential|account_?key|api_?key|access_?key|accessid|private_?key"
    r"|connection_?string|(?<![a-z0-9])sig(?![a-z0-9]))"
)
_NAME_END = rf"{_SECRET}[\w.~-]{{0,200}}"  # text before it stays, and matching it would be slow
SECRET_NAME = re.compile(_SECRET, re.IGNORECASE)
SIGNED = re.compile(rf"\?(?=[\w.~-]+=)(?=.*?({_SECRET}[\w.~-]*|\b(key|jwt|auth))=).*$", re.IGNORECASE | re.DOTALL)
USER = re.compile(r"(?<=://)[^\s/@:'\"]*:(?!\d+/)[^\s@'\"]*@")  # a port is not a password
SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), HIDDEN),
    (USER, f"{HIDDEN}:{HIDDEN}@"),
    (re.compile(r"(://[^\s?'\"<>]*\?)[\w.~%-]+=[^\s'\"<>)]*"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(rf"({_NAME_END}['\"]?\s*[=:]\s*['\"]?)[^\s'\"&;,<>)]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bya29\.[\w-]+|\bAIza[\w-]{35}"), HIDDEN),
)


def bare_uri(uri: str) -> str:
    """Returns a URI as rows name it: without a signed query and with a hidden password (such URIs are refused).

    Other queries and local paths are unchanged, since they may be part of a name.
    """
    if "://" not in uri:
        return uri
    return SIGNED.sub("", USER.sub(f"{HIDDEN}:{HIDDEN}@", uri))


def without_secrets(text: str) -> str:
    """Returns a text with queries of URIs, passwords, keys and tokens hidden."""
    for shape, shown in SHAPES:
        text = shape.sub(shown, text)
    return text


def settings_without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested settings with secrets hidden: values whose names suggest secrets, and secrets in texts."""
    return {
        key: HIDDEN if value and SECRET_NAME.search(str(key)) else _value_without_secrets(value)
        for key, value in settings.items()
    }


def _value_without_secrets(value: object) -> object:
    if isinstance(value, dict):
        return settings_without_secrets(value)
    if isinstance(value, list | tuple):
        return [_value_without_secrets(one) for one in value]
    return without_secrets(value) if isinstance(value, str) else value
