"""The commit on Cloud Storage: of many runs that want one manifest number, one gets it."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.services

ROOT = Path(__file__).resolve().parents[2]
CLAIM = """
import sys
from pipelines.tables.manifests import put_if_absent
try:
    put_if_absent("gs://photos/stories/manifests/00000001.json", sys.argv[1].encode())
except FileExistsError:
    print("late")
else:
    print("first")
"""


def test_one_of_many_claims_wins(strict_cloud: Any) -> None:
    said = strict_cloud.at_once(CLAIM, [f"claim {number}" for number in range(4)])
    assert sorted(said) == ["first", "late", "late", "late"], said
    winner = said.index("first")
    assert strict_cloud.get("gs://photos/stories/manifests/00000001.json") == f"claim {winner}".encode()
