"""The algorithm of 2015 in plain torch, with which the program's speed and results are compared.

One photo at a time, everything sorted in full, sequences in lists, captions embedded at every start. It shares no code
with the program beyond reading the weights of a model pack.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from torch import Tensor

from benchmarks.original_words import tokens
from model_handlers.pack import Pack

Sequences = list[tuple[list[int], float]]
"""Word ids with their summed negative log likelihood."""

FORBIDDEN = 1e20
BATCH = 128


class Gru:
    """The gated recurrent unit of all three networks: reset and update side by side, the candidate apart.

    Args:
        weights: of a network, in torch's arrangement.
        prefix: of the unit's names among them.
        suffix: likewise.
    """

    def __init__(self, weights: Mapping[str, Tensor], prefix: str, suffix: str = "_l0") -> None:
        inputs, states = (weights[f"{prefix}.weight_{kind}{suffix}"].T for kind in ("ih", "hh"))  # [W, 3H], [H, 3H]
        bias, state_bias = (weights[f"{prefix}.bias_{kind}{suffix}"] for kind in ("ih", "hh"))  # [3H], [3H]
        self.dim = len(states)
        gates = 2 * self.dim
        self.w, self.wx = inputs[:, :gates].contiguous(), inputs[:, gates:].contiguous()  # [W, 2H], [W, H]
        self.u, self.ux = states[:, :gates].contiguous(), states[:, gates:].contiguous()  # [H, 2H], [H, H]
        self.b, self.bx = bias[:gates] + state_bias[:gates], bias[gates:]  # [2H], [H]
        self.bux = state_bias[gates:]  # [H], zeros in the original's files

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what words `[..., W]` add to the gates `[..., 2H]` and to the candidate `[..., H]`."""
        return x @ self.w + self.b, x @ self.wx + self.bx

    def step(self, gates: Tensor, candidate: Tensor, h: Tensor) -> Tensor:
        """Returns the new states `[N, H]`."""
        reset, update = torch.sigmoid(h @ self.u + gates).split(self.dim, dim=1)  # [N, H], [N, H]
        fresh = torch.tanh(reset * (h @ self.ux + self.bux) + candidate)  # [N, H]
        return update * h + (1 - update) * fresh  # [N, H]

    def last(self, x: Tensor) -> Tensor:
        """Returns the states `[N, H]` after sequences of one length `[T, N, W]`."""
        h = torch.zeros(x.shape[1], self.dim)  # [N, H]
        for gates, candidate in zip(*self.project(x), strict=True):
            h = self.step(gates, candidate, h)  # [N, H]
        return h


def unit(rows: Tensor) -> Tensor:
    """Returns rows `[N, D]` of length 1."""
    return rows / rows.norm(dim=1, keepdim=True)


def by_length(rows: Sequence[list[int]], encode: Callable[[Tensor], Tensor], width: int) -> Tensor:
    """Returns `[N, width]` from sequences of ids, encoded in batches of one length `[T, n]` and never padded."""
    places = defaultdict(list)
    for place, row in enumerate(rows):
        places[len(row)].append(place)
    found = torch.empty(len(rows), width)  # [N, width]
    for alike in places.values():
        batches = len(alike) // BATCH + 1
        for batch in (alike[first::batches] for first in range(batches)):
            if batch:
                found[batch] = encode(torch.tensor([rows[place] for place in batch]).T)  # [n, width]
    return found


class Eyes:
    """Feature vectors, one photo at a time; the network and its preprocessing are the pack's."""

    def __init__(self, pack: Pack) -> None:
        entry = pack.features
        self.recipe = entry.preprocessing
        self.net = timm.create_model(entry.family.removeprefix("timm:"), num_classes=0).eval()
        self.net.load_state_dict(pack.tensors(entry.weights))

    def see(self, path: Path) -> Tensor:
        """Returns a photo's feature vector `[F]`."""
        recipe, image = self.recipe, ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        short, crop = min(image.size), recipe["crop"]
        starts, ends = [], []
        for side in image.size:  # the crop's edges, in the photo's own pixels
            resized = recipe["resize"] * side // short
            edge = round((resized - crop) / 2)
            starts.append(edge * side / resized)
            ends.append((edge + crop) * side / resized)
        small = image.resize((crop, crop), Image.Resampling.BICUBIC, (*starts, *ends))
        values = (np.asarray(small) - np.float32(recipe["mean"])) / np.float32(recipe["scale"])  # [crop, crop, 3]
        with torch.inference_mode():
            return self.net(torch.from_numpy(values.transpose(2, 0, 1)[None].copy()))[0]  # [F]


