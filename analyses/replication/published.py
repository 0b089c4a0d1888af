"""The published figure in numbers: ten runs an arm at full length, lists of 1 to 48 digits.

Read off the pixels of the figures of "Learning Algorithms from Scratch with a Transformer"
(SiliconSloth/Algoformer, 2024), within about a point; one value is the accuracy of one batch of 342
lists. The medians are of the last 1000 of 6000 steps, and of most runs only their range is known.
"""

from __future__ import annotations

from dataclasses import dataclass

from interp.stats import Estimate, wilson

MAX_LEN = 48


@dataclass(frozen=True)
class PublishedArm:
    """What is known of the ten runs of an arm; accuracies are shares."""

    convergent: int
    peaks: tuple[float, float]
    """The lowest and the highest."""
    medians: tuple[float, ...]
    """Those that can be told apart."""
    others: tuple[float, float]
    """The range of all other medians."""
    runs: int = 10

    @property
    def share(self) -> Estimate:
        """Of convergent runs, with a Wilson interval."""
        return wilson(self.convergent, self.runs)


PUBLISHED = {
    "blanks": PublishedArm(2, (0.99, 1.0), (0.96, 0.93, 0.92), (0.37, 0.72)),
    "no-blanks": PublishedArm(0, (0.97, 1.0), (), (0.35, 0.70)),
    "pos-offset": PublishedArm(0, (0.96, 1.0), (), (0.31, 0.66)),
}
"""By arm, in the published order."""
