"""Stories in a bucket of Cloud Storage: one holder of a lease, and every command that looks after an OUTPUT."""

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.services

ROOT = Path(__file__).resolve().parents[2]
TAKE = """
import sys
from datetime import timedelta
from pipelines.tables.leases import LeaseHeldError, take
try:
    take("gs://photos/stories", sys.argv[1], ["gs://photos/**"], timedelta(hours=1))
except LeaseHeldError as error:
    print("late", "run taker" in str(error))
else:
    print("first")
"""
LOOK_AFTER = """
import json
from datetime import timedelta
import fsspec
from pipelines import catalog, status, vacuum
from pipelines.catalog import open_stories
from pipelines.tables.commits import Run, commit, now, start
from pipelines.tables.leases import read_leases, renew, take
from transforms.records import Outcome
from transforms.rows import STORIES, ledger_row
from transforms.write import write_shard

output = "gs://photos/told"

def publish(name, stories):
    run = Run(output, name, now(), {}, "settings", {"digest": "pack"}, 0.25)
    start(run)
    empty = dict.fromkeys(STORIES.names)
    rows = [empty | {"uri": uri, "style": "romance", "story": story} for uri, story in stories.items()]
    ledger = [ledger_row(Outcome(uri, name, None, "romance", "story"), "pack", "settings") for uri in stories]
    tables = {"stories": rows, "ledger": ledger}
    commit(run, [write_shard((0, found), output, f"runs/{name}/", table, 1) for table, found in tables.items()])

def told(root=output):
    return {row["uri"]: row["story"] for row in open_stories(root).to_table().to_pylist()}

publish("one", {"gs://p/a": "Old.", "gs://p/b": "Same."})
publish("two", {"gs://p/a": "New.", "gs://p/c": "Late."})
start(Run(output, "crashed", "2026-01-01T00:00:00+00:00", {}, "s", {"digest": "p"}, 0.25))
lease = renew(take(output, "going", ["x"], timedelta(hours=1)), timedelta(hours=2))
said = {"leases": [one.expires == lease.expires for one in read_leases(output)]}
said["told"] = told()
said["held"] = catalog.main(["forget", output, "gs://p/a"])
fsspec.filesystem("gs").rm_file(lease.uri)
said["compact"], said["merged"] = catalog.main(["compact", output]), told()
said["forget"], said["left"] = catalog.main(["forget", output, "gs://p/a"]), told()
said["status"] = status.main([output, "--json"])
said["vacuum"], said["after"] = vacuum.main([output, "--older-than=0d"]), told()
said["export"] = catalog.main(["export", output, "--output=gs://photos/exported"])
fs = fsspec.filesystem("gs")
said["files"] = [name.removeprefix("photos/told/") for name in fs.find("photos/told")]
said["exported"] = fs.find("photos/exported")
said["current"] = fs.cat_file("photos/told/current.files").decode().splitlines()
print("SAID", json.dumps(said))
"""


def test_one_of_many_takers_holds_the_lease(strict_cloud: Any) -> None:
    said = strict_cloud.at_once(TAKE, [f"taker {number}" for number in range(3)], seconds=300)
    assert sorted(said) == ["first", "late True", "late True"], said


def test_commands_on_a_bucket(strict_cloud: Any) -> None:
    process = strict_cloud.python("-c", LOOK_AFTER, seconds=500)
    assert process.returncode == 0, process.stderr
    said = json.loads(process.stdout.partition("SAID ")[2])
    both = {"gs://p/a": "New.", "gs://p/b": "Same.", "gs://p/c": "Late."}
    assert said["told"] == said["merged"] == both and said["leases"] == [True]
    assert said["held"] == 4
    rest = {"gs://p/b": "Same.", "gs://p/c": "Late."}
    assert said["left"] == said["after"] == rest
    assert said["compact"] == said["forget"] == said["vacuum"] == said["export"] == said["status"] == 0
    (stories,) = [name for name in said["files"] if name.endswith("-stories.parquet")]
    (ledger,) = [name for name in said["files"] if name.endswith("-ledger.parquet")]
    assert said["current"] == [f"gs://photos/told/{stories}"]
    assert set(said["files"]) == {
        *(f"manifests/0000000{number}.json" for number in range(1, 5)),
        *(f"runs/{name}/started.json" for name in ("one", "two")),
        *("current.files", stories, ledger),
    }
    assert said["exported"] == ["photos/exported/stories-00001.parquet"]
