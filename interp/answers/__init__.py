"""Answers and what changes them: decoding, trials, pairs, ablations, treatments as text."""
