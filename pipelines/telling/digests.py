"""Digests of settings and networks: two runs with equal digests make the same of a photo."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from configs.choices import Effect
from configs.effects import options_that_change
from model_handlers.pack import Pack
from transforms.records import Networks

FORMAT = 1  # raised when the code makes something else of the same networks


def settings_digest(used: Mapping[str, Any]) -> str:
    """Returns the digest of the options that can change a text.

    Args:
        used: value of each option, the decoder's name included.
    """
    settings = changing_settings(used, "features", "captions", "stories", digest="stories")
    if used["captions"] == "retrieved":
        settings["written_captions"] = None
    if used["features"]:  # no pixels are read
        settings.pop("preprocessing", None)
        settings["decoding"] = None
    return _digest(settings)


def changing_settings(used: Mapping[str, Any], *effects: Effect, digest: Effect) -> dict[str, Any]:
    """Returns the options that change one of some things, with their values, for a digest.

    Args:
        used: value of each option.
        effects: what the options change.
        digest: what the digest is of.
    """
    left_out = options_that_change(*effects, digest=digest)
    return {name: used[name] for name, value in left_out.items() if used[name] != value}


def networks_of(pack: Pack, used: Mapping[str, Any]) -> Networks | None:
    """Returns the digests of what decides feature vectors and captions; None if these are not kept.

    A pack with another style, decoder or sentence encoder has another digest of its own, but the same digests here.
    """
    if used["features"] is not None or not used["keep_features"]:
        return None
    pixels = changing_settings(used, "features", digest="features")
    features = _digest({"format": FORMAT, "network": _facts(pack, "features")} | pixels)
    made = changing_settings(used, "captions", digest="captions")
    written = made.pop("written_captions")
    parts = made | {"features": features, "joint_embedding": _facts(pack, "joint_embedding")}
    if made["captions"] != "written":
        bank = _facts(pack, "captions")
        parts["bank"] = {name: value for name, value in bank.items() if name != "sentence_vectors"}
    if made["captions"] != "retrieved":
        parts |= {"writer": _facts(pack, "caption_writer"), "written": written}
    return Networks(features, _digest(parts))


def _facts(pack: Pack, component: str) -> dict[str, Any]:
    """Returns a component's entry in the card, with file names replaced by the files' sha256."""
    files = pack.card["files"]
    entry = pack.component(component)
    return {
        name: files[value]["sha256"] if isinstance(value, str) and value in files else value
        for name, value in entry.items()
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
