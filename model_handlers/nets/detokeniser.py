"""Makes a passage readable: the inverse of the Penn Treebank tokeniser, with capitals where sentences start.

Each decision depends on the tokens so far, so a text that is readable already stays as it is. Quotes and apostrophes
come out straight, dashes as em dashes without spaces. Letters and digits are never dropped, added or moved; only their
case may change.
"""

import re
from itertools import pairwise

_SUFFIX = re.compile(r"(?:n't|'(?:s|m|d|re|ve|ll))(?!\w)", re.IGNORECASE)
_PAIRS = frozenset(
    ["can not", "d 'ye", "gim me", "gon na", "got ta", "lem me", "mor 'n", "wan na", "'t is", "'t was"],
)
_OPENING = frozenset("([{<")
_CLOSING = frozenset(")]}>")
_STOPS = frozenset([",", ";", ":", ".", "..", "...", "…", "?", "!", "?!", "!!"])
_ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "st", "prof", "rev", "sgt", "capt", "col", "gen", "lt", "jr", "sr", "vs"]
)
_BRACKETS = {"-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "-lcb-": "{", "-rcb-": "}"}
_STRAIGHT = str.maketrans({"“": " `` ", "”": " '' ", "„": " `` ", "‘": "'", "’": "'", "—": " -- ", "`": "'"})
_ENDED = re.compile(r"([.?!…]+)([\"')\]}>]*)$")
_LAST_WORD = re.compile(r"([\w.]*\w)\.[\"')\]}>]*$")
_INITIALS = re.compile(r"\w(?:\.\w)+")
_LONE_I = re.compile(r"""^("?)i(?=$|'(?:m|d|ll|ve|re|s)\b|[,;:?!"])""")
_DASHES = re.compile(r"-{2,}")
_DOTS = re.compile(r"(?<!\S)\.(?:\s+\.){2,}(?!\S)")


def detokenise(passage: str) -> str:
    """Returns the story: `passage` with its tokens joined, quoted and capitalised as a reader expects.

    Args:
        passage: decoded tokens joined by spaces, of a cased or a lower-case vocabulary.
    """
    writer = _Writer(cased=any(letter.isupper() for letter in re.sub(r"\b(?:I|UNK)\b", "", passage)))
    tokens = _split(passage)
    for token, after in pairwise([*tokens, ""]):
        writer.write(token, after)
    return writer.finish()


def _split(passage: str) -> list[str]:
    """Returns the tokens with the several spellings of quotes, dashes and brackets made one."""
    text = passage.replace("``", " “ ").replace("''", " ” ").translate(_STRAIGHT)
    text = _DASHES.sub(" -- ", text)
    text = _DOTS.sub("...", text)
    return [_BRACKETS.get(token.lower(), token) for token in text.split()]


class _Writer:
    """The story so far, and what is open in it."""

    def __init__(self, cased: bool) -> None:
        self.text = ""
        self.cased = cased
        self.tight = True  # the next token follows without a space
        self.quoted = False
        self.single = False
        self.previous = ""

    def write(self, token: str, after: str) -> None:
        """Adds one token; `after` is the next one, empty at the end."""
        if not self.quoted and token in ("``", '"'):
            self._open_quote()
        elif token == "``" and after and after not in _STOPS:
            self._close_quote()
            self._open_quote()
        elif token in ("``", "''", '"'):
            self._close_quote()
        elif token == "--":
            self._append("—", left=True, right=True)
        elif token == "'":
            self._apostrophe(after)
        elif token in _STOPS:
            self._stop(token)
        elif token in _CLOSING or (token == "%" and self.text[-1:].isdigit()):
            self._append(token, left=True)
        elif token in _OPENING or _is_sign(token, after):
            self._append(token, right=True)
        else:
            self._word(token, after)
        self.previous = token

    def finish(self) -> str:
        """Returns the story with a quote that is still open closed."""
        if self.quoted:
            self._close_quote()
        return self.text.strip()

    def _append(self, token: str, left: bool = False, right: bool = False) -> None:
        """Adds `token`, without a space on its left and right where asked."""
        joined = left or self.tight or not self.text
        joined = joined and not (self.text.endswith("'") and token.startswith("'"))
        self.text += token if joined else f" {token}"
        self.tight = right

    def _open_quote(self) -> None:
        self._append('"', right=True)
        self.quoted = True

    def _close_quote(self) -> None:
        """Closes the open quote. An empty one goes, and so does a mark that closes nothing, if it is not in inches."""
        if self.quoted and self.text.endswith('"') and self.tight:
            self.text = self.text[:-1].rstrip()
            self.tight = not self.text or self.text[-1] in "([{<—"
        elif self.quoted or self.text[-1:].isdigit():
            self._append('"', left=True)
        self.quoted = False

    def _apostrophe(self, after: str) -> None:
        """Adds a lone apostrophe: it closes a single quote or a plural (`dogs '`), or else opens a single quote."""
        ends = self.single or self.text[-1:].isalnum() or self.previous.startswith("'") or not after
        self._append("'", left=ends and not self.tight, right=not ends or self.tight)
        self.single = not ends

    def _stop(self, token: str) -> None:
        """Adds a punctuation mark to the word before it; a mark that says the same again is left out."""
        again = self.text[-1:] == token and token in ",;:." and not self.tight
        ellipsis = token in ("..", "...", "…")
        starts = ellipsis and (not self.text or self.tight)
        if not again:
            self._append(token, left=True, right=starts)

    def _word(self, token: str, after: str) -> None:
        lower = token.lower()
        glued = f"{self.previous} {token}".lower() in _PAIRS and not (lower == "not" and after.lower() == "only")
        glued = glued and self.text.lower().endswith(self.previous.lower())
        suffix = _SUFFIX.match(token) is not None and self.text[-1:].isalnum()
        if not glued and not suffix:
            token = _LONE_I.sub(r"\1I", token) if self.previous not in _OPENING else token
            token = self._capitalised(token)
            self.single = (self.single or token.startswith("'")) and not token.endswith("'")
        self._append(token, left=glued or suffix)
        for place, char in enumerate(token):
            inches = not self.quoted and token[place - 1 : place].isdigit()
            if char == '"' and not inches:
                self.quoted = not self.quoted

    def _capitalised(self, token: str) -> str:
        """Returns `token` with a capital if a sentence starts here; a word with capitals of its own stays."""
        bare = token.lstrip("\"'([{<")
        if not bare[:1].islower() or any(char.isupper() for char in bare) or _SUFFIX.match(token.lstrip('"([{<')):
            return token
        space = "" if self.tight or not self.text else " "
        marks = token[: len(token) - len(bare)]
        if not _starts_sentence(self.text + space + marks, self.cased) or len(bare[0].upper()) != 1:
            return token
        return marks + bare[0].upper() + bare[1:]


def _is_sign(token: str, after: str) -> bool:
    """Returns whether `token` stands before what it belongs to: `$ 5`, `# 1`, `@ home`."""
    return (token in ("$", "£", "€", "#") and after[:1].isdigit()) or (token == "@" and after[:1].isalpha())


def _starts_sentence(before: str, cased: bool) -> bool:
    """Returns whether a sentence starts after the text `before`, which ends in a space or in what opens the sentence.

    Speech that starts after a comma or a colon counts where the vocabulary has no capitals of its own.
    """
    head = before.rstrip("\"'([{<")
    opens_speech = '"' in before[len(head) :]
    head = head.rstrip()
    if not any(char.isalnum() for char in head) and not head.endswith("@"):
        return not head.endswith(("..", "…"))
    ended = _ENDED.search(head)
    if ended is None:
        return opens_speech and not cased and head.endswith((",", ":"))
    marks, closers = ended.groups()
    if marks.endswith(("..", "…")):
        return False
    if '"' in closers and not opens_speech:
        return marks.endswith(".")
    word = _LAST_WORD.search(head)
    return word is None or not _is_abbreviation(word.group(1))


def _is_abbreviation(word: str) -> bool:
    if word.lower() in _ABBREVIATIONS or _INITIALS.fullmatch(word):
        return True
    return len(word) == 1 and word.isalpha() and word not in "Ii"
