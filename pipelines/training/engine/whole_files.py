"""Atomic writing of files: a process that is killed while it writes leaves the old file, or none."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np


def put_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Replaces a file once `write` has written all of the new one."""
    part = path.with_name(f"{path.name}.part")
    write(part)
    os.replace(part, path)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays to one `.npz` file."""
    put_whole(path, lambda part: _save(part, arrays))


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes an array to a `.npy` file."""
    put_whole(path, lambda part: _save(part, array))


def _save(part: Path, content: np.ndarray | Mapping[str, np.ndarray]) -> None:
    with part.open("wb") as file:  # numpy would add a suffix to a name
        if isinstance(content, np.ndarray):
            np.save(file, content, allow_pickle=False)
        else:
            np.savez(file, **content)  # type: ignore[arg-type]
