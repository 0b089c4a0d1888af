"""Weights that others trained: how their files are read, and what makes a model of them."""
