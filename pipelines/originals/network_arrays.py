"""The original networks as our state dicts, with the sizes of their arrays (SPEC sections 5, 7 and 9)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar

from torch import Tensor

from model_handlers.nets.gru import gru_state
from pipelines.originals.arrays import Note, Npz, require_shapes
from pipelines.originals.damage import AGAIN, Damage
from pipelines.originals.dictionaries import read_options

GRU = ("W", "b", "U", "Wx", "bx", "Ux")
JOINT_OPTIONS = {"encoder": str, "dim": int, "dim_word": int, "dim_image": int, "n_words": int}
SKIP_OPTIONS = {"encoder": str, "dim": int, "dim_word": int}
DECODER_OPTIONS = {"decoder": str, "dimctx": int, "dim": int, "dim_word": int, "n_words": int}


class JointSizes(TypedDict):
    """What a pack's card says of a joint embedding, as `WordJointEmbeddingEntry` has it."""

    encoder: str
    dim_image: int
    dim_word: int
    dim: int
    n_words: int


class SkipSizes(TypedDict):
    """Widths of a word vector and of the state of one part of the skip-thought encoder."""

    dim_word: int
    dim: int


class DecoderSizes(TypedDict):
    """What a pack's card says of a story decoder, as `GruDecoderEntry` has it."""

    dim_context: int
    dim_word: int
    dim: int
    n_words: int
    deep_output: bool


Sizes = TypeVar("Sizes", JointSizes, SkipSizes, DecoderSizes)


@dataclass(frozen=True)
class Network(Generic[Sizes]):
    """A network's state dict and its sizes."""

    state: dict[str, Tensor]
    sizes: Sizes


def read_joint_embedding(weights: Path, options_file: Path, note: Note) -> Network[JointSizes]:
    """Returns the joint embedding of `coco_embedding.npz` and its options.

    Raises:
        Damage: lists what is missing, corrupt or does not fit.
    """
    options = read_options(options_file, JOINT_OPTIONS)
    _check_choice(options_file, options, "encoder", ("gru", "bow"))
    names = ["Wemb", "ff_image_W", "ff_image_b"]
    if options["encoder"] == "gru":
        names += [f"encoder_{part}" for part in GRU]
    arrays = Npz(weights, note).tensors(names)
    n_words, dim_word = _sides(weights, arrays, "Wemb")
    dim_image, dim = _sides(weights, arrays, "ff_image_W")
    shapes: dict[str, tuple[int, ...]] = {"ff_image_b": (dim,)}
    if options["encoder"] == "gru":
        shapes |= gru_shapes("encoder", dim_word, dim)
    elif dim != dim_word:
        raise Damage(f"{weights.name}: a bag of words needs word vectors of {dim} numbers, not {dim_word}; {AGAIN}")
    require_shapes(weights.name, arrays, shapes)
    sizes = {"dim_image": dim_image, "dim_word": dim_word, "dim": dim, "n_words": n_words}
    _check_options(options_file, options, sizes)
    state = {
        "word_vectors.weight": arrays["Wemb"],
        "image_projection.weight": arrays["ff_image_W"].T,
        "image_projection.bias": arrays["ff_image_b"],
    }
    if options["encoder"] == "gru":
        state |= _prefixed("encoder", gru_state(arrays, "encoder"))
    return Network(
        state, JointSizes(encoder=options["encoder"], dim_image=dim_image, dim_word=dim_word, dim=dim, n_words=n_words)
    )


