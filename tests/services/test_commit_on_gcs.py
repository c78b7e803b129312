"""The commit on Cloud Storage: of many runs that want one manifest number, one gets it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.services

ROOT = Path(__file__).resolve().parents[2]
CLAIM = """
import sys
from pipelines.manifests import put_if_absent
try:
    put_if_absent("gs://photos/stories/manifests/00000001.json", sys.argv[1].encode())
except FileExistsError:
    print("late")
else:
    print("first")
"""


def test_one_of_many_claims_wins(strict_cloud: Any) -> None:
    claims = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, f"claim {number}"],
            cwd=ROOT,
            env=strict_cloud.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    results = [claim.communicate(timeout=120) for claim in claims]
    assert sorted(output.strip() for output, _ in results) == ["first", "late", "late", "late"], results
    winner = [output.strip() for output, _ in results].index("first")
    assert strict_cloud.get("gs://photos/stories/manifests/00000001.json") == f"claim {winner}".encode()
