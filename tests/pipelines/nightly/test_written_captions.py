"""The main job with captions that the pack's caption writer writes: waves, one pipeline and a notebook."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import check_config
from model_handlers.caption_writer import WriterHandler
from model_handlers.handler import Placement
from model_handlers.nets.story_decoder import StoryDecoder
from model_handlers.pack import Pack
from model_handlers.pack_writer import PackWriter
from model_handlers.sentences import SentenceHandler
from pipelines import packs
from pipelines.nightly.main_job import new_run
from pipelines.nightly.remote import run_single
from pipelines.pack_tools.indexing import index_captions
from pipelines.telling.one_photo import load_all, tell
from pipelines.telling.settings import resolve
from pipelines.telling.steps import make_steps

SAMPLES = Path(__file__).parents[3] / "samples"
FLAGS = ("--captions-per-photo=8", "--beam-width=3", "--device=cpu")
MODES = ("retrieved", "written", "both")
Rows = list[dict[str, Any]]


def vectors(count: int) -> list[tuple[str, np.ndarray]]:
    draw = np.random.RandomState(4)
    return [(f"photo {place}", draw.rand(4096).astype("f4")) for place in range(count)]


@pytest.fixture(scope="module")
def pack(photo_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Returns the golden pack with features and a random caption writer, which knows a few of its captions' words."""
    joint = photo_pack.components["joint_embedding"]
    words = [word for word, _ in photo_pack.json(joint["vocabulary"])[:30]]
    sizes = {"dim_context": joint["dim"], "dim_word": 8, "dim": 12, "n_words": len(words) + 2, "deep_output": True}
    draw = torch.Generator().manual_seed(3)
    state = StoryDecoder(**sizes).state_dict()
    state = {name: torch.randn(value.shape, generator=draw) * 1.5 for name, value in state.items()}
    writer = PackWriter(str(tmp_path_factory.mktemp("packs") / "writing"), photo_pack)
    pairs = [[word, number] for number, word in enumerate(words, 2)]
    files = {"weights": writer.add_tensors("w.safetensors", state), "vocabulary": writer.add_json("w.json", pairs)}
    writer.components["caption_writer"] = {"family": "gru", **sizes, **files}
    return writer.finish()


