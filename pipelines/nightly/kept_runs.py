"""Finds the feature vectors and captions that earlier runs kept and this run can use."""

from collections.abc import Container, Iterator, Sequence

from pipelines.tables.commits import Run, comparable
from pipelines.tables.manifests import Manifest
from transforms.kept import KeptFile
from transforms.records import DEFERRED, Networks


def kept_files(
    run: Run, networks: Networks, manifests: Sequence[Manifest], numbers: Container[int] | None = None
) -> Iterator[KeptFile]:
    """Yields the files in which earlier runs kept feature vectors of the same network.

    Args:
        run: this run.
        networks: digests of this run's networks.
        manifests: manifests of earlier runs, as they are now.
        numbers: numbers of the comparable runs that processed one of the wanted photos; None if unknown.
    """
    for manifest in manifests:
        if manifest.get("networks", {}).get("features") != networks.features:
            continue
        late = manifest.get("deadline") and manifest["counts"].get(
            DEFERRED
        )  # features of photos were kept whose stories came too late
        if numbers is not None and comparable(run, manifest) and manifest["number"] not in numbers and not late:
            continue
        for file in manifest["files"]:
            if file["table"] == "features":
                groups = file.get("groups")
                yield KeptFile(file["path"], manifest["number"], None if groups is None else tuple(groups))
