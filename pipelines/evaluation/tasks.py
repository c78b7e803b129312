"""The tasks of `pipelines.evaluate` by name; a new task is one more entry."""

from pipelines.evaluation import captions_task as captions
from pipelines.evaluation import decoder_task as perplexity
from pipelines.evaluation import reconstruction_task as reconstruction
from pipelines.evaluation import retrieval_task as retrieval
from pipelines.evaluation import sentences_task as sentences
from pipelines.evaluation import stories_task as stories
from pipelines.evaluation.task import EvaluationTask

TASKS: dict[str, EvaluationTask] = {
    "retrieval": retrieval.TASK,
    "captions": captions.TASK,
    "sentences": sentences.TASK,
    "decoder": perplexity.TASK,
    "reconstruction": reconstruction.TASK,
    "stories": stories.TASK,
}
