"""A pack's sentence encoder with one of its decoders, to measure the decoder on vectors of known texts."""

from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from configs.schema import ConfigError
from model_handlers.families.entry import of_family
from model_handlers.families.gru_decoder import GruDecoderEntry
from model_handlers.families.protocols import SentenceEncoder
from model_handlers.handler import Placement
from model_handlers.nets.tokeniser import tokenise
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.sentences import SentenceHandler
from pipelines.evaluation.task import open_for


@dataclass(frozen=True)
class Decoding:
    """An opened pack and the decoder to measure.

    Attributes:
        pack: opened model pack.
        placement: where the networks run.
        decoder: name of the decoder.
        lower: whether texts are put in lower case, because the decoder knows no word with a capital letter.
    """

    pack: Pack
    placement: Placement
    decoder: str
    lower: bool

    @property
    def case(self) -> str:
        """Case of the texts that the decoder gets: `lower` or `kept`."""
        return "lower" if self.lower else "kept"

    def tokens(self, text: str) -> list[str]:
        """Returns a text's tokens in the decoder's case."""
        return [token.lower() if self.lower else token for token in tokenise(text)]

    def encoder(self) -> SentenceEncoder:
        """Returns the pack's sentence encoder, loaded as in the main job."""
        return SentenceHandler(self.placement).load_model().get()


def open_decoding(flags: Namespace) -> Decoding:
    """Returns the pack that `--pack` names with the decoder that `--decoder` names.

    Raises:
        ConfigError: the pack lacks one of the two networks, or they do not fit each other.
    """
    pack, placement = open_for(flags, ("sentence_encoder", "decoders"))
    name = flags.decoder or pack.default_decoder
    try:
        entry = of_family(pack.decoder(name), GruDecoderEntry, pack.location, "this task")
    except PackError as error:
        raise ConfigError([f"--decoder {problem}" for problem in error.problems]) from error
    width, wanted = pack.sentence_encoder.width, entry.width
    if width != wanted:
        raise ConfigError([f"--decoder {name}: wants vectors {wanted} wide, the sentence encoder's are {width}"])
    return Decoding(pack, placement, name, all_lower(pack.json(entry.vocabulary), entry.n_words))


def all_lower(pairs: Iterable[Sequence[object]], n_words: int) -> bool:
    """Returns whether the decoder knows only words without capital letters, given pairs of word and id."""
    return all(str(word) == str(word).lower() for word, number in pairs if 2 <= int(str(number)) < n_words)
