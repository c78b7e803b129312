"""A whole pack's trainings: which there are, what each begins with, and how they run one by one or beside others."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from graphlib import TopologicalSorter
from multiprocessing.synchronize import RLock
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pipelines.training.data.corpus import Corpus
from pipelines.training.recipes.decoder import DecoderConfig
from pipelines.training.recipes.joint import JointConfig
from pipelines.training.recipes.networks import NETWORKS
from pipelines.training.recipes.story_material import StoriesConfig
from pipelines.training.recipes.thoughts import ThoughtsConfig
from pipelines.training.recipes.writer import BankConfig, WriterConfig
from transforms.cores import cores

Settings = Mapping[str, Any]

STAGES = {
    "joint_embedding": "joint",
    "first_thoughts": "first",
    "skip_thoughts": "thoughts",
    "caption_writer": "writer",
    "decoder": "decoder",
}
"""The trainings of a whole pack in order, and their folders; the sentence encoder may learn few words first."""

OPTIONAL = "first_thoughts"
PARTS: dict[str, dict[str, type]] = {
    "joint_embedding": {"network": JointConfig},
    "first_thoughts": {"network": ThoughtsConfig},
    "skip_thoughts": {"network": ThoughtsConfig},
    "caption_writer": {"network": WriterConfig, "bank": BankConfig},
    "decoder": {"network": DecoderConfig, "stories": StoriesConfig},
}
"""The sections of each training beside `training` and `shares`."""


def run_stage(name: str, settings: Settings, corpus: Corpus, work: Path) -> None:
    """Trains one network of a whole pack in its folder, from what the stages before it left."""
    own = {part: dict(values or {}) for part, values in settings[name].items()}
    network = own.setdefault("network", {})
    if name == "skip_thoughts" and OPTIONAL in settings:
        network["start"] = str(work / STAGES[OPTIONAL])
    if name == "decoder":
        network |= {"pack": str(work / "styled"), "start": str(work / STAGES["skip_thoughts"])}
    train = NETWORKS["skip_thoughts" if name == OPTIONAL else name]
    train(own, corpus, work / STAGES[name])


def run_stages(settings: Settings, corpus: Corpus, work: Path, at_once: int) -> None:
    """Trains all networks but the story decoder, each as soon as those that it begins with are there.

    Args:
        settings: of all networks.
        corpus: what they learn.
        work: folder of their folders.
        at_once: how many are trained at the same time, each in a process of its own; 1 trains them here.
    """
    names = [name for name in STAGES if name in settings and name != "decoder"]
    if at_once == 1:
        for name in names:
            run_stage(name, settings, corpus, work)
        return
    _ = corpus.all_captions  # prepared once, for all
    jobs = {name: partial(run_stage, name, settings, corpus, work) for name in names}
    run_beside(jobs, {name: begins_with(name, names) for name in names}, at_once)


def begins_with(name: str, names: Sequence[str]) -> list[str]:
    """Returns those of the trainings `names` that one of them begins with."""
    first = [OPTIONAL] if OPTIONAL in names else []
    return {"skip_thoughts": first, "caption_writer": ["joint_embedding", *(first or ["skip_thoughts"])]}.get(name, [])


def run_beside(jobs: Mapping[str, Callable[[], Any]], after: Mapping[str, Sequence[str]], at_once: int) -> None:
    """Runs jobs in processes of their own, some at the same time; where one fails the others are stopped.

    Args:
        jobs: by name; those that can begin at the same time begin in this order.
        after: for each job those that must be done before; they are in `jobs` too.
        at_once: jobs that run at the same time.

    Raises:
        Exception: what a job raised, with a note that names it.
    """
    order = TopologicalSorter(after)
    order.prepare()
    spawn, not_ours = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    set_up = (max(1, cores() // at_once), spawn.RLock())
    running: dict[Future[Any], str] = {}
    with ProcessPoolExecutor(at_once, spawn, set_up_process, set_up) as pool:
        try:
            while order.is_active():
                for name in sorted(order.get_ready(), key=list(jobs).index):
                    running[pool.submit(jobs[name])] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    finish(future, running[future])
                    order.done(running.pop(future))
        except BaseException:
            for future in running:
                future.cancel()
            for process in set(multiprocessing.active_children()) - not_ours:
                process.terminate()
            raise


def finish(future: Future[Any], name: str) -> None:
    """Takes a job's end.

    Raises:
        Exception: what the job raised, with a note that names it.
    """
    try:
        future.result()
    except Exception as error:
        error.add_note(f"This ended {name}; what ran beside it was stopped, and a second call goes on with it")
        raise


def set_up_process(threads: int, lock: RLock) -> None:
    """Makes a process ready for stages.

    It gets its share of the cores, for threads that wait for cores are slower than none; its progress bars are drawn
    in turn with others'; and it ends with its parent, for an orphan would go on writing where a second call writes.
    """
    torch.set_num_threads(threads)
    tqdm.set_lock(lock)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
