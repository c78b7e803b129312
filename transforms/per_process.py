"""One object in each process, shared by steps that Beam pickles and unpickles one by one."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from apache_beam.utils.shared import Shared

Made = TypeVar("Made")


class PerProcess(Generic[Made]):
    """A handle that travels with steps; its copies in a process all return the same object.

    The object is made when a copy first asks for it. It stays while a copy that asked for it does: what is to outlast a
    pipeline in this process is asked for before the pipeline starts.

    Args:
        make: makes the object; it is pickled with the handle, the object never is.
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