class Captions:
    """The joint embedding and the captions in it, all embedded at the start unless their embeddings are given.

    Args:
        pack: holds them.
        ready: take the pack's embeddings; the original had none.
    """

    def __init__(self, pack: Pack, ready: bool = False) -> None:
        entry = pack.joint_embedding
        weights = pack.tensors(entry.weights)
        self.words, self.encoder = weights["word_vectors.weight"], Gru(weights, "encoder")  # [V, W]
        self.w, self.b = weights["image_projection.weight"].T, weights["image_projection.bias"]  # [F, J], [J]
        self.ids = {word: number for word, number in pack.json(entry.vocabulary) if number < entry.n_words}
        self.lower, self.tokenise = entry.lower, entry.tokenise
        files = pack.captions
        self.texts = [text for text in pack.lines(files.texts) if text.strip()]
        self.embeddings = torch.empty(0, len(self.b))  # [0, J]
        if ready:
            self.embeddings = torch.from_numpy(pack.array(files.embeddings))  # [K, J]

    def start(self) -> None:
        """Embeds all captions."""
        self.embeddings = self.embed(self.texts)  # [K, J]

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Returns embeddings `[K, J]` of captions."""
        rows = [self._ids(text) for text in texts]
        return unit(by_length(rows, lambda ids: self.encoder.last(self.words[ids]), self.encoder.dim))  # [K, J]

    def _ids(self, text: str) -> list[int]:
        words = tokens(text) if self.tokenise else text.split()
        return [self.ids.get(word.lower() if self.lower else word, 1) for word in words] + [0]

    @torch.inference_mode()
    def nearest(self, feature: Tensor, count: int) -> list[tuple[str, float]]:
        """Returns the captions nearest to one photo's feature vector `[F]`, best first, by sorting all."""
        photo = unit(unit(feature[None]) @ self.w + self.b)  # [1, J]
        scores = (photo @ self.embeddings.T)[0]  # [K]
        order = scores.argsort(descending=True)[:count]  # [k]
        return [(self.texts[place], score) for place, score in zip(order.tolist(), scores[order].tolist(), strict=True)]


class Sentences:
    """The skip-thought encoder of texts that are plain ASCII, or of a pack that takes them as Unicode."""

    def __init__(self, pack: Pack) -> None:
        entry = pack.sentence_encoder
        weights = pack.tensors(entry.weights)
        self.rows = {word: row for row, word in enumerate(pack.json(entry.words))}
        self.lower = entry.lower
        self.parts = []
        parts = ((entry.uni, "uni", entry.uni_table), (entry.bi, "bi_forward bi_reverse", entry.bi_table))
        for width, names, file in parts:
            if width:
                units = [Gru(weights, name) for name in names.split()]
                self.parts.append((torch.from_numpy(pack.array(file).astype(np.float32)), units))  # [words, W]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Returns sentence vectors `[N, S]`, the uni part and the bi part each of length 1."""
        unknown = self.rows["UNK"]
        words = [[word.lower() if self.lower else word for word in tokens(text)] for text in texts]
        rows = [[self.rows.get(word, unknown) for word in text] for text in words]
        width = sum(gru.dim for _, units in self.parts for gru in units)
        return by_length(rows, self._encode, width)  # [N, S]

    def _encode(self, ids: Tensor) -> Tensor:
        parts = []
        for table, units in self.parts:
            x = table[ids]  # [T, n, W]
            states = [gru.last(x.flip(0) if turn else x) for turn, gru in enumerate(units)]  # each [n, its width]
            parts.append(unit(torch.cat(states, dim=1)))  # [n, uni] or [n, 2bi]
        return torch.cat(parts, dim=1)  # [n, S]


