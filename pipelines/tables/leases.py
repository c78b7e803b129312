"""Leases: they keep two jobs from spending a night on the same photos.

A lease is a numbered file in `OUTPUT/leases/PHOTOS`, where PHOTOS is a hash of what is listed. A run takes one by
writing the next number if absent, so that one of two takers wins. It then looks for another lease that has not expired,
and gives way if there is one. Only the owner writes a lease again, to renew it, and removes it at the end.

A run on this machine has a short lease and renews it, and others on this machine see when its process was killed. A
submitted job continues without the process that submitted it: its lease lasts as long as `--lease` says, and the job's
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
"""How long a lease of a run on this machine lasts; it is renewed three times in that time."""

ENDED = ("Z", "X")  # states of a process that has ended but was not reaped
STARTED = 18  # index of a process's start, in ticks since the boot, among the numbers after its state


class LeaseHeldError(CommitConflictError):
    """Another run is processing the same photos."""


@dataclass(frozen=True)
class Lease:
    """A run's right to process some photos.

    Attributes:
        output: OUTPUT.
        path: path of the lease's file, below OUTPUT.
        run_id: id of the run.
        sources: places whose photos the run lists.
        expires: end of the lease, UTC, ISO 8601.
        process: process with which the run ends, see `process_name`; empty if the run does not depend on one.
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
        """Content of the lease's file."""
        fields = asdict(self)
        return json.dumps({name: fields[name] for name in ("run_id", "sources", "expires", "process")}).encode()

    @property
    def is_live(self) -> bool:
        """Whether the lease is still valid: it has not expired, and its process has not ended."""
        return datetime.fromisoformat(self.expires) > datetime.now(UTC) and not has_ended(self.process)


def process_name(pid: int) -> str:
    """Returns a name for one of this machine's processes that no other process has, on any machine and at any time.

    It differs between containers too. It is empty if there is no such process, or if the system does not provide it.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        state, *numbers = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
        started = numbers[STARTED]
        return "" if state in ENDED else f"{boot} {os.readlink('/proc/self/ns/pid')} {started} {pid}"
    except OSError:
        return ""


def has_ended(process: str) -> bool:
    """Returns whether a process was one of this machine's and has ended."""
    here = process_name(os.getpid()).split()[:2]
    *place, _, pid = process.split() or [""] * 4
    return bool(here) and place == here and process_name(int(pid)) != process


def take(output: str, run_id: str, sources: Sequence[str], length: timedelta, process: str = "") -> Lease:
    """Returns the run's lease on the photos that it lists.

    Raises:
        LeaseHeldError: another run has a lease.
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
    """Raises LeaseHeldError if one of the leases has not expired."""
    for lease in leases:
        if lease.is_live:
            raise LeaseHeldError(
                f"run {lease.run_id} is processing {', '.join(lease.sources)} into {lease.output}, and holds "
                f"{lease.path} until {lease.expires}. Wait for its end, then try again"
            )


def refuse_live(output: str) -> None:
    """Raises LeaseHeldError if a run is processing any photos."""
    _refuse(read_leases(output))


def read_leases(output: str) -> list[Lease]:
    """Returns all leases under OUTPUT, including expired ones."""
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
    """Returns a lease; one that is truncated, because the store was full, belongs to no run."""
    try:
        fields = json.loads(content)
    except ValueError:
        return Lease(output, path, "", (), datetime.fromtimestamp(0, UTC).isoformat())
    return Lease(output, path, **fields | {"sources": tuple(fields["sources"])})


def renew(lease: Lease, length: timedelta) -> Lease:
    """Returns the lease with a later end.

    Raises:
        LeaseHeldError: the lease had expired, and another run has taken it over.
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
    """Holds a lease, renews it during the run, and removes it at the end, even after an error.

    Raises:
        LeaseHeldError: another run has a lease.
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
    """Renews a lease until the run has ended; a lost lease is logged, and the commit decides."""
    while not ended.wait(length.total_seconds() / 4):
        try:
            lease = renew(lease, length)
        except LeaseHeldError as error:
            logging.warning("The lease was lost while this run was suspended: %s", error)
            return
        except Exception:  # each store's client raises errors of its own; the next try comes before the end
            logging.warning("The lease %s could not be renewed", lease.uri, exc_info=True)
