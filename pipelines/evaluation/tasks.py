"""The tasks of `pipelines.evaluate` by name; a new one is one more entry."""

from pipelines.evaluation import captions, retrieval, stories
from pipelines.evaluation.task import EvaluationTask

TASKS: dict[str, EvaluationTask] = {
    "retrieval": retrieval.TASK,
    "captions": captions.TASK,
    "stories": stories.TASK,
}
