"""Leases: no two jobs spend a night on the same photos.

A lease is a numbered file in `OUTPUT/leases/PHOTOS`, where PHOTOS stands for what is listed. Who wants one puts the
next number if absent, so that of two takers one wins, and then looks whether another lease is there that has not
expired: whoever sees one gives way. The owner alone writes a lease again, to renew it, and removes it at the end.

A run on this machine has a short lease and renews it, and others on this machine see when its process was killed. A
submitted job goes on without the process that submitted it: its lease lasts as long as `--lease` says, and the job's
last step removes it.
"""

import contextlib
import hashlib
import json
import logging
import os
import posixpath
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec

from pipelines.tables.manifests import list_files, put_if_absent, read_if_there
from pipelines.tables.refusals import CommitConflictError
from transforms.write_whole import write_whole

RENEWED = timedelta(minutes=15)
"""How long a lease of a run on this machine lasts; it is renewed three times meanwhile."""

ENDED = ("Z", "X")  # states of a process that waits for somebody to note its end
STARTED = 18  # place of a process's start, in ticks since the boot, among the numbers after its state


class LeaseHeldError(CommitConflictError):
    """Another run is telling the same photos."""


@dataclass(frozen=True)
class Lease:
    """A run's right to tell some photos.

    Attributes:
        output: OUTPUT.
        path: of its file, below OUTPUT.
        run_id: the run.
        sources: what the run lists.
        expires: UTC, ISO 8601.
        process: that the run ends with, see `process_name`; empty where it goes on without one.
    """

    output: str
    path: str
    run_id: str
    sources: tuple[str, ...]
    expires: str
    process: str = ""

    @property
    def uri(self) -> str:
        """URI of the lease's file."""
        return posixpath.join(self.output, self.path)

    @property
    def content(self) -> bytes:
        """What the file holds."""
        fields = asdict(self)
        return json.dumps({name: fields[name] for name in ("run_id", "sources", "expires", "process")}).encode()

    @property
    def is_live(self) -> bool:
        """Whether it holds still: its time has not come, and its process has not ended."""
        return datetime.fromisoformat(self.expires) > datetime.now(UTC) and not has_ended(self.process)


def process_name(pid: int) -> str:
    """Returns a name of one of this machine's processes that no other process has, on any machine and at any time.

    It differs between containers too. It is empty where there is no such process, or where the system does not say.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        state, *numbers = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
        started = numbers[STARTED]
        return "" if state in ENDED else f"{boot} {os.readlink('/proc/self/ns/pid')} {started} {pid}"
    except OSError:
        return ""


def has_ended(process: str) -> bool:
    """Tells whether a process was one of this machine's and is no more."""
    here = process_name(os.getpid()).split()[:2]
    *place, _, pid = process.split() or [""] * 4
    return bool(here) and place == here and process_name(int(pid)) != process


def take(output: str, run_id: str, sources: Sequence[str], length: timedelta, process: str = "") -> Lease:
    """Returns the run's lease on what it lists.

    Raises:
        LeaseHeldError: another run has one.
    """
    names = tuple(sorted(sources))
    folder = f"leases/{hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]}"
    while True:
        others = _read_folder(output, folder)
        _refuse(others)
        number = max((int(posixpath.basename(other.path)[:8]) for other in others), default=0) + 1
        lease = Lease(output, f"{folder}/{number:08d}.json", run_id, names, _after(length), process)
        try:
            put_if_absent(lease.uri, lease.content)
            break
        except FileExistsError:  # another taker was faster
            continue
    others = [other for other in _read_folder(output, folder) if other.run_id != run_id]
    try:
        _refuse(others)
    except LeaseHeldError:
        release(lease)
        raise
    for other in others:
        release(other)
    return lease


def _after(length: timedelta) -> str:
    return (datetime.now(UTC) + length).isoformat(timespec="seconds")


def _refuse(leases: Sequence[Lease]) -> None:
    """Raises LeaseHeldError where one of the leases has not expired."""
    for lease in leases:
        if lease.is_live:
            raise LeaseHeldError(
                f"run {lease.run_id} is telling {', '.join(lease.sources)} into {lease.output}, and holds {lease.path} "
                f"until {lease.expires}. Wait for its end, then try again"
            )


def refuse_live(output: str) -> None:
    """Raises LeaseHeldError where a run is telling any photos."""
    _refuse(read_leases(output))


def read_leases(output: str) -> list[Lease]:
    """Returns all leases under OUTPUT, expired ones too."""
    filesystem, path = fsspec.core.url_to_fs(posixpath.join(output, "leases"))
    try:
        folders = filesystem.ls(path, detail=False, refresh=True)
    except FileNotFoundError:
        return []
    names = [posixpath.basename(folder.rstrip("/")) for folder in folders]
    return [lease for name in names for lease in _read_folder(output, f"leases/{name}")]


def _read_folder(output: str, folder: str) -> list[Lease]:
    leases = []
    for name in list_files(output, folder, ".json"):
        path = f"{folder}/{name}"
        content = read_if_there(posixpath.join(output, path))
        if content is not None:  # its owner may have removed it just now
            leases.append(_read_lease(output, path, content))
    return leases


def _read_lease(output: str, path: str, content: bytes) -> Lease:
    """Returns a lease; one that was cut short, where the store was full, is nobody's."""
    try:
        fields = json.loads(content)
    except ValueError:
        return Lease(output, path, "", (), datetime.fromtimestamp(0, UTC).isoformat())
    return Lease(output, path, **fields | {"sources": tuple(fields["sources"])})


def renew(lease: Lease, length: timedelta) -> Lease:
    """Returns the lease with a later end.

    Raises:
        LeaseHeldError: it had expired, and another run has taken it over.
    """
    later = replace(lease, expires=_after(length))
    write_whole(later.uri, later.content)
    try:
        _refuse([other for other in _read_folder(lease.output, posixpath.dirname(lease.path)) if other != later])
    except LeaseHeldError:
        release(later)
        raise
    return later


def release(lease: Lease) -> None:
    """Removes a lease, if it is there."""
    filesystem, path = fsspec.core.url_to_fs(lease.uri)
    with contextlib.suppress(FileNotFoundError):
        filesystem.rm_file(path)


def release_run(output: str, run_id: str) -> None:
    """Removes the leases of a run."""
    for lease in read_leases(output):
        if lease.run_id == run_id:
            release(lease)


@contextlib.contextmanager
def hold(output: str, run_id: str, sources: Sequence[str], length: timedelta = RENEWED) -> Iterator[None]:
    """Holds a lease, renews it while the run goes, and removes it at its end, whatever that is.

    Raises:
        LeaseHeldError: another run has one.
    """
    lease = take(output, run_id, sources, length, process_name(os.getpid()))
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, length, ended), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        release(lease)


def _keep(lease: Lease, length: timedelta, ended: threading.Event) -> None:
    """Renews a lease until the run has ended; one that was lost is told, and the commit decides."""
    while not ended.wait(length.total_seconds() / 4):
        try:
            lease = renew(lease, length)
        except LeaseHeldError as error:
            logging.warning("The lease was lost while this run stood still: %s", error)
            return
        except Exception:  # each store's client raises errors of its own; the next try comes before the end
            logging.warning("The lease %s could not be renewed", lease.uri, exc_info=True)
