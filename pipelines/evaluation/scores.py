"""BLEU and CIDEr by the scorers of COCO's evaluation, without its Java tokeniser."""

from collections.abc import Sequence

from model_handlers.nets.tokeniser import tokenise

Texts = Sequence[Sequence[str]]


def plain(text: str) -> str:
    """Returns a text's words in lower case without punctuation marks, joined by spaces, as in COCO's evaluation.

    The words are those of the project's own tokeniser: `can't` is `ca n't`.
    """
    return " ".join(word for word in tokenise(text.lower()) if any(letter.isalnum() for letter in word))


def bleu(candidates: Sequence[str], references: Texts) -> dict[str, float]:
    """Returns BLEU-1 to BLEU-4 of the whole corpus, from 0 to 1 (Papineni et al. 2002).

    Args:
        candidates: one text per item.
        references: texts that each is compared with; the brevity penalty uses the closest length.
    """
    from pycocoevalcap.bleu.bleu import Bleu

    scores, _ = Bleu(4).compute_score(_numbered(references), _numbered([[text] for text in candidates]), verbose=0)
    return {f"BLEU-{n}": float(score) for n, score in enumerate(scores, 1)}


def cider(candidates: Sequence[str], references: Texts) -> float:
    """Returns CIDEr-D from 0 to 10, where 1 is often printed as 100 (Vedantam et al. 2015).

    Words weigh more if fewer items have them in their references, so the figure depends on the corpus.

    Args:
        candidates: one text per item.
        references: texts that each is compared with.
    """
    from pycocoevalcap.cider.cider import Cider

    score, _ = Cider().compute_score(_numbered(references), _numbered([[text] for text in candidates]))
    return float(score)


def _numbered(texts: Texts) -> dict[int, list[str]]:
    return {number: [plain(text) for text in row] for number, row in enumerate(texts)}
