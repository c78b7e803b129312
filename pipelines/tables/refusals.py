"""Errors after which a run or a command publishes nothing."""


class TooManyDeadLettersError(Exception):
    """More photos failed than `max_dead_letter_ratio` allows; nothing is published."""

    code = "too_many_dead_letters"


class CommitConflictError(Exception):
    """Another run committed the same photos in the meantime; nothing is published."""

    code = "commit_conflict"
