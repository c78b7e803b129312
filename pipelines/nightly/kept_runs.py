"""Where earlier runs kept the feature vectors and captions that this run can use."""

from collections.abc import Container, Iterator, Sequence

from pipelines.tables.commits import Run, comparable
from pipelines.tables.manifests import Manifest
from transforms.kept import KeptFile
from transforms.records import DEFERRED, Networks


def kept_files(
    run: Run, networks: Networks, manifests: Sequence[Manifest], told: Container[int] | None = None
) -> Iterator[KeptFile]:
    """Yields the files in which earlier runs kept feature vectors of the same network.

    Args:
        run: this one.
        networks: of this run.
        manifests: of earlier runs, as they stand.
        told: numbers of the comparable runs that told one of the photos wanted; None where nobody knows.
    """
    for manifest in manifests:
        if manifest.get("networks", {}).get("features") != networks.features:
            continue
        late = manifest.get("deadline") and manifest["counts"].get(DEFERRED)  # photos were seen, and told no more
        if told is not None and comparable(run, manifest) and manifest["number"] not in told and not late:
            continue
        for file in manifest["files"]:
            if file["table"] == "features":
                groups = file.get("groups")
                yield KeptFile(file["path"], manifest["number"], None if groups is None else tuple(groups))
