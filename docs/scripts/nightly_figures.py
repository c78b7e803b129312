"""Makes the figures of docs/how-to/nightly.md: `python docs/scripts/nightly_figures.py PHOTOS FOLDER [COUNT]`.

PHOTOS is a folder of COUNT (2,000) photos and a fifth more. Night by night they go into a bucket of an emulated Cloud
Storage, over which the real commands run. FOLDER gets what each printed; figures.json says what it took, nights.json
what each night left, after a look at the ledgers: one outcome for each object and style.
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

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "services")]

from conftest import BUCKET, Cloud, DataflowRecord, metadata, storage  # noqa: E402  (tests/services, on the path now)
from gcp_storage_emulator import server  # noqa: E402

from transforms.cores import cores  # noqa: E402

PHOTOS, OUTPUT, PAGE = f"gs://{BUCKET}/photos", f"gs://{BUCKET}/stories", f"gs://{BUCKET}/page"
JOB = [f"--input={PHOTOS}/**", f"--output={OUTPUT}", "--pack=packs/pocket", "--beam-width=5"]
WORKERS = ["--direct_running_mode=multi_processing", f"--direct_num_workers={cores()}"]
RUN = ["run", *JOB, "--deadline=5h", "--log-format=json", *WORKERS]
KINDS = {"GET": "look", "DELETE": "delete"}


class Requests:
    """Counts what the bucket is asked for: kind of request and first folder, bytes where they are read or written."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.read: set[str] = set()  # names of objects
        answer = server.Response.close
        server.server.HTTPServer.request_queue_size = 256  # with its 5, many requests at once wait for seconds

        def close(response: Any) -> None:
            asked = response._handler
            self._add(asked.command, asked.path, len(response._content), int(asked.headers.get("Content-Length") or 0))
            answer(response)

        server.Response.close = close

    def _add(self, method: str, path: str, sent: int, received: int) -> None:
        kind = KINDS.get(method, "write")
        if method == "GET" and re.search(r"/o(\?|$)", path):
            kind = "list"
        if "alt=media" in path or "/download/" in path:
            kind = "read"
        named = re.search(r"(?:/o/|[?&]name=|[?&]prefix=)([^/?&]+)", unquote(path))
        key = f"{kind} {named[1]}" if named else kind
        self.counts[key] += 1
        if kind == "read":
            self.read |= set(re.findall(r"/o/([^?]+)", unquote(path)))
        if kind in ("read", "write"):
            self.counts[f"{key} bytes"] += sent if kind == "read" else received

    def take(self) -> dict[str, int]:
        """Returns what was counted since the last call."""
        taken = dict(sorted(self.counts.items())) | {"photos": sum(name.startswith("photos/") for name in self.read)}
        self.counts, self.read = Counter(), set()
        return taken


