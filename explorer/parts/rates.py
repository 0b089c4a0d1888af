"""How many held-out lists come out right: scored in the background, so that nothing waits for it.

rates = scored(opened, (Treatment(), mask), "sort rates")
if rates is not None:
    ...
"""

from __future__ import annotations

from collections.abc import Sequence

from explorer.parts.background import in_background
from explorer.server import results
from explorer.server.models import OpenModel
from interp.answers.treatment import Treatment
from interp.stats import Estimate
from interp.support.progress import Progress

_PAUSE = 0.8  # seconds; who slides on meanwhile is spared the scoring of where he was


def scored(
    opened: OpenModel, treatments: Sequence[Treatment], name: str
) -> Sequence[Estimate] | None:
    """Exact match under each of these, once it is known; until then a bar.

    Args:
        treatments: as for :func:`explorer.server.results.exact_match`.
        name: of the place on its page.
    """

    def compute(progress: Progress) -> Sequence[Estimate]:
        progress.begin(len(treatments) * results.SAMPLE, "")
        return [results.exact_match(opened, one, progress) for one in treatments]

    key = ("exact matches", opened.hash, tuple(treatments))
    title = f"Scoring {results.SAMPLE} held-out lists"
    return in_background(key, title, compute, "", name, _PAUSE)
