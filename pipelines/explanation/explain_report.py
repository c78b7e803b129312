"""Report on a stored story and its repetition: what differs, and each step in figures and words."""

import math
import textwrap
from typing import Any

import numpy as np

from pipelines.explanation.retelling import Retold, Shift
from pipelines.explanation.stored import Stored
from pipelines.telling.one_photo import Models
from transforms.rows import Row, plain_text

HYPOTHESES = 5  # shown
TOLERANCE = 1e-5  # relative, of floats
NOTHING = 1e-6  # absolute, of floats near zero
TIE = 1e-3  # difference of costs that rounding in another batch or on another device can cause
EXACT = ("photo_id", "width", "height", "passage", "story", "words", "decoder", "settings_digest")
WIDTH = 100  # of a line

Report = dict[str, Any]


def close(one: float, other: float) -> bool:
    """Returns whether two floats agree as closely as those of two runs must."""
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=NOTHING)


def differences(stored: Row, told: Row) -> list[str]:
    """Returns the columns in which a repeated row differs from the stored one; floats may differ by rounding."""
    found = [name for name in EXACT if stored[name] != told[name]]
    pairs = [[match["caption"] for match in row["captions"]] for row in (stored, told)]
    if pairs[0] != pairs[1]:
        return ["captions", *found, *(["cost"] if not close(stored["cost"], told["cost"]) else [])]
    both = zip(stored["captions"], told["captions"], strict=True)
    if not all(close(one["similarity"], other["similarity"]) for one, other in both):
        found.insert(0, "similarities")
    return found if close(stored["cost"], told["cost"]) else [*found, "cost"]


def make_report(stored: Stored, models: Models, retold: Retold | None, reason: str | None) -> Report:
    """Returns the whole report on a stored story, as plain data for JSON.

    Args:
        stored: stored story.
        models: models that repeated it.
        retold: repeated story; None if that failed.
        reason: reason of the failure.
    """
    row, run = stored.row, stored.run
    choices = models.settings.choices.model_dump() | {"lyric": models.settings.config.lyric}
    report: Report = {
        "uri": row["uri"],
        "style": row["style"],
        "equal": False,
        "error": reason,
        "changed_photo": None,
        "differences": None,
        "run": {name: run[name] for name in ("run_id", "number", "committed")},
        "pack": {"name": row["pack"], "digest": row["pack_digest"], "location": models.settings.pack.location},
        "decoder": row["decoder"],
        "settings": choices,
        "stored": row,
    }
    if retold is None:
        return report
    differing = differences(row, retold.row)
    return report | {
        "equal": not differing,
        "changed_photo": "photo_id" in differing,
        "differences": differing,
        "told": retold.row,
        "shift": _shift(retold.shift),
        "hypotheses": [
            {"cost": passage.cost, "rank": rank, "words": passage.words, "story": plain_text(passage.story)}
            for passage, rank in retold.passages[:HYPOTHESES]
        ],
    }


def _shift(shift: Shift) -> Report:
    moved = shift.shifted - shift.vector  # [S]
    vectors = {"x": shift.vector, "c": shift.source, "b": shift.target, "F": shift.shifted, "moved": moved}
    lengths = float(np.linalg.norm(shift.vector) * np.linalg.norm(shift.shifted))
    return {
        "norms": {name: float(np.linalg.norm(vector)) for name, vector in vectors.items()},
        "cosine": float(shift.vector @ shift.shifted) / max(lengths, NOTHING),
        "compared": shift.compared,
        "before": [{"sentence": plain_text(text), "cosine": cosine} for text, cosine in shift.before],
        "after": [{"sentence": plain_text(text), "cosine": cosine} for text, cosine in shift.after],
    }


def as_text(report: Report) -> str:
    """Returns a report as text for people."""
    run, pack, stored = report["run"], report["pack"], report["stored"]
    lines = [
        f"{report['uri']} ({report['style']})",
        *_wrapped(verdict(report)),
        "",
        f"Written by run {run['run_id']}, committed {run['committed']}",
        f"  pack {pack['name']}, digest {pack['digest'][:12]}; decoder {report['decoder']}",
        *_wrapped(", ".join(f"{name} {_shown(value)}" for name, value in report["settings"].items())),
        "",
    ]
    if "told" not in report:
        captions = [f"  {match['similarity']:.4f}  {match['caption']}" for match in stored["captions"]]
        return "\n".join([*lines, "Captions, as stored", *captions, "", "Story, as stored", *_wrapped(stored["story"])])
    return "\n".join([*lines, *_captions(report), "", *_shift_lines(report), "", *_hypothesis_lines(report)])