class Decoder:
    """The story decoder and its beam search.

    Args:
        pack: holds it.
        name: of the decoder.
        kind: torch's type of all numbers.
    """

    def __init__(self, pack: Pack, name: str, kind: torch.dtype = torch.float32) -> None:
        entry = pack.decoder(name)
        weights = {name: tensor.to(kind) for name, tensor in pack.tensors(entry.weights).items()}
        pairs = {number: word for word, number in pack.json(entry.vocabulary) if number < entry.n_words}
        self.words: dict[int, str] = pairs | {0: "<eos>", 1: "UNK"}
        self.cell = Gru(weights, "cell", "")
        self.vectors = weights["word_vectors.weight"]  # [V, W]
        self.state_w, self.state_b = weights["state.weight"].T.contiguous(), weights["state.bias"]  # [S, H], [H]
        self.layers = [
            (weights[f"{layer}.weight"].T.contiguous(), weights[f"{layer}.bias"])  # [in, out], [out]
            for layer in ("hidden", "logits")
            if f"{layer}.weight" in weights
        ]

    def start(self, context: Tensor) -> Tensor:
        """Returns the first state `[H]` from a shifted sentence vector `[S]`."""
        return torch.tanh(context.to(self.state_w.dtype) @ self.state_w + self.state_b)  # [H]

    def step(self, words: list[int], states: Tensor) -> tuple[Tensor, Tensor]:
        """Returns probabilities `[R, V]` of the next words and new states `[R, H]`; the word -1 is the start."""
        ids = torch.tensor(words)  # [R]
        x = self.vectors[ids.clamp(min=0)] * (ids >= 0)[:, None]  # [R, W]
        states = self.cell.step(*self.cell.project(x), states)  # [R, H]
        out = states
        for weights, bias in self.layers[:-1]:
            out = torch.tanh(out @ weights + bias)  # [R, W]
        weights, bias = self.layers[-1]
        return torch.softmax(out @ weights + bias, dim=1), states

    @torch.inference_mode()
    def search(self, context: Tensor, width: int, most: int = 1000) -> Sequences:
        """Returns one photo's sequences in the order in which they ended; those alive after `most` steps come last."""
        finished: Sequences = []
        live: list[list[int]] = [[]]
        states, costs = [self.start(context)], [0.0]  # [H] each
        for _ in range(most):
            last = [words[-1] if words else -1 for words in live]
            p, stepped = self.step(last, torch.stack(states))  # [R, V], [R, H]
            candidates = torch.tensor(costs)[:, None] - p.log()  # [R, V]
            candidates[:, 1] = FORBIDDEN
            flat = candidates.flatten()  # [R * V]
            order = flat.argsort()[: width - len(finished)]  # [k]
            before, live, states, costs = live, [], [], []
            for place, cost in zip(order.tolist(), flat[order].tolist(), strict=True):
                parent, word = divmod(place, p.shape[1])
                if word == 0:
                    finished.append(([*before[parent], 0], cost))
                else:
                    live.append([*before[parent], word])
                    states.append(stepped[parent].clone())  # [H]
                    costs.append(cost)
            if not live or len(finished) >= width:
                break
        return finished + list(zip(live, costs, strict=True))

    @torch.inference_mode()
    def cost(self, context: Tensor, sequence: Sequence[int]) -> float:
        """Returns the summed negative log likelihood of a sequence of ids."""
        states, total, before = self.start(context)[None], 0.0, -1  # [1, H]
        for word in sequence:
            p, states = self.step([before], states)  # [1, V], [1, H]
            total -= p[0, word].log().item()
            before = word
        return total


def best(sequences: Sequences) -> tuple[list[int], float]:
    """Returns the sequence of least cost, the first of equals; one that ended at once, before all others, is dropped.

    Raises:
        ValueError: nothing is left.
    """
    if sequences and sequences[0][0] == [0]:
        sequences = sequences[1:]
    return min(sequences, key=lambda sequence: sequence[1])


def shifted(vectors: Tensor, source: np.ndarray, target: np.ndarray) -> Tensor:
    """Returns F(x) = x - c + b `[S]` of the mean x of sentence vectors `[K, S]`, summed one after the other."""
    total = vectors[0].clone()  # [S]
    for vector in vectors[1:]:
        total += vector
    return total / len(vectors) - torch.from_numpy(source) + torch.from_numpy(target)


class Storyteller:
    """The whole chain: a photo's file becomes a story, with the settings of 2015."""

    def __init__(self, pack: Pack, style: str, decoder: str, count: int = 100, width: int = 50) -> None:
        self.eyes, self.captions, self.sentences = Eyes(pack), Captions(pack), Sentences(pack)
        self.decoder, self.count, self.width = Decoder(pack, decoder), count, width
        self.source = pack.array(pack.source_style)  # [S]
        self.target = pack.array(pack.styles[style])  # [S]

    def tell(self, path: Path) -> tuple[list[tuple[str, float]], Tensor, list[int], float]:
        """Returns the captions with their similarities, the shifted vector `[S]`, the story's ids and its cost."""
        captions = self.captions.nearest(self.eyes.see(path), self.count)
        vectors = self.sentences.encode([text for text, _ in captions])  # [K, S]
        context = shifted(vectors, self.source, self.target)  # [S]
        words, cost = best(self.decoder.search(context, self.width))
        return captions, context, words, cost
