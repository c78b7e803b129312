"""The word tokeniser of the 2015 programs: NLTK 3.1's Punkt sentence splitter and Penn Treebank rules.

Today's tokenisers split differently where it matters (`bowl..`, a closing `''` after a space, curly quotes), and a word
that is split differently is an unknown word. Both steps therefore follow SPEC section 7 to the letter: the model of
Punkt and its classification of periods come from the `punkt` package, the search for places to classify is NLTK 3.1's
(the package improves on it: it reads `. . .` as one mark, for example).

Like Python 2, this module distinguishes byte strings from text: for `bytes` a letter outside ASCII has no case and is
in no list of abbreviations, and only ASCII white space separates words. Tokens of `bytes` come out as latin-1 text.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import punkt

_RULES = punkt.LanguageVars(non_word_chars=")\";}]*:@'({[")
_CANDIDATE = re.compile(r"[.?!](?=[?!)\";}\]*:@'({\[]|\s+\S)")
_INSIDE = re.compile(r"[.?!](?=[?!)\";}\]*:@'({\[])")
_CLOSING = re.compile(r"[\"')\]}]+?(?:\s+|(?=--)|$)", re.MULTILINE)
_ENDS = (".", "?", "!")
_REMEMBERED = 80


def _caseless(code: int) -> str:
    """Returns the stand-in for a byte above 127 while sentences are split: a letter that is in no list, or itself."""
    char = chr(code)
    return "\u01bb" if char.isalnum() else char


_CASELESS = {code: _caseless(code) for code in range(128, 256)}


def _rule(needle: str, pattern: str, replacement: str) -> tuple[str, re.Pattern[str], str]:
    return needle, re.compile(pattern, re.ASCII), replacement


# SPEC section 7, rules 1-12 and 14-19 in their order; a rule is skipped if the text lacks its characters.
_BEFORE_PADDING = (
    _rule('"', r'^"', "``"),
    _rule("``", r"``", " `` "),
    _rule('"', r'([ (\[{<])"', r"\1 `` "),
    _rule("", r"([:,])(\D)", r" \1 \2"),
    _rule("", r"([:,])$", r" \1 "),
    _rule("...", r"\.\.\.", " ... "),
    _rule("", r"([;@#$%&])", r" \1 "),
    _rule(".", r"([^.])(\.)([\])}>\"']*)\s*$", r"\1 \2\3 "),
    _rule("", r"([?!])", r" \1 "),
    _rule("' ", r"([^'])' ", r"\1 ' "),
    _rule("", r"([\]\[(){}<>])", r" \1 "),
    _rule("--", r"--", " -- "),
)
_AFTER_PADDING = (
    _rule('"', r'"', " '' "),
    _rule("''", r"(\S)''", r"\1 '' "),
    _rule("'", r"([^' ])('[sS]|'[mM]|'[dD]|') ", r"\1 \2 "),
    _rule("'", r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r"\1 \2 "),
    _rule("", r"(?i)\b(can)(not)\b", r" \1 \2 "),
    _rule("'", r"(?i)\b(d)('ye)\b", r" \1 \2 "),
    _rule("", r"(?i)\b(gim)(me)\b", r" \1 \2 "),
    _rule("", r"(?i)\b(gon)(na)\b", r" \1 \2 "),
    _rule("", r"(?i)\b(got)(ta)\b", r" \1 \2 "),
    _rule("", r"(?i)\b(lem)(me)\b", r" \1 \2 "),
    _rule("'", r"(?i)\b(mor)('n)\b", r" \1 \2 "),
    _rule("", r"(?i)\b(wan)(na) ", r" \1 \2 "),
    _rule("'", r"(?i) ('t)(is)\b", r" \1 \2 "),
    _rule("'", r"(?i) ('t)(was)\b", r" \1 \2 "),
)


def tokenise(text: str | bytes) -> list[str]:
    """Returns the tokens that the original's skip-thought encoder looks up; those of `bytes` as latin-1 text."""
    if isinstance(text, bytes):
        return [token for sentence in _sentence_tokens(text.decode("latin-1"), True) for token in sentence]
    return [token for sentence in _sentence_tokens(text, False) for token in sentence]


