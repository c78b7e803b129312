"""The tasks of `pipelines.evaluate` by name; a new one is one more entry."""

from pipelines.evaluation import captions, perplexity, reconstruction, retrieval, sentences, stories
from pipelines.evaluation.task import EvaluationTask

TASKS: dict[str, EvaluationTask] = {
    "retrieval": retrieval.TASK,
    "captions": captions.TASK,
    "sentences": sentences.TASK,
    "decoder": perplexity.TASK,
    "reconstruction": reconstruction.TASK,
    "stories": stories.TASK,
}
