"""Programs that no prefix tells apart: one function, computed in two ways.

Names alone, so that a command's face can have them without importing torch.
"""

from __future__ import annotations

SAME_FUNCTION = (("histogram", "rank"),)
"""Programs that differ in their variables alone."""


def same_function(name: str) -> tuple[str, ...]:
    """The programs that say what this one says, itself included, by name."""
    return next((names for names in SAME_FUNCTION if name in names), (name,))
