"""Errors that end a run and are not a photo's fault; importing them does not load torch."""


class DeviceError(Exception):
    """The requested device is not available on this machine, or does not support the precision."""

    code = "device"


class OutOfMemory(MemoryError):  # noqa: N818 (named like torch's)
    """Memory ran out, and no smaller batch is possible; not a photo's fault."""

    code = "out_of_memory"
