"""Secrets in URIs, texts and settings, and what only looks like one."""

import time

import pytest

from transforms.records import DeadLetter, Listing
from transforms.redaction import bare_uri, settings_without_secrets, without_secrets
from transforms.rows import dead_letter_row
from transforms.uri_lists import list_uris

URIS = {
    "gs://b/a.jpg?X-Goog-Signature=SECRET": "gs://b/a.jpg",
    "gs://b/a.jpg?x=1&X-Goog-Credential=me/SECRET/x&y=2": "gs://b/a.jpg",
    "s3://b/a.jpg?AWSAccessKeyId=SECRET&Expires=1": "s3://b/a.jpg",
    "az://c/a.jpg?sv=2026&sig=ab/SECRET+c=": "az://c/a.jpg",
    "s3://b/a?.jpg?X-Amz-Security-Token=SECRET": "s3://b/a?.jpg",
    "gs://b/a.jpg?alt=media&key=SECRET": "gs://b/a.jpg",
    "gs://b/a.jpg?key=SECRET": "gs://b/a.jpg",
    "sftp://me:SECRET@host/a.jpg": "sftp://***:***@host/a.jpg",
    "s3://KEY:abc/SECRET+d@b/a.jpg": "s3://***:***@b/a.jpg",
}
KEPT = [
    "gs://b/a.jpg?x=1",
    "gs://b/what?.jpg",
    "gs://b/q?design=4.jpg",
    "hdfs://namenode:9000/photos/me@home.jpg",
    "abfs://container@account.dfs.core.windows.net/a.jpg",
    "sftp://me@host/a.jpg",
    "/photos/a.jpg?token=1",
    "gs://b/token=1/a.jpg",
]


@pytest.mark.parametrize("uri", URIS)
def test_uris_lose_signatures_and_passwords(uri: str) -> None:
    assert bare_uri(uri) == URIS[uri]
    assert "SECRET" not in without_secrets(f"cannot open '{uri}', nor {uri}")


@pytest.mark.parametrize("uri", KEPT)
def test_other_uris_are_kept(uri: str) -> None:
    assert bare_uri(uri) == uri


@pytest.mark.parametrize(
    "text",
    [
        "403 for url: https://store.example/b/a.jpg?X-Goog-Signature=SECRET&x=1 (forbidden)",
        "Authorization: Bearer SECRET.abc-def_ghi",
        'headers {"X-Amz-Security-Token": "SECRET", "Host": "x"}',
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=SECRET==;EndpointSuffix=y",
        "aws_secret_access_key = SECRET/abc+d",
        "password=SECRET",
        "sig=SECRET",
        "-----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY-----",
        "key AKIASECRETSECRETSECR is unknown".replace("SECRETSECRETSECR", "SECRET0123456789"),
        "ya29.SECRET-abc",
        "mysql://me:SECRET@host",
    ],
)
def test_texts_lose_secrets(text: str) -> None:
    assert "SECRET" in text
    assert "SECRET" not in without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "gs://b/a.jpg could not be read: OSError: connection reset",
        "20000 x 20000 = 400,000,000 pixels, over the limit of 100,000,000 (max_pixels)",
        "the file begins with b'Dear diary, ', which is no image format",
        "/photos/design=1.jpg: a keyword: monkey; basic things",
    ],
)
def test_other_texts_are_kept(text: str) -> None:
    assert without_secrets(text) == text


def test_settings_lose_secrets() -> None:
    settings = {
        "input": ["gs://b/a.jpg?sig=SECRET", "photos"],
        "beam_options": {"s3_secret_access_key": "SECRET", "s3_session_token": None, "runner": "FnApiRunner"},
        "beam_width": 5,
    }
    assert settings_without_secrets(settings) == {
        "input": ["gs://b/a.jpg?***", "photos"],
        "beam_options": {"s3_secret_access_key": "***", "s3_session_token": None, "runner": "FnApiRunner"},
        "beam_width": 5,
    }


def test_dead_letters_lose_secrets() -> None:
    letter = DeadLetter("a", "", None, "read", "ReadError", "https://x/y?sig=SECRET and token: SECRET", True)
    assert "SECRET" not in dead_letter_row(letter)["message"]


def test_photos_of_a_list_are_named_without_secrets(tmp_path) -> None:
    (tmp_path / "l.txt").write_text("memory://nowhere/a.jpg?sig=a/SECRET\nsftp://me:SECRET@host/a.jpg\n")
    found = list(list_uris(str(tmp_path / "l.txt")))
    assert found == [Listing("memory://nowhere/a.jpg", -1, ""), Listing("sftp://***:***@host/a.jpg", -1, "")]


def test_long_texts_take_no_time() -> None:
    begun = time.monotonic()
    for word in ("x", "token", "a.b?c=", "Bearer ", "sig_", "-----BEGIN PRIVATE KEY-----"):
        without_secrets(word * (100_000 // len(word)))
    assert time.monotonic() - begun < 10
    assert without_secrets("x" * 50_000 + "_token=SECRET " + "y" * 50_000).count("SECRET") == 0
