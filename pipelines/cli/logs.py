"""Logs of a command on the error output: text for people, or lines of JSON for machines. Secrets are hidden."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TextIO

from pipelines.cli.error_output import ErrorOutput
from transforms.redaction import without_secrets

LOG = logging.getLogger("storyteller")
"""Logger of a run's progress; text logs omit it because they have a progress line."""


class BareFormatter(logging.Formatter):
    """Formats a record, with its traceback, and hides secrets in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's text without secrets."""
        return without_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, with keys that Cloud Logging knows, and hides secrets in it."""

    run_id = ""

    def format(self, record: logging.LogRecord) -> str:
        """Returns an object with time, severity, message and logger; run_id, stage, uri and stack_trace where known."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "message": record.getMessage().strip("\n"),
            "logger": record.name,
            "run_id": self.run_id,
            "stage": getattr(record, "stage", None) or step_of_thread(),
            "uri": getattr(record, "uri", None),
            "stack_trace": self._stack_trace(record),
        }
        return json.dumps({name: without_secrets(text) for name, text in fields.items() if text})

    def _stack_trace(self, record: logging.LogRecord) -> str:
        traceback = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        stack = self.formatStack(record.stack_info) if record.stack_info else ""
        return "\n".join(filter(None, (traceback, stack)))


def step_of_thread() -> str | None:
    """Returns the label of the pipeline step that runs in this thread, or None without one."""
    statesampler = sys.modules.get("apache_beam.runners.worker.statesampler")  # if not imported, there is no pipeline
    tracker = statesampler.get_current_tracker() if statesampler else None
    state = tracker.current_state() if tracker else None
    return state.name_context.step_name if state and state.name_context else None


def log_without_secrets() -> None:
    """Sends warnings and errors to the error output as text, unless logging is set up already."""
    handler = logging.StreamHandler()
    handler.setFormatter(BareFormatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(True)


@contextlib.contextmanager
def logging_as(form: str) -> Iterator[None]:
    """Logs in a format, `text` or `json`, until the context ends.

    As JSON it logs everything that this process and its child processes write to the error output.
    """
    if form != "json":
        log_without_secrets()
        yield
        return
    with os.fdopen(os.dup(2), "w", encoding="utf-8") as stream, _handled_by(stream), ErrorOutput():
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)


@contextlib.contextmanager
def _handled_by(stream: TextIO) -> Iterator[None]:
    """Writes all records to a stream as JSON, by a single handler, until the context ends."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    before, levels = root.handlers[:], (root.level, LOG.level)
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(levels[0])
        LOG.setLevel(levels[1])


def name_run(run_id: str) -> None:
    """Adds the run's id to all further lines of a JSON log."""
    for formatter in _json_formatters():
        formatter.run_id = run_id


def say(message: object, level: int = logging.INFO) -> None:
    """Prints a message for people on the error output; in a JSON log it is a normal line."""
    if any(_json_formatters()):
        LOG.log(level, "%s", message)
    else:
        print(without_secrets(str(message)), file=sys.stderr)


def say_problems(heading: str, problems: Iterable[str]) -> None:
    """Prints a list of problems below a heading."""
    say("\n".join([heading, *(f"  - {problem}" for problem in problems)]), logging.ERROR)


def _json_formatters() -> Iterator[JsonFormatter]:
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            yield handler.formatter
