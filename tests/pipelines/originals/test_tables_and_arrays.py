"""Word tables, `.npy` and `.npz` files: what is read from them, and how damage shows."""

import io
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.originals.arrays import Npz, read_npy
from pipelines.originals.damage import Damage
from pipelines.originals.word_tables import convert_table

Notes = list[str]


def convert(path: Path, words: int | None = None, width: int | None = None, notes: Notes | None = None) -> np.ndarray:
    """Returns the converted table, after a look that its file is a plain array."""
    target = path.parent / "plain.npy"

    def reserve(shape: tuple[int, int]) -> np.memmap:
        return np.lib.format.open_memmap(target, mode="w+", dtype="<f4", shape=shape)

    rows = convert_table(path, words, width, reserve, ([] if notes is None else notes).append)
    table = np.load(target, allow_pickle=False)
    assert len(table) == rows
    return table


@pytest.fixture
def rows() -> list[np.ndarray]:
    draw = np.random.RandomState(1)
    rows = [draw.randn(100).astype("float32") for _ in range(7)]
    return [row[None] if place % 3 else row for place, row in enumerate(rows)]


def test_mixed_shapes_become_rows(
    tmp_path: Path, rows: list[np.ndarray], pickled: dict[str, Callable[..., bytes]]
) -> None:
    (tmp_path / "utable.npy").write_bytes(pickled["table"](rows))
    expected = np.stack([row.ravel() for row in rows])
    np.testing.assert_array_equal(convert(tmp_path / "utable.npy", 7, 100), expected)


@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f4"])
def test_tables_that_a_later_numpy_saved(tmp_path: Path, rows: list[np.ndarray], kind: str) -> None:
    notes: Notes = []
    expected = np.stack([row.ravel() for row in rows])
    np.save(tmp_path / "plain_table.npy", expected.astype(kind))
    np.testing.assert_array_equal(convert(tmp_path / "plain_table.npy", 7, 100, notes), expected)
    objects = np.empty(7, dtype=object)
    objects[:] = [row.astype(kind) for row in rows]
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    np.testing.assert_array_equal(convert(tmp_path / "objects.npy", 7, 100, notes), expected)
    assert bool(notes) == (kind != "<f4")


def test_a_table_that_does_not_fit_is_named(
    tmp_path: Path, rows: list[np.ndarray], pickled: dict[str, Callable[..., bytes]]
) -> None:
    path = tmp_path / "utable.npy"
    path.write_bytes(pickled["table"](rows))
    with pytest.raises(Damage) as caught:
        convert(path, 8, 99)
    assert len(caught.value.problems) == 2
    assert "7 rows for the 8 words of dictionary.txt" in str(caught.value) and "where the encoder reads 99" in str(
        caught.value
    )
    path.write_bytes(pickled["table"]([*rows, rows[0][:50]]))
    with pytest.raises(Damage, match="row 7 has 50 numbers, row 0 has 100"):
        convert(path)
    rows[4][0, 5] = np.inf
    path.write_bytes(pickled["table"](rows))
    with pytest.raises(Damage, match="row 4 holds numbers that are not finite"):
        convert(path)
    np.save(path, np.zeros((2, 3, 4), "float32"))
    with pytest.raises(Damage, match="not one row a word"):
        convert(path)


def test_a_table_cut_anywhere_is_named(
    tmp_path: Path, rows: list[np.ndarray], pickled: dict[str, Callable[..., bytes]]
) -> None:
    content = pickled["table"](rows)
    for length in [*range(0, 400, 7), *range(400, len(content), 53)]:
        (tmp_path / "utable.npy").write_bytes(content[:length])
        with pytest.raises(Damage, match=r"^utable\.npy: .*again"):
            convert(tmp_path / "utable.npy")


def test_objects_that_are_no_vectors_are_named(tmp_path: Path, pickled: dict[str, Callable[..., bytes]]) -> None:
    header = pickled["table"]([np.zeros(2)])[:128]
    hostile = b"\x80\x02cos\nsystem\n(S'echo'\ntR."
    for content in (hostile, b"\x80\x02]K\x01a.", b"N."):
        (tmp_path / "utable.npy").write_bytes(header + content)
        with pytest.raises(Damage, match=r"^utable\.npy: "):
            convert(tmp_path / "utable.npy")


def test_npy_damage_is_named(tmp_path: Path) -> None:
    path, notes = tmp_path / "x_style.npy", Notes()
    np.save(path, np.arange(50.0, dtype="float32"))
    content = path.read_bytes()
    assert read_npy(path, notes.append).sum() == 1225 and not notes
    faults = {"cut short": content[:-4], "too long": content + b"1234", "not a .npy array": content[:60]}
    faults |= {"not a .npy": b"<html>404 Not Found", "not a .npy array \\(": b""}
    for fault, damaged in faults.items():
        path.write_bytes(damaged)
        with pytest.raises(Damage, match=rf"^x_style\.npy: {fault}.*again"):
            read_npy(path, notes.append)
    huge = content.replace(b"(50,), }        ", b"(9999, 9999), } ")
    for array in (np.array([np.nan], "float32"), np.array(["a"]), np.array([None]), np.array([1j])):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(Damage, match=r"^x_style\.npy: holds"):
            read_npy(path, notes.append)
    path.write_bytes(huge)
    with pytest.raises(Damage, match=r"^x_style\.npy: "):
        read_npy(path, notes.append)


