"""Errors that end a run and are no photo's fault; who only names them need not load torch."""


class DeviceError(Exception):
    """The device that was asked for is not on this machine, or does not compute as was asked."""

    code = "device"


class OutOfMemory(MemoryError):  # noqa: N818 (named like torch's)
    """Memory ran out, and no smaller batch is left to try; no photo's fault."""

    code = "out_of_memory"
