"""Makes the figures of docs/nightly.md: `python docs/nightly_figures.py PHOTOS FOLDER [COUNT]`.

PHOTOS is a folder of at least COUNT (2,000) and an eleventh more photos. They go night by night into a bucket of an emulated Cloud Storage, over
which the real commands run. FOLDER gets what each command printed, and figures.json with its exit code, seconds, memory and requests.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "services")]

from conftest import BUCKET, Cloud, DataflowRecord, metadata, storage  # noqa: E402  (the tests' emulator, from the path set above)
from gcp_storage_emulator import server  # noqa: E402

PHOTOS, OUTPUT, PAGE = f"gs://{BUCKET}/photos", f"gs://{BUCKET}/stories", f"gs://{BUCKET}/page"
JOB = [f"--input={PHOTOS}/**", f"--output={OUTPUT}", "--pack=packs/pocket", "--beam-width=5"]
WORKERS = ["--direct_running_mode=multi_processing", f"--direct_num_workers={os.cpu_count()}"]
RUN = ["run", *JOB, "--deadline=5h", "--log-format=json", *WORKERS]
READ_LEDGER = """
import collections, json, sys
from pipelines.catalog import open_stories
from pipelines.manifests import read_manifests, read_rows
output, listed = sys.argv[1], json.load(open(sys.argv[2]))
for manifest in sorted(read_manifests(output), key=lambda one: one["number"]):
    rows = list(read_rows(output, manifest, "ledger", ["uri", "style", "outcome"]))
    keys = collections.Counter((row["uri"], row["style"]) for row in rows)
    styles, objects = {row["style"] for row in rows}, listed[manifest["number"] - 1]
    assert keys == collections.Counter((uri, style) for uri in objects for style in styles), manifest["number"]
    kept = [file for file in manifest["files"] if file["table"] == "features"]
    print(json.dumps({"number": manifest["number"], "objects": len(objects), "styles": sorted(styles), "counts": manifest["counts"],
        "files": len(manifest["files"]), "kept": sum(file["rows"] for file in kept), "metrics": manifest.get("metrics", {})}))
table = open_stories(output).to_table().select(["uri", "style"]).to_pylist()
print(json.dumps({"newest": collections.Counter(row["style"] for row in table), "photos": len({row["uri"] for row in table})}))
"""


class Requests:
    """Counts what the bucket is asked for: kind of request and first folder -> requests and bytes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        answer = server.Response.close
        server.server.HTTPServer.request_queue_size = 256  # with its 5, many requests at once wait for seconds

        def close(response: Any) -> None:
            content = response._content
            handler = response._handler
            self._add(handler.command, handler.path, len(content), int(handler.headers.get("Content-Length") or 0))
            answer(response)

        server.Response.close = close

    def _add(self, method: str, path: str, sent: int, received: int) -> None:
        name = re.search(r"/o/([^/?]+)|[?&]name=([^&/]+)|[?&]prefix=([^&/]*)", unquote(path))
        folder = next((part for part in name.groups() if part), "") if name else ""
        kind = "list" if re.search(r"/o(\?|$)", path) and method == "GET" else {"GET": "look", "DELETE": "delete"}.get(method, "write")
        kind = "read" if "alt=media" in path or "/download/" in path else kind
        self.counts[f"{kind} {folder}".strip()] += 1
        if kind in ("read", "write"):
            self.counts[f"{kind} {folder}".strip() + " bytes"] += sent if kind == "read" else received

    def take(self) -> dict[str, int]:
        """Returns what was counted since the last call."""
        taken, self.counts = dict(sorted(self.counts.items())), Counter()
        return taken


