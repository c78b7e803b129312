"""Base class of errors because of which a photo gets no story."""

from typing import ClassVar


class PhotoFailure(Exception):
    """Something is wrong with one photo, which becomes a dead letter.

    Attributes:
        code: name of the error in rows and between processes; it stays when the class is renamed.
        retryable: a later run may succeed.
    """

    code: ClassVar[str]
    retryable: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Returns the code in the spelling of dead letters, such as DamagedImage."""
        return "".join(word.capitalize() for word in self.code.split("_"))
