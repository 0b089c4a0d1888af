"""Attention at a glance: what share every head gives each region, and one head in full.

    python -m analyses.one_list.glance --model blanks --list 3,1,4 --layer 1 --head 0

While the model answers a list, digit by digit, each output's row spreads its attention over what is
before it. On the left the mean over those rows of what goes to the list's digits, to SEP, to the
blanks, to the last blank (itself the first row) and to the outputs so far; a row of the table adds
up to 1. On the right one head, row by row.

What it does not show: that what is looked at is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfList


@dataclass(frozen=True)
class GlanceSettings:
    """Which head is shown in full."""

    layer: int | None = None  # of the head that is shown in full (default: the last)
    head: int = 0  # of that layer


EXPERIMENT = Experiment(
    name="one_list.glance",
    title="Attention at a glance",
    about=OfList,
    settings=GlanceSettings(),
)
