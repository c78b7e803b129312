"""Cache of a process across pipelines: open packs, loaded models, and the limits of their batches."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class ProcessCache:
    """Values by key, each made once; the least recently used one is dropped when there are too many.

    Args:
        most: maximum number of values, at least 1.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.RLock()  # making a value may request another one

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Returns the value of a key, after making it if necessary; other threads wait meanwhile."""
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
                while len(self._values) > self._most:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
            value: Value = self._values[key]
            return value

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        """Forgets all values, as in a new process."""
        with self._lock:
            self._values.clear()


PROCESS_CACHE = ProcessCache(most=256)
