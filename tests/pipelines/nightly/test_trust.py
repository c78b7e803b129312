"""A run never writes planted secrets and never reads files outside the allowed places."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.schema import check_config
from model_handlers.pack import Pack
from pipelines.nightly.selection import source_problems

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from transforms import read_errors


class TellingFileSystem(MemoryFileSystem):
    protocol = "obs"
    store, pseudo_dirs = {}, [""]

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("obs://", "memory://"))

    def cat_ranges(self, paths, starts, ends, max_gap=None, on_error="return", **kwargs):
        found = super().cat_ranges(paths, starts, ends, on_error="return")
        return [self._fail(path) if "bad" in path or "bug" in path else data for path, data in zip(paths, found)]

    def _fail(self, path):
        text = f"403 for https://store.example/{path}?sig=SECRET-E1, Authorization: Bearer SECRET-E2"
        return ValueError(text) if "bug" in path else OSError(text)


fsspec.register_implementation("obs", TellingFileSystem, clobber=True)
read_errors.PAUSES = (0.0,)
store = fsspec.filesystem("obs")
for name in ("good", "input", "bad"):
    store.pipe_file(f"/b/{name}.jpg", open(sys.argv[1], "rb").read())
if "bug" in " ".join(sys.argv):
    store.pipe_file("/b/bug.jpg", b"xxx")

from pipelines.cli.ending import end_process
from pipelines.nightly.main_job import main

end_process(main(sys.argv[2:]))
"""
LISTED = [
    "obs://b/good.jpg?X-Goog-Credential=a/SECRET-01/b&X-Goog-Signature=SECRET-02",
    "obs://b/good.jpg?X-Goog-Credential=a/SECRET-03/b&X-Goog-Signature=SECRET-04",
    "obs://b/bad.jpg?sig=SECRET-05/x",
    "obs://b/gone.jpg?Expires=1&AWSAccessKeyId=SECRET-06&Signature=SECRET-07",
    "sftp://me:SECRET-08@host/a.jpg",
    "s3://KEY:SECRET-09/x+y@bucket/a.jpg",
    "https://store.example/a.jpg?token=SECRET-10",
]