def verdict(report: Report) -> str:
    """Returns a sentence or two on whether the repeated story is the stored one."""
    if report["error"]:
        return f"The story cannot be repeated: {report['error']}"
    if report["equal"]:
        return "Repeated, it is the stored story: same captions, passage and story."
    named = ", ".join(report["differences"])
    if report["changed_photo"]:
        stored, told = report["stored"]["photo_id"], report["told"]["photo_id"]
        return (
            f"The photo has changed since: its photo_id was {stored[:12]} and is {told[:12]}. What follows is of the "
            f"photo as it is now, and differs in {named}. The next run processes the photo again."
        )
    text = f"NOT EQUAL. Repeated, it differs from the stored story in {named}."
    apart = abs(report["stored"]["cost"] - report["told"]["cost"])
    if "passage" in report["differences"] and "captions" not in report["differences"] and apart < TIE:
        text += (
            f" The costs of both passages differ by less than {TIE:g}: rounding in another batch or on another device "
            "decides between them."
        )
    return text


def _captions(report: Report) -> list[str]:
    """Returns the lines of the captions, and of the stored ones if they differ."""
    told, stored = report["told"]["captions"], report["stored"]["captions"]
    lines = [f"Captions, with their similarity ({report['settings']['captions']})"]
    lines += [f"  {match['similarity']:.4f}  {match['caption']}" for match in told]
    if "captions" in report["differences"] or "similarities" in report["differences"]:
        lines += ["Stored were", *(f"  {match['similarity']:.4f}  {match['caption']}" for match in stored)]
    return lines


def _shift_lines(report: Report) -> list[str]:
    shift, settings = report["shift"], report["settings"]
    put_in = "b, the style" if settings["shift"] != "nearest" else "b, a passage of the style"
    names = {
        "x": "x, mean of the captions' sentence vectors",
        "c": "c, the captions' style, taken out",
        "b": f"{put_in}, put in",
        "F": "F(x), from which the story is decoded",
        "moved": "F(x) - x",
    }
    lines = [f"Style shift ({settings['shift']}, strength {settings['style_strength']:g}); lengths of"]
    lines += [f"  {shift['norms'][name]:.4f}  {meaning}" for name, meaning in names.items()]
    lines.append(f"  {shift['cosine']:.4f}  is the cosine of x and F(x)")
    for name, when in (("before", "before"), ("after", "after")):
        lines.append(f"Nearest {when} the shift, of {shift['compared']:,} captions, by cosine")
        lines += [f"  {one['cosine']:.4f}  {one['sentence']}" for one in shift[name]]
    return lines


def _hypothesis_lines(report: Report) -> list[str]:
    """Returns the lines of the best hypotheses, and of the stored story if it is another one."""
    settings, found = report["settings"], report["hypotheses"]
    lines = [f"Best {len(found)} of the beam search (width {settings['beam_width']}), with their costs"]
    for place, one in enumerate(found, 1):
        score = f", score {one['rank']:.4f}" if settings["contrast"] else ""
        lines += [f"  {place}. {one['cost']:.4f}, {one['words']} words{score}", *_wrapped(one["story"], 5)]
    stored = report["stored"]
    if {"passage", "story"} & set(report["differences"]):
        lines += [f"Stored is {stored['cost']:.4f}, {stored['words']} words", *_wrapped(stored["story"], 5)]
    return lines


def _wrapped(text: str, indent: int = 2) -> list[str]:
    """Returns the lines of a text, broken between words only, so that file names stay whole."""
    space = " " * indent
    wrapper = textwrap.TextWrapper(
        WIDTH, initial_indent=space, subsequent_indent=space, break_long_words=False, break_on_hyphens=False
    )
    return [line for part in text.split("\n") for line in wrapper.wrap(part) or [""]]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
