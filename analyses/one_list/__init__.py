"""Experiments about one list."""
