"""How a long computation tells whoever started it how far it is, without knowing who that is."""

from __future__ import annotations


class Progress:
    """Does nothing; a command line or a page passes one that shows something."""

    def begin(self, total: int, words: str) -> None:
        """A stage of ``total`` steps begins; it may be the next of several."""

    def step(self, done: int = 1) -> None:
        """So many steps of the stage have been done since the last call."""


SILENT = Progress()
