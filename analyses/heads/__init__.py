"""Experiments about single attention heads.

python -m analyses.heads.head_finder --model blanks
"""