@pytest.fixture(scope="module")
def ready_pack(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Returns the same pack with the sentence vectors of its caption bank."""
    output = str(tmp_path_factory.mktemp("packs") / "ready")
    index_captions(pack.location, output, sentence_vectors=True)
    return Pack.open(output)


@pytest.fixture
def told(run_job: Any, write_features: Any, output_at: Any, tmp_path: Path) -> Callable[..., Rows]:
    """Returns a function that runs the main job in waves over four photos and returns the story rows."""

    def run(pack: Pack, captions: str, *more: str) -> Rows:
        output = output_at(str(tmp_path / f"{Path(pack.location).name}-{captions}"))
        features = write_features(vectors(4))
        places = (f"--features={features}", f"--output={output.location}", f"--pack={pack.location}")
        assert run_job(*places, *FLAGS, "--wave-size=3", f"--captions={captions}", *more)[0] == 0
        assert output.manifests[-1]["settings"]["captions"] == captions
        return output.rows("stories")

    return run


def captions_of(row: dict[str, Any]) -> list[str]:
    return [match["caption"] for match in row["captions"]]


def test_rows_hold_retrieved_or_written_captions_or_both(pack: Pack, told: Any) -> None:
    rows = {mode: told(pack, mode) for mode in MODES}
    handlers = [WriterHandler(Placement(pack.location, pack.digest, "cpu"), 8, 5, both) for both in (False, True)]
    batch = [feature for _, feature in vectors(4)]
    expected = [handler.run_inference(batch, handler.load_model()) for handler in handlers]
    merged = False
    for retrieved, written, both, own, ranked in zip(*rows.values(), *expected, strict=True):
        assert captions_of(written) == [caption for caption, _ in own]
        assert captions_of(both) == [caption for caption, _ in ranked]
        assert 1 < len(written["captions"]) <= 5 and len(retrieved["captions"]) == 8
        assert captions_of(retrieved) != captions_of(written)
        assert [match["similarity"] for match in both["captions"]] == pytest.approx([s for _, s in ranked], abs=1e-6)
        assert len(set(captions_of(both))) == len(captions_of(both)) == 8
        merged = merged or bool(set(captions_of(both)) & set(captions_of(written)))
        assert all(row["words"] > 0 for row in (retrieved, written, both))
    assert merged
    assert len({row["settings_digest"] for mode in MODES for row in rows[mode]}) == 3
    assert len({tuple(row["passage"] for row in rows[mode]) for mode in MODES}) > 1


def test_how_many_are_written_is_an_option(pack: Pack, told: Any) -> None:
    few = told(pack, "written", "--written-captions=2")
    assert [len(row["captions"]) for row in few] == [2] * 4


@pytest.mark.parametrize("captions", ["written", "both"])
def test_ready_sentence_vectors_give_the_same_stories(pack: Pack, ready_pack: Pack, told: Any, captions: str) -> None:
    plain, ready = told(pack, captions), told(ready_pack, captions)
    assert [row["passage"] for row in plain] == [row["passage"] for row in ready]
    assert [captions_of(row) for row in plain] == [captions_of(row) for row in ready]


def test_only_what_is_not_ready_is_encoded(
    pack: Pack, ready_pack: Pack, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    infer = SentenceHandler.infer

    def noted(self: Any, batch: Any, model: Any) -> Any:
        encoded.extend(text for texts in batch for text in texts)
        return infer(self, batch, model)

    monkeypatch.setattr(SentenceHandler, "infer", noted)
    rows = told(ready_pack, "both")
    bank = set(ready_pack.lines(ready_pack.component("captions")["texts"]))
    assert sorted(encoded) == sorted({text for row in rows for text in captions_of(row)} - bank) != []


def test_one_pipeline_has_the_rows_that_waves_write(
    ready_pack: Pack, told: Any, write_features: Any, output: Any, same_stories: Any
) -> None:
    options = {"captions_per_photo": 8, "beam_width": 3, "device": "cpu", "captions": "both", "shards": 2}
    places = {"pack": ready_pack.location, "output": output.location, "features": write_features(vectors(4))}
    settings = resolve(check_config({**options, **places}))
    run_single(new_run(settings), settings, make_steps(settings, {}), PipelineOptions(["--runner=FnApiRunner"]))
    same_stories(output.rows("stories"), told(ready_pack, "both"))


@pytest.mark.parametrize("captions", ["written", "both"])
def test_a_notebooks_row_is_the_pipelines(
    ready_pack: Pack, run_job: Any, output: Any, same_stories: Any, captions: str
) -> None:
    photo = str(SAMPLES / "cat.jpg")
    places = (f"--input={photo}", f"--output={output.location}", f"--pack={ready_pack.location}")
    assert run_job(*places, *FLAGS, f"--captions={captions}")[0] == 0
    models = load_all(ready_pack.location, captions_per_photo=8, beam_width=3, device="cpu", captions=captions)
    same_stories(tell(models, photo), output.rows("stories"))


def test_the_pack_may_choose_to_write(pack: Pack, told: Any, tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path / "choosing"), pack)
    writer.card["defaults"]["captions"] = "written"
    choosing = load_all(writer.finish().location, device="cpu")
    assert choosing.settings.choices.captions == "written" and isinstance(choosing.steps.captions, WriterHandler)


@pytest.mark.parametrize("captions", ["written", "both", "invented"])
def test_what_cannot_be_done_is_refused(
    photo_pack: Pack, run_job: Any, write_features: Any, output: Any, captions: str
) -> None:
    features = write_features(vectors(1))
    places = (f"--features={features}", f"--output={output.location}", f"--pack={photo_pack.location}")
    code, _, errors = run_job(*places, *FLAGS, f"--captions={captions}")
    assert code == 2 and not Path(output.location).exists()
    assert f"--captions {captions}: " in errors or (captions == "invented" and "captions = 'invented'" in errors)


def test_the_writer_is_loaded_when_the_pack_is_verified(pack: Pack, tmp_path: Path, capsys: Any) -> None:
    assert packs.main(["verify", pack.location]) == 0
    assert "caption_writer" in capsys.readouterr().out
    writer = PackWriter(str(tmp_path / "odd"), pack)
    writer.components["caption_writer"]["dim"] += 1
    assert packs.main(["verify", writer.finish().location]) == 1
    assert "w.safetensors: does not fit the card" in capsys.readouterr().err
