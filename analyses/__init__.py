"""Experiments on a model, a folder each: ``python -m analyses.patch_blanks``."""