class Nights:
    """Runs the commands over the bucket, and keeps what they printed and took."""

    def __init__(self, cloud: Cloud, requests: Requests, folder: Path) -> None:
        self.cloud, self.requests, self.folder = cloud, requests, folder
        self.figures: list[dict[str, Any]] = []
        self.listed: list[list[str]] = []
        self.names: set[str] = set()

    def put(self, names: dict[str, bytes]) -> None:
        """Uploads photos."""
        for name, content in names.items():
            self.cloud.put(f"photos/{name}", content)
        self.names |= {f"{PHOTOS}/{name}" for name in names}

    def command(self, title: str, *words: str, kill: bool = False) -> int:
        """Returns the exit code of a command of the project, by its words; writes down what it took."""
        environment = self.cloud.environment | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        arguments = [sys.executable, *(words if words[0] == "-c" else ("-m", f"pipelines.{words[0]}", *words[1:]))]
        self.requests.take()
        begun = time.monotonic()
        out, err = (open(self.folder / f"{title}.{end}", "w") for end in ("out", "err"))
        with out, err:
            process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
            if kill:
                while not self.requests.counts["read photos"]:
                    time.sleep(0.1)
                time.sleep(3)
                process.kill()
            _, status, usage = os.wait4(process.pid, 0)
        figure = {"title": title, "command": " ".join(words if words[0] != "-c" else words[:1]), "exit": os.waitstatus_to_exitcode(status)}
        figure |= {"seconds": round(time.monotonic() - begun, 1), "peak_mb": usage.ru_maxrss // 1024, "requests": self.requests.take()}
        self.figures.append(figure)
        (self.folder / "figures.json").write_text(json.dumps(self.figures, indent=1))
        print(json.dumps(figure), flush=True)
        return figure["exit"]

    def night(self, title: str, *options: str) -> None:
        """Tells the bucket's photos."""
        if self.command(title, *RUN, *options) == 0:
            self.listed.append(sorted(self.names))
        for line in (self.folder / f"{title}.err").read_text().splitlines():
            json.loads(line)

    def morning(self, title: str) -> None:
        """Looks at what a night left."""
        self.command(f"{title} status", "status", OUTPUT, "--max-age=26h")
        self.command(f"{title} gallery", "gallery", OUTPUT, f"--output={PAGE}")

    def check(self) -> None:
        """Sees that each listed object has one outcome a style, and writes down what each night's manifest says."""
        (self.folder / "listed.json").write_text(json.dumps(self.listed))
        assert self.command("ledger", "-c", READ_LEDGER, OUTPUT, str(self.folder / "listed.json")) == 0


def tell(nights: Nights, photos: list[bytes], count: int) -> None:
    """Goes through the nights: all new; nothing new; some new, changed and broken, and another style; one that is killed."""
    rest = iter(photos)
    new, changed, broken, late = (max(1, count // part) for part in (20, 100, 200, 20))
    take = {f"{number:05d}.jpg": content for number, content in enumerate(islice(rest, count))}
    nights.put(take | {"README.txt": b"Photos of the year."})
    nights.command("plan", "plan", *JOB, f"--workers={os.cpu_count()}", "--within=5h", "--prices=configs/prices.yaml")
    nights.night("night 1", "--style=romance")
    nights.morning("night 1")
    nights.night("night 2", "--style=romance")
    nights.morning("night 2")
    nights.put({f"new-{number:05d}.jpg": content for number, content in enumerate(islice(rest, new))})
    nights.put(dict(zip(list(take)[:: count // changed], islice(rest, changed))))
    halves = [content[: len(content) // 2] if number % 2 else b"no photo" for number, content in enumerate(islice(rest, broken))]
    nights.put({f"broken-{number:05d}.jpg": content for number, content in enumerate(halves)})
    nights.night("night 3", "--style=romance,adventure")
    nights.morning("night 3")
    nights.command("explain", "explain", OUTPUT, f"--uri={PHOTOS}/new-00000.jpg", "--style=adventure")
    nights.command("export", "catalog", "export", OUTPUT, f"--output=gs://{BUCKET}/clean")
    nights.put({f"late-{number:05d}.jpg": content for number, content in enumerate(islice(rest, late))})
    nights.command("killed", *RUN, "--style=romance,adventure", kill=True)
    nights.command("killed status", "status", OUTPUT, "--max-age=26h")
    nights.night("night 4", "--style=romance,adventure")
    nights.command("night 4 status", "status", OUTPUT, "--max-age=26h")
    nights.command("night 4 vacuum", "vacuum", OUTPUT, "--older-than=0d")
    nights.check()


def main(source: Path, folder: Path, count: int = 2000) -> None:
    """Makes the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = [path.read_bytes() for path in islice(sorted(source.iterdir()), count * 6 // 5 + 10)]
    requests = Requests()
    for address in storage.__wrapped__():
        for meta in metadata.__wrapped__():
            tell(Nights(Cloud(address, "", meta, DataflowRecord(), folder / "home"), requests, folder), photos, count)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).absolute(), *map(int, sys.argv[3:4]))
