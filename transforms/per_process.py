"""One object in each process, shared by steps that Beam pickles separately."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from apache_beam.utils.shared import Shared

Made = TypeVar("Made")


class PerProcess(Generic[Made]):
    """Handle that is pickled with steps; all its copies in a process return the same object.

    The object is made when a copy first asks for it, and lives as long as a copy that has asked for it. Objects that
    should outlast a pipeline in this process must be asked for before the pipeline starts.

    Args:
        make: makes the object; pickled with the handle, unlike the object.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._shared = Shared()
        self._made: Made | None = None

    def get(self) -> Made:
        """Returns the object of this process."""
        if self._made is None:
            self._made = self._shared.acquire(self._make)
        return self._made

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_made": None}
