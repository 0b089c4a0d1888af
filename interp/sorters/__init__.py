"""Sorters compiled by hand, how they are assembled, and what is true of them."""
