"""Experiments on a model, one runnable file each: ``python -m analyses.patch_blanks``."""
