"""All analyses, in the order of a report: from what the model does to what happens inside it."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

from analyses.common import Analysis

NAMES = (
    "behaviour",
    "which_program",
    "align_program",
    "ablate_blanks",
    "transplant_blanks",
    "blank_output_matrix",
    "shift_blanks",
    "patch_blanks",
    "path_blanks",
    "attention_patterns",
    "head_finder",
    "logit_lens",
    "attribution",
    "probe_blanks",
)


def module_of(name: str) -> ModuleType:
    """The module of an analysis; importing it costs nothing until it computes."""
    return importlib.import_module(f"analyses.{name}")


def analysis(name: str) -> Analysis:
    """The analysis of that name."""
    return module_of(name).ANALYSIS


def caveat(name: str) -> str:
    """What an analysis does not show, as its own description says it."""
    paragraphs = (inspect.getdoc(module_of(name)) or "").split("\n\n")
    found = [p for p in paragraphs if p.startswith("What it does not show")]
    return " ".join(found[0].split()).partition(": ")[2] if found else ""
