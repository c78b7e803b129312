"""What a command logs, on the error output: text for people, or for machines JSON by lines. Secrets are hidden."""

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
"""Tells how a run goes; text logs, which have a progress line, leave that out."""


class BareFormatter(logging.Formatter):
    """Formats a record, with its traceback, and hides secrets in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's text without secrets."""
        return without_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, under names that Cloud Logging knows, and hides secrets in it."""

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
    """Returns the label of the pipeline's step that this thread is in; None where it is in none."""
    statesampler = sys.modules.get("apache_beam.runners.worker.statesampler")  # not loaded: there is no pipeline
    tracker = statesampler.get_current_tracker() if statesampler else None
    state = tracker.current_state() if tracker else None
    return state.name_context.step_name if state and state.name_context else None


def log_without_secrets() -> None:
    """Lets warnings and errors go to the error output as text, unless logging is set up already."""
    handler = logging.StreamHandler()
    handler.setFormatter(BareFormatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(True)


@contextlib.contextmanager
def logging_as(form: str) -> Iterator[None]:
    """Logs in a format, `text` or `json`, until the context ends.

    As JSON it logs all that this process and those that it starts write to the error output.
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
    """Lets one handler write all records to a stream, as JSON."""
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
    """Lets each further line of a JSON log bear the run's id."""
    for formatter in _json_formatters():
        formatter.run_id = run_id


def say(message: object, level: int = logging.INFO) -> None:
    """Tells a person something on the error output, as it is; in a JSON log it is a line like others."""
    if any(_json_formatters()):
        LOG.log(level, "%s", message)
    else:
        print(without_secrets(str(message)), file=sys.stderr)


def say_problems(heading: str, problems: Iterable[str]) -> None:
    """Tells a person all that is wrong."""
    say("\n".join([heading, *(f"  - {problem}" for problem in problems)]), logging.ERROR)


def _json_formatters() -> Iterator[JsonFormatter]:
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            yield handler.formatter
