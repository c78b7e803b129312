"""The trainings of a whole pack: their order, the trainings each depends on, and running them one by one or at once."""

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
"""The trainings of a whole pack in order, with their folders; the sentence encoder may first learn fewer words."""

OPTIONAL = "first_thoughts"
PARTS: dict[str, dict[str, type]] = {
    "joint_embedding": {"network": JointConfig},
    "first_thoughts": {"network": ThoughtsConfig},
    "skip_thoughts": {"network": ThoughtsConfig},
    "caption_writer": {"network": WriterConfig, "bank": BankConfig},
    "decoder": {"network": DecoderConfig, "stories": StoriesConfig},
}
"""The sections of each training besides `training` and `shares`."""


def run_stage(name: str, settings: Settings, corpus: Corpus, work: Path) -> None:
    """Trains one network of a whole pack in its folder, from the results of the earlier stages."""
    own = {part: dict(values or {}) for part, values in settings[name].items()}
    network = own.setdefault("network", {})
    if name == "skip_thoughts" and OPTIONAL in settings:
        network["start"] = str(work / STAGES[OPTIONAL])
    if name == "decoder":
        network |= {"pack": str(work / "styled"), "start": str(work / STAGES["skip_thoughts"])}
    train = NETWORKS["skip_thoughts" if name == OPTIONAL else name]
    train(own, corpus, work / STAGES[name])


def run_stages(settings: Settings, corpus: Corpus, work: Path, at_once: int) -> None:
    """Trains all networks but the story decoder, each as soon as the networks that it starts from are trained.

    Args:
        settings: settings of all networks.
        corpus: texts and photos to learn from.
        work: folder that holds the folders of the trainings.
        at_once: number of networks trained at the same time, each in its own process; 1 trains them in this one.
    """
    names = [name for name in STAGES if name in settings and name != "decoder"]
    if at_once == 1:
        for name in names:
            run_stage(name, settings, corpus, work)
        return
    _ = corpus.all_captions  # prepared once for all stages
    jobs = {name: partial(run_stage, name, settings, corpus, work) for name in names}
    run_beside(jobs, {name: begins_with(name, names) for name in names}, at_once)


def begins_with(name: str, names: Sequence[str]) -> list[str]:
    """Returns those of the trainings `names` that the training `name` depends on."""
    first = [OPTIONAL] if OPTIONAL in names else []
    return {"skip_thoughts": first, "caption_writer": ["joint_embedding", *(first or ["skip_thoughts"])]}.get(name, [])


def run_beside(jobs: Mapping[str, Callable[[], Any]], after: Mapping[str, Sequence[str]], at_once: int) -> None:
    """Runs each job in its own process, some at the same time; if one fails the others are stopped.

    Args:
        jobs: functions by name; jobs that can start at the same time start in this order.
        after: for each job the names of the jobs that must end first; they are in `jobs` too.
        at_once: number of jobs that run at the same time.

    Raises:
        Exception: the error of a job, with a note that names the job.
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
    """Checks that a job that has ended did not fail.

    Raises:
        Exception: the error of the job, with a note that names the job.
    """
    try:
        future.result()
    except Exception as error:
        error.add_note(f"{name} failed; the other trainings were stopped, and a second call resumes them")
        raise


def set_up_process(threads: int, lock: RLock) -> None:
    """Makes a process ready for stages.

    It uses its share of the cores, because waiting threads are slower than fewer threads. Its progress bars take turns
    with those of other processes. It ends with its parent, because an orphan would write to the files of a second call.
    """
    torch.set_num_threads(threads)
    tqdm.set_lock(lock)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
