"""Files put in place whole."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.training.engine.whole_files import put_whole, save_array, save_arrays


def test_who_is_killed_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    put_whole(path, lambda part: part.write_text("old"))

    def break_off(part: Path) -> None:
        part.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put_whole(path, break_off)
    assert path.read_text() == "old"
    put_whole(path, lambda part: part.write_text("new"))
    assert path.read_text() == "new" and [file.name for file in tmp_path.iterdir()] == ["best.json"]


def test_arrays_keep_their_names_types_and_places(tmp_path: Path) -> None:
    one, two = np.arange(3, dtype=np.float16), np.asarray([[True]])
    save_arrays(tmp_path / "both.npz", {"a.ids": one, "b": two})
    save_array(tmp_path / "one.npy", one)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["both.npz", "one.npy"]
    with np.load(tmp_path / "both.npz") as arrays:
        assert sorted(arrays.files) == ["a.ids", "b"]
        assert arrays["a.ids"].dtype == np.float16 and np.array_equal(arrays["b"], two)
    assert np.array_equal(np.load(tmp_path / "one.npy"), one)