def preprocess(text: str | bytes) -> str:
    """Returns the tokens of `text`, each after a space: NLTK 3.1's output as the original joins it (SPEC section 7)."""
    is_bytes = isinstance(text, bytes)
    plain = text.decode("latin-1") if isinstance(text, bytes) else text
    return "".join(" " + " ".join(tokens) for tokens in _sentence_tokens(plain, is_bytes))


def _sentence_tokens(text: str, is_bytes: bool) -> Iterator[list[str]]:
    """Yields the tokens of each sentence; the original's `word_tokenize` splits each sentence once more."""
    for sentence in _sentences(text, is_bytes):
        yield [token for part in _sentences(sentence, is_bytes) for token in _words(part, is_bytes)]


def _words(sentence: str, is_bytes: bool) -> list[str]:
    """Returns the tokens of one sentence by the Treebank rules (SPEC section 7, rules 1-20)."""
    for needle, pattern, replacement in _BEFORE_PADDING:
        if needle in sentence:
            sentence = pattern.sub(replacement, sentence)
    sentence = f" {sentence} "
    for needle, pattern, replacement in _AFTER_PADDING:
        if needle in sentence:
            sentence = pattern.sub(replacement, sentence)
    if is_bytes:
        return [token.decode("latin-1") for token in sentence.encode("latin-1").split()]
    return sentence.split()


def _sentences(text: str, is_bytes: bool) -> list[str]:
    """Returns the sentences of `text`; a text without any possible sentence end is one sentence."""
    if not _CANDIDATE.search(text):
        return [text] if text else []
    shown = text.translate(_CASELESS) if is_bytes else text
    return [text[start:stop] for start, stop in _realigned(shown, _breaks(shown)) if start < stop]


def _breaks(text: str) -> list[tuple[int, int]]:
    """Returns the spans between sentence breaks, before closing quotes and brackets move back.

    Each run of non-space characters holds at most one place to classify, its last: a mark before white space and
    another word, or before a character that no word may hold.
    """
    spans, first = [], 0
    runs = [match.span() for match in re.finditer(r"\S+", text)]
    following = [*runs[1:], None]
    for (start, stop), after in zip(runs, following, strict=True):
        run = text[start:stop]
        if not any(mark in run for mark in _ENDS):
            continue
        if after is not None and run.endswith(_ENDS):
            end, context, next_first = stop, text[start : after[1]], after[0]
        else:
            inside = [match.end() for match in _INSIDE.finditer(run)]
            if not inside:
                continue
            end = next_first = start + inside[-1]
            context = text[start : end + 1]
        if _decide(context) if len(context) < _REMEMBERED else _ends_sentence(context):
            spans.append((first, end))
            first = next_first
    return [*spans, (first, len(text))]


@lru_cache(maxsize=1)
def _model() -> tuple[punkt.PunktWordTokenizer, punkt.PunktParameters]:
    return punkt.PunktWordTokenizer(_RULES), punkt.load_model("english")


def _ends_sentence(context: str) -> bool:
    """Returns whether a sentence ends before the last token of `context`, by Punkt's English model."""
    words, parameters = _model()
    tokens = list(punkt.annotate_tokens(words.tokenize_annotated(context), parameters, _RULES))
    return any(token.sentbreak for token in tokens[:-1])


_decide = lru_cache(maxsize=1 << 16)(_ends_sentence)


def _realigned(text: str, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yields `spans` with the quotes and brackets that close a sentence moved from the start of the next one to it."""
    moved = 0
    for place, (start, stop) in enumerate(spans):
        start += moved
        moved = 0
        if place + 1 < len(spans):
            after, after_stop = spans[place + 1]
            closing = _CLOSING.match(text[after:after_stop])
            if closing:
                moved = closing.end()
                stop = after + len(closing.group().rstrip())
        yield start, stop
