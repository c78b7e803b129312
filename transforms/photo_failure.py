"""Why one photo gets no story: what all such errors have."""

from typing import ClassVar


class PhotoFailure(Exception):
    """Something is wrong with one photo, which becomes a dead letter.

    Attributes:
        code: names the error in rows and between processes, also when its class is renamed.
        retryable: another night may do better.
    """

    code: ClassVar[str]
    retryable: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Returns the code as dead letters spell it, such as DamagedImage."""
        return "".join(word.capitalize() for word in self.code.split("_"))