class Nights:
    """Runs the commands over the bucket, and keeps what they printed and took."""

    def __init__(self, cloud: Cloud, requests: Requests, folder: Path) -> None:
        self.environment = cloud.environment | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        self.cloud, self.requests, self.folder = cloud, requests, folder
        self.figures: list[dict[str, Any]] = []
        self.listed: list[set[str]] = []  # of each night that was published
        self.names: set[str] = set()

    def put(self, names: dict[str, bytes]) -> None:
        """Uploads photos."""
        for name, content in names.items():
            self.cloud.put(f"photos/{name}", content)
        self.names |= {f"{PHOTOS}/{name}" for name in names}

    def command(self, title: str, *words: str, kill: bool = False) -> int:
        """Returns the exit code of a command of the project; kills it as soon as it has read photos, if asked to."""
        self.requests.take()
        begun = time.monotonic()
        with open(self.folder / f"{title}.out", "w") as out, open(self.folder / f"{title}.err", "w") as err:
            command = [sys.executable, "-m", f"pipelines.{words[0]}", *words[1:]]
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=out, stderr=err, stdin=subprocess.DEVNULL
            )
            if kill:
                while not self.requests.counts["read photos"]:
                    time.sleep(0.1)
                time.sleep(3)
                process.kill()
            _, status, usage = os.wait4(process.pid, 0)
        figure = {"title": title, "command": " ".join(words), "exit": os.waitstatus_to_exitcode(status)}
        figure |= {"seconds": round(time.monotonic() - begun, 1), "largest_process_mb": usage.ru_maxrss // 1024}
        self.figures.append(figure | {"requests": self.requests.take()})
        (self.folder / "figures.json").write_text(json.dumps(self.figures, indent=1))
        print(json.dumps(self.figures[-1]), flush=True)
        return figure["exit"]

    def night(self, title: str, style: str, told: int) -> None:
        """Tells the bucket's photos, of which it must read only so many, and looks at what that left."""
        assert self.command(title, *RUN, f"--style={style}") == 0
        assert self.figures[-1]["requests"]["photos"] == told
        self.listed.append(set(self.names))
        for line in (self.folder / f"{title}.err").read_text().splitlines():
            assert json.loads(line)["severity"] in ("INFO", "WARNING"), line
        self.command(f"{title} status", "status", OUTPUT, "--max-age=26h")
        self.command(f"{title} gallery", "gallery", OUTPUT, f"--output={PAGE}")

    def check(self) -> None:
        """Sees that each listed object has one outcome a style, and writes down what each night left."""
        os.environ.update(self.environment)
        from pipelines.catalog import open_stories
        from pipelines.tables.manifests import read_manifests, read_rows

        nights: list[dict[str, Any]] = []
        for manifest, listed in zip(read_manifests(OUTPUT), self.listed, strict=True):
            rows = list(read_rows(OUTPUT, manifest, "ledger", ["uri", "style"]))
            styles = {row["style"] for row in rows}
            outcomes = Counter((row["uri"], row["style"]) for row in rows)
            assert outcomes == Counter((uri, style) for uri in listed for style in styles), manifest["number"]
            names = ("number", "started", "committed", "counts", "files", "metrics")
            nights.append({"objects": len(listed)} | {name: manifest[name] for name in names})
        newest = Counter(open_stories(OUTPUT).to_table()["style"].to_pylist())
        (self.folder / "nights.json").write_text(json.dumps({"newest": newest, "nights": nights}, indent=1))


def tell(nights: Nights, photos: list[bytes], count: int) -> None:
    """Goes through nights: all new; nothing new; new, changed, broken ones and another style; one that is killed."""
    rest = iter(photos)
    new, changed, broken = (max(1, count // part) for part in (20, 100, 200))
    first = {f"{number:05d}.jpg": content for number, content in enumerate(islice(rest, count))}
    nights.put(first | {"README.txt": b"Photos of the year."})
    nights.command("plan", "plan", *JOB, f"--workers={cores()}", "--within=5h", "--prices=configs/prices.yaml")
    nights.night("night 1", "romance", count)
    nights.night("night 2", "romance", 0)
    nights.put({f"new-{number:05d}.jpg": content for number, content in enumerate(islice(rest, new))})
    nights.put(dict(zip(list(first)[:: count // changed][:changed], islice(rest, changed), strict=True)))
    cut = [content[: len(content) // 2] for content in islice(rest, broken)]
    nights.put({f"broken-{number:05d}.jpg": cut[number] if number % 2 else b"no photo" for number in range(broken)})
    nights.night("night 3", "romance,adventure", new + changed + broken)
    nights.command("explain", "explain", OUTPUT, f"--uri={PHOTOS}/new-00000.jpg", "--style=adventure")
    nights.command("export", "catalog", "export", OUTPUT, f"--output=gs://{BUCKET}/clean")
    nights.put({f"late-{number:05d}.jpg": content for number, content in enumerate(islice(rest, new))})
    nights.command("killed", *RUN, "--style=romance,adventure", kill=True)
    nights.command("killed status", "status", OUTPUT, "--max-age=26h")
    nights.night("night 4", "romance,adventure", new)
    nights.command("vacuum", "vacuum", OUTPUT, "--older-than=0d")
    nights.check()


def main(source: Path, folder: Path, count: int = 2000) -> None:
    """Makes the figures."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    photos = [path.read_bytes() for path in islice(sorted(source.iterdir()), count * 6 // 5 + 10)]
    requests, services = Requests(), (storage.__wrapped__(), metadata.__wrapped__())
    try:
        address, meta = map(next, services)
        tell(Nights(Cloud(address, "", meta, DataflowRecord(), folder / "home"), requests, folder), photos, count)
    finally:
        for service in services:
            next(service, None)  # ends it


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).absolute(), *map(int, sys.argv[3:4]))
