"""Sortscope: a transformer that taught itself to sort, and the tools to take it apart."""