def run_program(*argv: str) -> tuple[int, str]:
    """Returns the exit code of the main job in a process of its own, with a storage that tells secrets, and its
    output."""
    photo = str(ROOT / "samples" / "cat.jpg")
    command = [sys.executable, "-c", PROGRAM, photo, *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    return done.returncode, done.stdout + done.stderr


def everything_left(output: Any) -> str:
    """Returns all that runs left in an OUTPUT as one text, with the rows of its tables."""
    rows = [row for table in ("stories", "dead_letters", "ledger") for row in output.rows(table)]
    files = [path for path in Path(output.location).rglob("*") if path.is_file()]
    assert rows and any(path.name == "started.json" for path in files)
    return repr(rows) + repr(files) + "".join(path.read_bytes().decode("latin1") for path in files)


@pytest.mark.slow
def test_planted_secrets_are_nowhere(photo_pack: Pack, output: Any, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n".join(LISTED))
    (tmp_path / "run.yaml").write_text("beam_options: {s3_secret_access_key: SECRET-11}\n")
    flags = [f"--pack={photo_pack.location}", "--device=cpu", "--captions-per-photo=5", "--beam-width=2"]
    flags += [f"--config={tmp_path}/run.yaml", f"--output={output.location}", "--max-words=20"]
    code, printed = run_program(
        f"--uris={tmp_path}/list.txt", "--input=obs://b/input.jpg?X-Amz-Security-Token=SECRET-12", *flags
    )
    assert code == 0, printed
    assert "good.jpg" in printed
    found = {(row["uri"], row["outcome"]) for row in output.rows("ledger")}
    assert found == {
        ("obs://b/good.jpg", "story"),
        ("obs://b/good.jpg", "repeated"),
        ("obs://b/input.jpg", "story"),
        ("obs://b/bad.jpg", "dead_letter"),
        ("obs://b/gone.jpg", "dead_letter"),
        ("sftp://***:***@host/a.jpg", "dead_letter"),
        ("s3://***:***@bucket/a.jpg", "dead_letter"),
        ("https://store.example/a.jpg", "dead_letter"),
    }
    letters = {row["uri"]: row for row in output.rows("dead_letters")}
    assert "403 for https://store.example/" in letters["obs://b/bad.jpg"]["message"]
    assert "a password in a URI" in letters["s3://***:***@bucket/a.jpg"]["message"]
    assert output.manifests[0]["settings"]["beam_options"] == {"s3_secret_access_key": "***"}

    code, failed = run_program("--input=obs://b/bug.jpg", *flags)
    assert code == 1 and "ValueError" in failed, failed
    text = everything_left(output) + printed + failed
    assert "SECRET" not in text, text[max(0, text.index("SECRET") - 300) :][:600]


@pytest.mark.parametrize(
    "option",
    [
        "--output=gs://me:SECRET@b/stories",
        "--output=az://c/stories?sv=1&sig=SECRET",
        "--pack=s3://KEY:SECRET@b/pack",
        "--features=https://x/f.parquet?X-Goog-Signature=SECRET",
        "--uris=gs://b/list.txt?Signature=SECRET&x=1",
        "--input=sftp://me:SECRET@host/**",
        "--api-token=SECRET",
        "--input=https://x/a.jpg?token=SECRET",
    ],
)
def test_wrong_options_are_listed_without_their_secrets(
    run_job: Callable[..., tuple[int, str, str]], story_pack: Pack, option: str
) -> None:
    code, printed, errors = run_job(f"--pack={story_pack.location}", option)
    assert code == 2 and option.split("=")[0].removeprefix("--input") in errors
    assert "SECRET" not in printed + errors


def test_schemes_and_roots_are_checked_first() -> None:
    found = source_problems(check_config({"input": ["/photos"], "schemes": ["gs", "ftp"], "roots": ["gs://b"]}))
    assert len(found) == 2
    assert "--schemes ftp: is not a scheme that photos are read from" in found[0]
    assert "/photos: the scheme file:// is not allowed; allowed are gs" in found[1]
    (problem,) = source_problems(check_config({"input": ["file:///etc"], "uris": ["l.txt"], "roots": ["/photos"]}))
    assert "outside the allowed places (/photos)" in problem


def test_photos_outside_the_roots_are_dead_letters(
    run_job: Callable[..., tuple[int, str, str]], photo_pack: Pack, output: Any, tmp_path: Path, make_photo: Any
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.jpg").write_bytes(make_photo(0).data)
    (inside / "link.jpg").symlink_to(outside / "a.jpg")
    (inside / "folder").symlink_to(outside)
    lines = [f"{outside}/a.jpg", f"file://{outside}/a.jpg", f"{inside}/folder/a.jpg", f"{inside}/../outside/b.jpg"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    code, _, errors = run_job(
        f"--input={inside}", f"--uris={tmp_path}/list.txt", f"--roots={inside}", f"--output={output.location}",
        f"--pack={photo_pack.location}", "--captions-per-photo=5", "--beam-width=2", "--max-words=20",
    )  # fmt: skip
    assert code == 0, errors
    assert [row["uri"] for row in output.rows("stories")] == [f"{inside}/a.jpg"]
    letters = {row["uri"]: (row["error"], row["retryable"], row["message"]) for row in output.rows("dead_letters")}
    link, out = "a symbolic link leads out of the allowed places", "is outside the allowed places"
    reasons = {f"{inside}/link.jpg": link, f"{inside}/folder": link, f"{inside}/folder/a.jpg": link}
    reasons |= {f"{outside}/a.jpg": out, f"{outside}/b.jpg": out}
    assert letters.keys() == reasons.keys()
    for uri, (error, retryable, message) in letters.items():
        assert (error, retryable) == ("RefusedUri", False) and reasons[uri] in message
    assert output.outcomes() == {"story": 1, "dead_letter": 5, "repeated": 1}


def test_photos_that_break_the_decoder_cost_no_other_its_story(
    tampered: None, run_job: Callable[..., tuple[int, str, str]], photo_pack: Pack, output: Any, tmp_path: Path
) -> None:
    photo = (ROOT / "samples" / "cat.jpg").read_bytes()
    for name, word in {"a": b"", "b": b"CRASH", "c": b"", "d": b"FILL", "e": b"POISON", "f": b""}.items():
        (tmp_path / f"{name}.jpg").write_bytes(photo + word)
    code, _, errors = run_job(
        f"--input={tmp_path}/*.jpg", f"--output={output.location}", f"--pack={photo_pack.location}",
        "--captions-per-photo=5", "--beam-width=2", "--max-words=20",
    )  # fmt: skip
    assert code == 0, errors
    assert [Path(row["uri"]).name for row in output.rows("stories")] == ["a.jpg", "c.jpg", "e.jpg", "f.jpg"]
    letters = {Path(row["uri"]).name: (row["stage"], row["error"]) for row in output.rows("dead_letters")}
    assert letters == {"b.jpg": ("decode", "DecoderCrashed"), "d.jpg": ("decode", "DecoderOutOfMemory")}
