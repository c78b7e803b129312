"""The tokeniser of 2015, rule by rule: Punkt's sentences and NLTK 3.1's Penn Treebank words."""

import re

import punkt

RULES = (
    (r'^"', "``"),
    (r"``", " `` "),
    (r'([ (\[{<])"', r"\1 `` "),
    (r"([:,])(\D)", r" \1 \2"),
    (r"([:,])$", r" \1 "),
    (r"\.\.\.", " ... "),
    (r"[;@#$%&]", r" \g<0> "),
    (r"([^.])(\.)([\])}>\"']*)\s*$", r"\1 \2\3 "),
    (r"[?!]", r" \g<0> "),
    (r"([^'])' ", r"\1 ' "),
    (r"[\]\[(){}<>]", r" \g<0> "),
    (r"--", " -- "),
    (r"^(?s:.*)$", r" \g<0> "),
    (r'"', " '' "),
    (r"(\S)('')", r"\1 \2 "),
    (r"([^' ])('[sS]|'[mM]|'[dD]|') ", r"\1 \2 "),
    (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r"\1 \2 "),
    (r"(?i)\b(can)(not)\b", r" \1 \2 "),
    (r"(?i)\b(d)('ye)\b", r" \1 \2 "),
    (r"(?i)\b(gim)(me)\b", r" \1 \2 "),
    (r"(?i)\b(gon)(na)\b", r" \1 \2 "),
    (r"(?i)\b(got)(ta)\b", r" \1 \2 "),
    (r"(?i)\b(lem)(me)\b", r" \1 \2 "),
    (r"(?i)\b(mor)('n)\b", r" \1 \2 "),
    (r"(?i)\b(wan)(na) ", r" \1 \2 "),
    (r"(?i) ('t)(is)\b", r" \1 \2 "),
    (r"(?i) ('t)(was)\b", r" \1 \2 "),
)


def tokens(text: str) -> list[str]:
    """Returns the tokens of a text: split into sentences twice, as the original did, and those into words."""
    sentences = [part for sentence in punkt.sent_tokenize(text) for part in punkt.sent_tokenize(sentence)]
    return [word for sentence in sentences for word in _words(sentence)]


def _words(sentence: str) -> list[str]:
    for pattern, replacement in RULES:
        sentence = re.sub(pattern, replacement, sentence)
    return sentence.split()