def read_skip(weights: Path, options_file: Path, part: str, note: Note) -> Network[SkipSizes]:
    """Returns one part of the skip-thought encoder: `uni` from `uni_skip.npz`, `bi` from `bi_skip.npz`.

    Only the encoder's arrays are read; the training decoders beside them never are.

    Raises:
        Damage: lists what is missing, corrupt or does not fit.
    """
    options = read_options(options_file, SKIP_OPTIONS)
    _check_choice(options_file, options, "encoder", ("gru",))
    units = {"uni": "encoder"} if part == "uni" else {"bi_forward": "encoder", "bi_reverse": "encoder_r"}
    arrays = Npz(weights, note).tensors([f"{unit}_{name}" for unit in units.values() for name in GRU])
    dim_word, dim = _sides(weights, arrays, "encoder_Wx")
    shapes: dict[str, tuple[int, ...]] = {}
    for unit in units.values():
        shapes |= gru_shapes(unit, dim_word, dim)
    require_shapes(weights.name, arrays, shapes)
    _check_options(options_file, options, {"dim": dim, "dim_word": dim_word})
    state: dict[str, Tensor] = {}
    for ours, unit in units.items():
        state |= _prefixed(ours, gru_state(arrays, unit))
    return Network(state, SkipSizes(dim_word=dim_word, dim=dim))


def read_decoder(weights: Path, options_file: Path, note: Note) -> Network[DecoderSizes]:
    """Returns the story decoder of an `.npz` file and its options, in which an absent `doutput` means a deep output.

    Raises:
        Damage: lists what is missing, corrupt or does not fit.
    """
    options = read_options(options_file, DECODER_OPTIONS)
    _check_choice(options_file, options, "decoder", ("gru",))
    deep = bool(options.get("doutput", True))
    names = ["Wemb", "ff_state_W", "ff_state_b", "ff_logit_W", "ff_logit_b", *(f"decoder_{part}" for part in GRU)]
    if deep:
        names += ["ff_hid_W", "ff_hid_b"]
    arrays = Npz(weights, note).tensors(names)
    n_words, dim_word = _sides(weights, arrays, "Wemb")
    dim_context, dim = _sides(weights, arrays, "ff_state_W")
    shapes = gru_shapes("decoder", dim_word, dim) | {"ff_state_b": (dim,), "ff_logit_b": (n_words,)}
    shapes["ff_logit_W"] = (dim_word if deep else dim, n_words)
    if deep:
        shapes |= {"ff_hid_W": (dim, dim_word), "ff_hid_b": (dim_word,)}
    require_shapes(weights.name, arrays, shapes)
    sizes = {"dim_context": dim_context, "dim_word": dim_word, "dim": dim, "n_words": n_words}
    _check_options(options_file, options, {"dimctx" if name == "dim_context" else name: sizes[name] for name in sizes})
    layers = {"state": "ff_state", "logits": "ff_logit"} | ({"hidden": "ff_hid"} if deep else {})
    state = {"word_vectors.weight": arrays["Wemb"], **_prefixed("cell", gru_state(arrays, "decoder", layer=""))}
    for ours, theirs in layers.items():
        state |= {f"{ours}.weight": arrays[f"{theirs}_W"].T, f"{ours}.bias": arrays[f"{theirs}_b"]}
    return Network(
        state, DecoderSizes(dim_context=dim_context, dim_word=dim_word, dim=dim, n_words=n_words, deep_output=deep)
    )


def gru_shapes(unit: str, inputs: int, dim: int) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a gated recurrent unit's six arrays, by name."""
    shapes = [(inputs, 2 * dim), (2 * dim,), (dim, 2 * dim), (inputs, dim), (dim,), (dim, dim)]
    return {f"{unit}_{part}": shape for part, shape in zip(GRU, shapes, strict=True)}


def _sides(file: Path, arrays: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    shape = arrays[name].shape
    if len(shape) != 2 or 0 in shape:
        raise Damage(f"{file.name}: {name} has shape {tuple(shape)}, not rows and columns; {AGAIN}")
    return shape[0], shape[1]


def _check_choice(file: Path, options: Mapping[str, Any], name: str, known: tuple[str, ...]) -> None:
    if options[name] not in known:
        raise Damage(
            f"{file.name}: the {name} is {str(options[name])[:40]!r}; of the originals {' and '.join(known)} exist, "
            "and nothing else can be converted"
        )


def _check_options(file: Path, options: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
    """Raises `Damage` if an option has another size than the arrays."""
    problems = [
        f"{file.name}: says {option} is {options[option]}, the arrays say {size}; {AGAIN}, both files"
        for option, size in sizes.items()
        if options[option] != size
    ]
    if problems:
        raise Damage(*problems)


def _prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in state.items()}
