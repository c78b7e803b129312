"""A folder of original files becomes the components of a model pack, as far as the files exist (SPEC section 12)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from model_handlers.families.entry import of_family
from model_handlers.families.gru_decoder import GruDecoderEntry
from model_handlers.families.protocols import CaptionsEntry
from model_handlers.families.skip_thoughts_encoder import SkipThoughtsEntry
from model_handlers.families.vgg19 import Vgg19Entry
from model_handlers.families.word_joint_embedding import WordJointEmbeddingEntry
from model_handlers.pack_writer import PackWriter
from pipelines.originals.arrays import Npz, read_npy
from pipelines.originals.dictionaries import Pairs, read_captions, read_dictionary, read_table_words
from pipelines.originals.import_report import ImportReport
from pipelines.originals.network_arrays import Network, SkipSizes, read_decoder, read_joint_embedding, read_skip
from pipelines.originals.published import is_published
from pipelines.originals.vgg_files import READERS, read_vgg
from pipelines.originals.word_tables import convert_table

VGG_PICKLE = "vgg19.pkl"
JOINT = "coco_embedding.npz"
JOINT_DICTIONARY = "coco_embedding.npz.dictionary.pkl"
CAPTIONS = "coco_train_caps.txt"
TABLE_WORDS = "dictionary.txt"
SOURCE_STYLE = "caption_style.npy"
STYLE_ENDING = "_style.npy"
NO_DECODERS = frozenset([JOINT, "uni_skip.npz", "bi_skip.npz"])


class OriginalsFolder:
    """The original files in a folder and in the folders right below it, by name.

    Args:
        source: the folder.
        writer: receives the components.
        report: receives remarks, missing files and problems.
    """

    def __init__(self, source: Path, writer: PackWriter, report: ImportReport) -> None:
        self.writer = writer
        self.report = report
        self.files: dict[str, Path] = {}
        for path in [*sorted(source.glob("*")), *sorted(source.glob("*/*"))]:
            if not path.is_file() or path.name.startswith("."):
                continue
            if path.name in self.files:
                report.note(f"{path.relative_to(source)}: not used, {self.files[path.name].relative_to(source)} is")
            self.files.setdefault(path.name, path)
        self.used: set[str] = set()

    def convert(self) -> None:
        """Writes every component that can be made, and then compares their sizes with each other."""
        self.convert_joint_embedding()
        self.convert_captions()
        self.convert_decoders()
        self.convert_styles()
        self.convert_vgg()
        self.convert_sentence_encoder()
        self.check_sizes()

    def find(self, name: str, without: str) -> Path | None:
        """Returns a file, or None after reporting what does not work without it."""
        if name in self.files:
            self.used.add(name)
            return self.files[name]
        self.report.lack(f"{name}: {without}")
        return None

    def ending(self, *endings: str) -> list[str]:
        """Returns the names of the files with an ending, in order."""
        return sorted(name for name in self.files if name.endswith(endings))

    def convert_vgg(self) -> None:
        """Writes the features component from the first form of VGG-19 that exists."""
        names = [name for name in [VGG_PICKLE] if name in self.files] + self.ending(".caffemodel") + self.ending(".pth")
        if not names:
            forms = "VGG_ILSVRC_19_layers.caffemodel, or a .pth of the same weights"
            self.report.lack(f"{VGG_PICKLE} (or {forms}): the pack cannot read photos, only ready-made feature vectors")
            return
        chosen, *others = names
        for name in others:
            self.report.note(f"{name}: not used, {chosen} comes first of {', '.join(READERS)}")
        self.used.add(chosen)
        vgg = self.report.attempt(read_vgg, self.files[chosen], self.report.note)
        if vgg is None:
            return
        weights = self.writer.add_tensors("features.safetensors", vgg.state)
        entry = Vgg19Entry(
            family="vgg19", width=vgg.width, widths=vgg.widths, hidden=vgg.hidden, weights=weights,
            preprocessing={"name": "original"},
        )  # fmt: skip
        self.writer.put("features", entry)
        self.report.say(f"{chosen}: VGG-19, feature vectors of {vgg.width}")

    def convert_joint_embedding(self) -> None:
        """Writes the joint embedding component."""
        lost = "photos and captions have no common space, so captions cannot be retrieved"
        weights, options = self.find(JOINT, lost), self.find(f"{JOINT}.pkl", lost)
        dictionary = self.find(JOINT_DICTIONARY, lost)
        pairs = None if dictionary is None else self.report.attempt(read_dictionary, dictionary)
        if weights is None or options is None:
            return
        network = self.report.attempt(read_joint_embedding, weights, options, self.report.note)
        if network is None or pairs is None:
            return
        entry = WordJointEmbeddingEntry(
            **network.sizes,
            weights=self.writer.add_tensors("joint_embedding.safetensors", network.state),
            vocabulary=self.writer.add_json("joint_embedding.words.json", pairs),
            lower=False,
            tokenise=False,
        )
        self.writer.put("joint_embedding", entry)
        self.report.say(f"{JOINT}: joint embedding of {network.sizes['dim']}, {len(pairs)} words")

    def convert_captions(self) -> None:
        """Writes the caption bank."""
        path = self.find(CAPTIONS, "the pack has no captions to retrieve; index your own with pipelines.index_captions")
        captions = None if path is None else self.report.attempt(read_captions, path)
        if captions is not None:
            self.writer.put("captions", CaptionsEntry(texts=self.writer.add_lines("captions.txt", captions)))
            self.report.say(f"{CAPTIONS}: {len(captions)} captions")

    def convert_decoders(self) -> None:
        """Writes every story decoder: each `.npz` file with an array `ff_state_W`."""
        names = [name for name in self.ending(".npz") if name not in NO_DECODERS]
        found = 0
        for name in names:
            content = self.report.attempt(Npz, self.files[name], self.report.note)
            if content is not None and "ff_state_W" in content:
                found += 1
                self.used.add(name)
                self._convert_decoder(name)
        if not names or not found:
            self.report.lack("romance.npz (or another story decoder): the pack cannot write stories")

    def _convert_decoder(self, name: str) -> None:
        lost = f"the decoder {name} is left out"
        options = self.find(f"{name}.pkl", lost)
        network = (
            None if options is None else self.report.attempt(read_decoder, self.files[name], options, self.report.note)
        )
        pairs = self._decoder_words(name, lost)
        if network is None or pairs is None:
            return
        stem = name.removesuffix(".npz")
        entry = GruDecoderEntry(
            family="gru",
            **network.sizes,
            weights=self.writer.add_tensors(f"decoders/{stem}.safetensors", network.state),
            vocabulary=self.writer.add_json(f"decoders/{stem}.words.json", pairs),
        )
        self.writer.put_decoder(stem, entry)
        self.report.say(f"{name}: story decoder {stem}, {network.sizes['n_words']} words, state {network.sizes['dim']}")

    def _decoder_words(self, name: str, lost: str) -> Pairs | None:
        """Returns a decoder's words: from the dictionary of its name, or from the only dictionary of a decoder."""
        own = [name.replace(".npz", "_dictionary.pkl"), f"{name}.dictionary.pkl"]
        others = [other for other in self.ending("_dictionary.pkl", ".npz.dictionary.pkl") if other != JOINT_DICTIONARY]
        chosen = next((candidate for candidate in own if candidate in self.files), None)
        if chosen is None and len(others) > 1:
            self.report.problem(
                f"{name}: which of {', '.join(others)} has its words? Copy the right one to {own[0]} beside it"
            )
            return None
        if chosen is None and others:
            chosen = others[0]
            self.report.note(f"{name}: takes its words from {chosen}, the only dictionary of a decoder")
        path = self.find(chosen or own[0], lost)
        return None if path is None else self.report.attempt(read_dictionary, path)

    def convert_styles(self) -> None:
        """Writes the styles: `X_style.npy` is style X, `caption_style.npy` the source style."""
        names = self.ending(STYLE_ENDING)
        if SOURCE_STYLE not in names:
            self.report.lack(f"{SOURCE_STYLE}: the style of captions, without which no style shift can be made")
        if not set(names) - {SOURCE_STYLE}:
            self.report.lack("romance_style.npy (or another style): make one with pipelines.fit_style")
        for name in names:
            vector = self.report.attempt(read_npy, self.files[name], self.report.note)
            if vector is None:
                continue
            self.used.add(name)
            if vector.size == 0 or vector.size != max(vector.shape, default=0):
                self.report.problem(f"{name}: has shape {vector.shape}, not one vector; download or copy it again")
            elif name == SOURCE_STYLE:
                self.writer.components["source_style"] = self.writer.add_array("source_style.npy", vector.ravel())
            else:
                style = name.removesuffix(STYLE_ENDING)
                file = self.writer.add_array(f"styles/{style}.npy", vector.ravel())
                self.writer.components.setdefault("styles", {})[style] = file
            self.report.say(f"{name}: style vector of {vector.size}")

    def convert_sentence_encoder(self) -> None:
        """Writes the skip-thought encoder: the uni part, the bi part, or both, with the tables of their words."""
        words_file = self.find(
            TABLE_WORDS, "sentences cannot be encoded, so stories only start from ready-made vectors"
        )
        words = None if words_file is None else self.report.attempt(read_table_words, words_file)
        parts: dict[str, Network[SkipSizes]] = {}
        tables: dict[str, str] = {}
        for part in ("uni", "bi"):
            network, table = self._convert_part(part, words)
            if network is not None and table is not None:
                parts[part], tables[f"{part}_table"] = network, table
        word_widths = {network.sizes["dim_word"] for network in parts.values()}
        if len(word_widths) > 1:
            self.report.problem("uni_skip.npz and bi_skip.npz: read word vectors of different widths; get both again")
        if not parts or words is None:
            return
        state = {name: tensor for network in parts.values() for name, tensor in network.state.items()}
        sizes = {part: parts[part].sizes["dim"] if part in parts else 0 for part in ("uni", "bi")}
        files = {
            "weights": self.writer.add_tensors("sentence_encoder.safetensors", state),
            "words": self.writer.add_json("sentence_encoder.words.json", words),
        }
        kind = {"family": "skip_thoughts", "texts": "bytes", "lower": False, "dim_word": max(word_widths)}
        entry = SkipThoughtsEntry.model_validate(kind | sizes | files | tables)
        self.writer.put("sentence_encoder", entry)
        self.report.say(f"skip-thoughts: sentence vectors of {entry.width}, {len(words)} words")

    def _convert_part(self, part: str, words: list[str] | None) -> tuple[Network[SkipSizes] | None, str | None]:
        """Returns one part of the encoder and its word table's file, None if either is missing."""
        lost = f"the {part} part of the sentence encoder is left out"
        weights, options = self.find(f"{part}_skip.npz", lost), self.find(f"{part}_skip.npz.pkl", lost)
        network = None
        if weights is not None and options is not None:
            network = self.report.attempt(read_skip, weights, options, part, self.report.note)
        source = self.find(f"{part[0]}table.npy", lost)
        if source is None:
            return network, None
        file = f"{part}_table.npy"
        reserve = partial(self._reserve, file)
        width = None if network is None else network.sizes["dim_word"]
        count = None if words is None else len(words)
        rows = self.report.attempt(convert_table, source, count, width, reserve, self.report.note)
        if rows is not None:
            self.report.say(f"{source.name}: {rows} word vectors")
        return network, None if rows is None else file

    def _reserve(self, file: str, shape: tuple[int, int]) -> np.memmap:
        return self.writer.reserve_array(file, shape, "<f4")

    def check_sizes(self) -> None:
        """Keeps a problem for every two components whose sizes do not fit each other."""
        made = self.writer
        if {"joint_embedding", "features"} <= made.components.keys():
            wanted, width = made.joint_embedding.feature_width, made.features.width
            if wanted != width:
                self.report.problem(
                    f"{JOINT}: reads feature vectors of {wanted}, VGG-19 here gives {width}; get both from one place"
                )
        widths = {f"{name}.npz": made.decoder(name).width for name in made.decoders}
        widths |= {f"{style}{STYLE_ENDING}": self._length(file) for style, file in made.styles.items()}
        if "source_style" in made.components:
            widths[SOURCE_STYLE] = self._length(made.source_style)
        if "sentence_encoder" in made.components:
            encoder = of_family(made.sentence_encoder, SkipThoughtsEntry, made.location, "the import")
            self._check_widths(widths, encoder.width, bool(encoder.uni and encoder.bi))
        elif len(set(widths.values())) > 1:
            shown = ", ".join(f"{name} {width}" for name, width in widths.items())
            self.report.problem(f"decoders and styles of different widths: {shown}; keep those that belong together")

    def _check_widths(self, widths: dict[str, int], encoder: int, whole: bool) -> None:
        report: Callable[[str], None] = self.report.problem if whole else self.report.note
        for name, width in widths.items():
            if width != encoder:
                report(f"{name}: made for sentence vectors of {width}, the sentence encoder gives {encoder}")

    def _length(self, file: str) -> int:
        return read_npy(self.writer.root / file, self.report.note).size

    def check_published(self, only: bool) -> None:
        """Compares every used file of a published name with what was published; a difference is a problem if `only`."""
        for name in sorted(self.used):
            published = self.report.attempt(is_published, self.files[name])
            if published is None:
                continue
            self.report.published[name] = published
            if not published and only:
                self.report.problem(f"{name}: is not the published file; get that, or leave out --published-only")
            elif not published:
                self.report.note(f"{name}: warning, has a published name but is another file")
