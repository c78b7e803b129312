"""`storyteller story`: a photo's captions and story on the screen."""

from pathlib import Path
from typing import Any

import pytest

import pipelines.story as command
from model_handlers.pack import Pack
from pipelines.story import load_all, main, story

SAMPLES = Path(__file__).parents[2] / "samples"
FLAGS = ["--captions-per-photo=5", "--beam-width=5", "--device=cpu"]


def call(capsys: Any, *argv: object) -> tuple[int, str, str]:
    code = main([str(word) for word in argv])
    return (code, *capsys.readouterr())


def test_photos_are_shown_with_captions_and_stories(photo_pack: Pack, capsys: Any) -> None:
    photos = [SAMPLES / "cat.jpg", SAMPLES / "coffee.jpg"]
    code, out, err = call(capsys, *photos, "--pack", photo_pack.location, "--style=swift,romance", *FLAGS)
    assert (code, err) == (0, "")
    models = load_all(photo_pack.location, style="swift,romance", captions_per_photo=5, beam_width=5, device="cpu")
    assert out == "".join(f"{photo}\n\n{story(models, photo)!r}\n\n" for photo in photos)


def test_a_photo_without_a_story_leaves_the_others_theirs(photo_pack: Pack, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "text.jpg").write_text("not a photo")
    code, out, err = call(capsys, tmp_path / "text.jpg", SAMPLES / "cat.jpg", "--pack", photo_pack.location, *FLAGS)
    assert code == 1 and "text.jpg: " in err and "Traceback" not in err
    assert "cat.jpg" in out and "Romance:" in out


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["{tmp}/gone.jpg", "{tmp}"], ["gone.jpg: no such file", "is a folder; `storyteller run`"]),
        ([], ["required: PHOTO"]),
        (["{cat}", "--style=romanse"], ["--style 'romanse'", "Did you mean romance?"]),
        (
            ["{cat}", "--pack=pokcet"],
            ["--pack pokcet: neither a folder nor the name of a pack", "Did you mean pocket?"],
        ),
        (["{cat}", "--beam-with=3"], ["--beam-with=3: no such option. Did you mean --beam-width?"]),
        (["{cat}", "--beam-width=x", "--device=gpu"], ["beam_width = 'x'", "device = 'gpu'"]),
    ],
)
def test_mistakes_are_named(argv: list[str], parts: list[str], tmp_path: Path, capsys: Any) -> None:
    code, out, err = call(capsys, *(word.format(tmp=tmp_path, cat=SAMPLES / "cat.jpg") for word in argv))
    assert code == 2 and out == "" and err.startswith("No story was made:")
    assert all(part in err for part in parts), err


def test_a_terminal_gets_a_picture(photo_pack: Pack, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("COLORTERM", "truecolor")
    for name in ("KITTY_WINDOW_ID", "TERM_PROGRAM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    argv = (SAMPLES / "cat.jpg", "--pack", photo_pack.location, *FLAGS)
    assert "▀" in call(capsys, *argv)[1]
    assert "▀" not in call(capsys, *argv, "--no-picture")[1]


def test_what_python_imports_is_there() -> None:
    assert all(getattr(command, name).__name__ == name for name in command.PUBLIC)
    with pytest.raises(AttributeError, match="no attribute 'tale'"):
        command.__getattr__("tale")
