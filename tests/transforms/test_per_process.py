"""Objects that the steps of a process share, though Beam pickles each step."""

import gc
import pickle
import weakref
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from transforms.per_process import PerProcess


class Notebook:
    """Something that is expensive to make, and that is shared."""

    def __init__(self) -> None:
        self.lines: list[str] = []


class SharedNotebook(PerProcess[Notebook]):
    """A handle of a class of its own, which Beam's type check knows by name."""

    def __init__(self) -> None:
        super().__init__(Notebook)


class Unpicklable(Notebook):
    """What can only be made where it is used."""

    def __reduce__(self) -> str:
        raise TypeError("never pickled")


def note(word: str, book: SharedNotebook) -> Iterator[str]:
    book.get().lines.append(word)
    yield word


def test_copies_share_one_object() -> None:
    book, other = PerProcess(Unpicklable), PerProcess(Unpicklable)
    made = book.get()
    first, second = pickle.loads(pickle.dumps(book)), pickle.loads(pickle.dumps(book))
    assert first.get() is made is second.get() is book.get()
    assert other.get() is not made


def test_steps_of_two_pipelines_share_what_is_held() -> None:
    book = SharedNotebook()
    lines = book.get().lines
    for words in (["a", "b"], ["c"]):
        with TestPipeline("FnApiRunner") as root:
            noted = root | beam.Create(words) | "Note" >> beam.FlatMap(note, book) | "Again" >> beam.FlatMap(note, book)
            assert_that(noted, equal_to(words))
    assert sorted(lines) == ["a", "a", "b", "b", "c", "c"]


def test_nobody_holds_it_any_more() -> None:
    book = PerProcess(Notebook)
    gone = weakref.ref(book.get())
    PerProcess(Notebook).get()  # Beam itself keeps the last one
    del book
    gc.collect()
    assert gone() is None