def test_other_precisions_are_converted_with_a_note(tmp_path: Path) -> None:
    notes: Notes = []
    np.save(tmp_path / "x_style.npy", np.arange(3.0))
    found = read_npy(tmp_path / "x_style.npy", notes.append)
    assert found.dtype == np.float32 and notes == ["x_style.npy: converted from float64 to float32"]


def test_npz_arrays_are_read_only_by_name(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, W=np.eye(2, dtype="float32"), unread=np.array([None], dtype=object))
    found = Npz(path, pytest.fail)
    assert "unread" in found and "absent" not in found
    np.testing.assert_array_equal(found.array("W"), np.eye(2))
    for name, fault in {"unread": "Python objects", "absent": "is missing"}.items():
        with pytest.raises(Damage, match=fault):
            found.array(name)
    with pytest.raises(Damage) as caught:
        found.tensors(["W", "one", "two", "unread"])
    assert len(caught.value.problems) == 3


def test_npz_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    for save in (np.savez, np.savez_compressed):
        save(path, W=np.random.RandomState(0).randn(300).astype("float32"))
        content = path.read_bytes()
        middle = len(content) // 2
        for damaged in (b"", b"text", content[:middle], content[:-5]):
            path.write_bytes(damaged)
            with pytest.raises(Damage, match=r"^net\.npz: cut short or not an \.npz file.*again"):
                Npz(path, pytest.fail)
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
        with pytest.raises(Damage, match=r"^net\.npz: W.*again"):
            Npz(path, pytest.fail).array("W")


def test_an_npz_member_that_lies_about_its_size_is_named(tmp_path: Path) -> None:
    plain = io.BytesIO()
    np.save(plain, np.zeros(4, "float32"))
    lying = plain.getvalue().replace(b"(4,), }  ", b"(10**9,)}"[:9]).replace(b"(4,)", b"(9,)")
    with zipfile.ZipFile(tmp_path / "net.npz", "w") as file:
        file.writestr("W.npy", lying)
    with pytest.raises(Damage, match=r"net\.npz: W"):
        Npz(tmp_path / "net.npz", pytest.fail).array("W")


PUBLISHED_WORDS, PUBLISHED_WIDTH = 930_914, 620
PEAK = """
import resource, sys
from pathlib import Path
import numpy as np
from pipelines.originals.word_tables import convert_table
source, target = map(Path, sys.argv[1:3])
reserve = lambda shape: np.lib.format.open_memmap(target, mode="w+", dtype="<f4", shape=shape)
print(convert_table(source, None, None, reserve, print), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_table_of_the_published_size_converts_in_little_memory(
    tmp_path: Path, pickled: dict[str, Callable[..., bytes]]
) -> None:
    """The peak stays far below 6 GB, of which the file itself would take 2.3."""
    source, target = tmp_path / "utable.npy", tmp_path / "plain.npy"
    try:
        expected = _write_published_table(source, pickled)
        assert 2.3e9 < source.stat().st_size < 2.5e9
        command = [sys.executable, "-c", PEAK, str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows, peak = map(int, done.stdout.split())
        assert rows == PUBLISHED_WORDS
        assert peak * (1 if sys.platform == "darwin" else 1024) < 2.5e9
        table = np.load(target, mmap_mode="r")
        assert table.shape == (PUBLISHED_WORDS, PUBLISHED_WIDTH)
        for row, first in expected.items():
            assert table[row, 0] == first and table[row, -1] == 0.5
    finally:
        source.unlink(missing_ok=True)
        target.unlink(missing_ok=True)


def _write_published_table(path: Path, pickled: dict[str, Callable[..., bytes]]) -> dict[int, float]:
    """Writes a table of the published size and mix of shapes; returns some rows with their first number."""
    flat, nested = np.full(PUBLISHED_WIDTH, 0.5, "<f4"), np.full((1, PUBLISHED_WIDTH), 0.5, "<f4")
    start = pickled["table"]([flat, nested, flat])
    later = {array.ndim: pickled["array"](array, first=False) for array in (flat, nested)}
    data = flat.tobytes()
    content = start[: start.index(later[2])].replace(b"(3,)", f"({PUBLISHED_WORDS},)".encode())
    excess = len(str(PUBLISHED_WORDS)) - 1
    content = content.replace(b" " * excess + b"\n", b"\n", 1)
    content = content.replace(b"K\x01(J\x03\x00\x00\x00t", b"K\x01(J" + struct.pack("<i", PUBLISHED_WORDS) + b"t", 1)
    expected = {}
    parts = {ndim: opcodes.split(data) for ndim, opcodes in later.items()}
    with open(path, "wb") as file:
        file.write(content)
        for row in range(1, PUBLISHED_WORDS):
            before, after = parts[1 if row % 46 == 0 else 2]
            file.write(before + struct.pack("<f", row) + data[4:] + after)
            if row % 100_003 == 0:
                expected[row] = float(row)
        file.write(b"etb.")
    return expected
