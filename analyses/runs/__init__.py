"""Experiments about runs of training: what they logged, and what their checkpoints do.

python -m analyses.runs.training_curves blanks no-blanks
"""
