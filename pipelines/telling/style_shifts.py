"""Style shifts from a model pack: style vectors, and the files of a style's spread or passages."""

from collections.abc import Sequence

import numpy as np

from configs.spelling import did_you_mean
from model_handlers.covariances import ReadyPassages, ReadySpread
from model_handlers.handler import Placement
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from transforms.records import StyleVectors


def style_vectors(pack: Pack, name: str, width: int, shift: str = "mean") -> StyleVectors:
    """Returns the shift to a style, or to several joined by `+`: to their mean, or to the passages of all.

    Args:
        pack: model pack with the styles.
        name: name of the style, or names joined by `+`.
        width: width S of the decoder's vectors.
        shift: `mean`, `spread` or `nearest`.

    Raises:
        PackError: the pack lacks the source style, a style, or the spread or passages that the shift needs, or one of
            them has another width.
    """
    styles = pack.styles
    parts = name.split("+")
    there = ", ".join(sorted(styles)) or "none"
    problems = [
        f"{part!r}: the pack has no such style; it has {there}. pipelines.fit_style makes more"
        f"{did_you_mean(part, styles)}"
        for part in parts
        if part not in styles
    ]
    if "source_style" not in pack.components:
        problems.append(
            f"{name}: the pack has no source style to take out; pipelines.fit_style --name caption makes one"
        )
    if problems:
        raise PackError(problems)
    where = Placement(pack.location, pack.digest)
    spread = passages = None
    if shift == "spread":
        spread = ReadySpread(where, _of_styles(pack, "spreads", parts, (width, width)))
    if shift == "nearest":
        passages = ReadyPassages(where, _of_styles(pack, "passages", parts, (-1, width)))
    source, *targets = [_vector(pack, file) for file in (pack.source_style, *map(styles.__getitem__, parts))]
    for vector in [source, *targets]:
        if vector.shape != (width,):
            raise PackError([f"{name}: a style vector has width {vector.shape[0]}, the decoder wants {width}"])
    target = targets[0] if len(targets) == 1 else np.stack(targets).mean(axis=0, dtype=np.float32)  # [S]
    return StyleVectors(source, target, spread, passages)


SHIFT_PARTS = {"spreads": ("spread", "spread", "--spread"), "passages": ("nearest", "passages", "--passages 2000")}
"""By group of files: the shift that needs it, its name in messages, and the flag of fit_style that makes it."""


def _of_styles(pack: Pack, group: str, parts: Sequence[str], shape: tuple[int, int]) -> tuple[str, ...]:
    """Returns the files of a group that belong to the given styles.

    Args:
        pack: model pack with the files.
        group: group of SHIFT_PARTS.
        parts: names of the styles.
        shape: shape of each array; -1 is any number.

    Raises:
        PackError: the pack lacks a file, or an array has another shape.
    """
    there = pack.spreads if group == "spreads" else pack.passages
    shift, called, flag = SHIFT_PARTS[group]
    problems = [
        f"{part!r}: the pack has no {called} of it, which --shift {shift} needs; it has "
        f"{', '.join(sorted(there)) or 'none'}. pipelines.fit_style {flag} makes them"
        for part in parts
        if part not in there
    ]
    files = tuple(there[part] for part in parts if part in there)
    shapes = [pack.array(file).shape for file in files]
    problems += [
        f"{', '.join(parts)}: {called} of shape {found}, but the decoder wants vectors {shape[1]} wide"
        for found in shapes
        if len(found) != 2 or found[1] != shape[1] or shape[0] not in (-1, found[0])
    ]
    if problems:
        raise PackError(problems)
    return files


def _vector(pack: Pack, file: str) -> np.ndarray:
    return np.array(pack.array(file), np.float32).reshape(-1)
