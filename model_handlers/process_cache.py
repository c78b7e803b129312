"""What a process keeps across pipelines: open packs, loaded models, and how large a batch each of these can take."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class ProcessCache:
    """Values by key, each made once; where there are too many, the one that was used longest ago goes.

    Args:
        most: values that are kept, at least 1.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.RLock()  # making one value may ask for another

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Returns the value of a key, after making it where there is none; other threads wait meanwhile."""
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
