"""Entry points, options, wiring, training, evaluation and reports."""
