"""What a command logs."""

import logging

from transforms.redaction import without_secrets


class BareFormatter(logging.Formatter):
    """Formats a record, with its traceback, and hides secrets in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's text without secrets."""
        return without_secrets(super().format(record))


def log_without_secrets(form: str) -> None:
    """Lets warnings and errors go to the error output in a form of `logging`, unless logging is set up already."""
    handler = logging.StreamHandler()
    handler.setFormatter(BareFormatter(form))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
