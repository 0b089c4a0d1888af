"""What share of attention every head gives each region, and one head in full."""

from __future__ import annotations

from typing import Any

from analyses.one_list.glance import GlanceSettings
from analyses.one_list.glance.figure import glance_figure
from analyses.one_list.glance.result import AnswerRows, answer_rows
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.sites import head_name
from interp.support.progress import Progress

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(subject: ListSubject, settings: GlanceSettings, seed: int, progress: Progress) -> Shown:
    """Shares of all heads beside one in full.

    Raises:
        UserError: if there is no such head.
    """
    found = answer_rows(subject.run(seed).attention, subject.model.task)
    last = subject.model.config.n_layers - 1
    layer = last if settings.layer is None else settings.layer
    found.check_head(layer, settings.head)
    shares = found.shares.reshape(-1, len(found.regions))
    words = [
        f"{name}: " + ", ".join(f"{r} {v:.2f}" for r, v in zip(found.regions, row, strict=True))
        for name, row in zip(found.heads, shares, strict=True)
    ]
    drawn = glance_figure(found, layer, settings.head)
    return Shown(drawn, table(found, layer, settings.head), words)


def table(found: AnswerRows, layer: int, head: int) -> list[dict[str, Any]]:
    """The numbers behind the figure: shares of every head, then the chosen head's weights."""
    shares = [
        {"what": "share", "head": name, "to": region.value, "value": float(value)}
        for name, row in zip(found.heads, found.shares.reshape(-1, len(found.regions)), strict=True)
        for region, value in zip(found.regions, row, strict=True)
    ]
    weights = [
        {
            "what": "attention",
            "head": f"head {head_name((layer, head))}",
            "from": row,
            "to": key,
            "value": float(value),
        }
        for row, values in zip(found.rows, found.pattern[layer, head], strict=True)
        for key, value in zip(found.keys, values, strict=True)
    ]
    return [*shares, *weights]
