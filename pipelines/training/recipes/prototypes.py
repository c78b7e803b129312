"""Class prototypes for pseudo photos: the backbone's classifier knows classes that the photos with captions lack."""

from collections.abc import Mapping, Sequence

import numpy as np
from timm.data.imagenet_info import ImageNetInfo

from pipelines.corpora.lexicon import PLAIN_NAMES
from pipelines.corpora.texts import UNKNOWN, Tokens, Vocabulary
from pipelines.training.recipes.joint import PhotoSet, Prototypes

NEED = 0.75
"""A class's weight is the ratio of its frequencies in other captions and in those of the photos, to this power."""


def class_nouns() -> list[list[str]]:
    """Returns the names of each class of ImageNet, the longest first, with the classes in the classifier's order."""
    info = ImageNetInfo()
    names = []
    for place in range(1000):
        phrases = [name.strip().lower() for name in info.index_to_description(place).split(",")]
        heads = [name.split()[-1] for name in phrases]
        names.append(sorted({*phrases, *heads}, key=lambda name: (-len(name.split()), name)))
    return names


def class_means(classes: np.ndarray, features: np.ndarray, reach: float) -> np.ndarray:
    """Returns estimated mean feature vectors `[C, F]` of classes: steps from the photos' mean along the class vectors.

    The covariance of the photos would bend the step towards what the photos show. On photos of cats, cups and houses
    the plain class vectors point better (cosine .25 to .35, the right class first among the 1000).

    Args:
        classes: class vectors of the classifier `[C, F]`.
        features: feature vectors of photos `[N, F]`.
        reach: length of the step, in units of the photos' mean distance from their centre.
    """
    centre = features.mean(axis=0)  # [F]
    length = np.linalg.norm(features - centre, axis=1).mean()
    away = classes - classes.mean(axis=0)  # [C, F]
    away *= reach * length / np.linalg.norm(away, axis=1, keepdims=True)
    means: np.ndarray = (centre + away).astype(np.float32)  # [C, F]
    return means


def prototypes(
    classes: np.ndarray, photos: PhotoSet, texts: Sequence[str], vocabulary: Vocabulary, reach: float = 0.4
) -> Prototypes:
    """Returns one prototype for each class and each of its names that at least five captions use.

    A class that many captions name and few photos show is drawn more often: cats and rockets more than terriers.

    Args:
        classes: class vectors of the classifier `[C, F]`.
        photos: photos with captions.
        texts: other captions.
        vocabulary: vocabulary of the ids.
        reach: see `class_means`.
    """
    padded_texts = [f" {text} " for text in texts]
    words: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        for word in set(text.split()):
            words.setdefault(word, []).append(place)
    shown = np.bincount(photos.captions.ids, minlength=vocabulary.size)  # [V]
    shown[UNKNOWN] = 0
    found: list[tuple[int, list[int], float]] = []
    for place, names in enumerate(class_nouns()):
        plain = [noun for noun, heads in PLAIN_NAMES.items() if heads.intersection(names)]
        for noun in _used_names(names, words, padded_texts) + plain:
            rows = [row for row in words.get(noun.split()[-1], []) if f" {noun} " in padded_texts[row]]
            if len(rows) >= 5:
                found.append((place, rows, (len(rows) / (1 + shown[vocabulary.encode(noun)[-1]])) ** NEED))
    centres = class_means(classes, photos.features, reach)[[place for place, _, _ in found]]  # [P, F]
    used = sorted({row for _, rows, _ in found for row in rows})
    place_of = {row: place for place, row in enumerate(used)}
    captions = Tokens.of([vocabulary.encode(texts[row]) for row in used])
    own = [[place_of[row] for row in rows] for _, rows, _ in found]
    return Prototypes(centres, captions, own, np.asarray([need for _, _, need in found]))


def _used_names(names: Sequence[str], words: Mapping[str, Sequence[int]], texts: Sequence[str]) -> list[str]:
    """Returns the longest of a class's names that at least five texts use, if there is one."""
    for noun in names:
        if sum(f" {noun} " in texts[row] for row in words.get(noun.split()[-1], ())) >= 5:
            return [noun]
    return []
