"""Reads one circuit of one head off the weights; there is no chance in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import torch
from jaxtyping import Float

from analyses.heads.head_circuits import NAMES, CircuitConfig
from interp import figures
from interp.config import ModelConfig
from interp.methods.circuits import copying_score, ov_circuit, qk_circuit
from interp.sites import head_name
from interp.support.errors import UserError
from interp.support.progress import Progress
from interp.transformer import Transformer

_FAINTEST = 0.01  # the least that the colours reach to: rounding is not to look like a circuit
_MOST_WRITTEN = 16  # rows and columns of a heatmap whose cells have room for their number


@dataclass(frozen=True)
class CircuitResult:
    """One matrix of one head."""

    values: Float[torch.Tensor, "row column"]
    """Nats of logit (OV), or of attention score; NaN where the column is after the row."""
    rows: list[str]
    columns: list[str]
    config: CircuitConfig
    approximation: str
    copying: float
    """Of the head, -1 to 1: :func:`interp.methods.circuits.copying_score`; NaN if it writes
    nothing."""


def compute(
    model: Transformer, settings: CircuitConfig, seed: int, progress: Progress
) -> CircuitResult:
    """The matrix that the settings asks for; there is no chance in it.

    Raises:
        UserError: if there is no such head.
    """
    del seed, progress
    if not 0 <= settings.head < model.cfg.n_heads:
        raise UserError(
            f"there is no head {settings.head}: a layer has 0 to {model.cfg.n_heads - 1} here"
        )
    ov = ov_circuit(model, settings.layer)
    tokens, positions = model.task.token_labels, model.task.labels()
    rows = positions if settings.circuit.startswith("qk-position") else tokens
    columns = positions if settings.circuit.endswith(("-position", "-positions")) else tokens
    values = ov[settings.head] if settings.circuit == "ov" else _qk(model, settings)
    return CircuitResult(
        values.cpu(),
        rows,
        columns,
        settings,
        approximation(model.config, settings),
        float(copying_score(model.task, ov)[settings.head]),
    )


def _qk(model: Transformer, config: CircuitConfig) -> Float[torch.Tensor, "row column"]:
    """A QK matrix less each row's mean over keys that it is fair to compare with."""
    qk, head = qk_circuit(model, config.layer), config.head
    if config.circuit == "qk-tokens":
        return qk.token_preference[head]
    if config.circuit == "qk-position-token":
        scores = qk.position_to_token[head]
        return scores - scores[:, : model.task.n_symbols].mean(-1, keepdim=True)
    if config.circuit == "qk-token-position":
        scores = qk.token_to_position[head]
        return scores - scores.mean(-1, keepdim=True)
    scores = qk.positions[head]
    later = torch.ones_like(scores).triu(1).bool()
    scores = scores.masked_fill(later, torch.nan)
    return scores - scores.nanmean(-1, keepdim=True)


def approximation(config: ModelConfig, asked: CircuitConfig) -> str:
    """What is exact about a circuit of this model, and what is not."""
    direct = (
        "Only the direct path is seen, from the embedding to this head"
        + (" and from it to the logits" if asked.circuit == "ov" else "")
        + (", not what layers below add." if asked.layer else ".")
    )
    exact_qk = asked.circuit != "ov" and config.norm == "post" and asked.layer == 0
    if config.norm == "none" or exact_qk:
        why = "there is no LayerNorm" if config.norm == "none" else "no LayerNorm comes before it"
        return f"{direct} Exact on that path: {why}."
    return (
        f"{direct} Each LayerNorm on the way is approximated by its linear part: the mean is taken "
        "off and the gain multiplied in, but the division by the standard deviation is left out, "
        "so signs and proportions within a row mean more than sizes."
    )


# -- figure, words and JSON ---------------------------------------------------------------------


def figure(result: CircuitResult) -> go.Figure:
    """A heatmap on a scale centred on zero; small ones with the numbers in their cells."""
    ov = result.config.circuit == "ov"
    what = "logit" if ov else "score"
    values = result.values.numpy() + 0.0  # no "-0.0" in the cells
    limit = max(_FAINTEST, float(result.values.nan_to_num().abs().max()))
    small = max(values.shape) <= _MOST_WRITTEN
    cells = go.Heatmap(
        z=values,
        x=result.columns,
        y=result.rows,
        colorscale=figures.DIVERGING,
        zmin=-limit,
        zmax=limit,
        hoverongaps=False,
        hovertemplate="%{y} · %{x}<br>" + what + " %{z:+.3f}<extra></extra>",
        colorbar={"title": {"text": what, "side": "right"}, "thickness": 12},
    )
    if small:
        cells.update(texttemplate="%{z:.1f}", textfont={"size": 10})
    fig = go.Figure(cells)
    sides = ("token attended to", "output") if ov else ("who looks", "looked for")
    angle = 0 if len(result.columns) <= _MOST_WRITTEN else -90
    below = 60 if len(result.columns) <= _MOST_WRITTEN else 100
    fig.update_xaxes(
        type="category", title=sides[1], tickangle=angle, **figures.label_axis(result.columns, 30)
    )
    rows = figures.label_axis(result.rows, 30)
    fig.update_yaxes(type="category", title=sides[0], autorange="reversed", **rows)
    head = head_name((result.config.layer, result.config.head))
    kind = NAMES[result.config.circuit].partition(":")[0]
    height = 460 if len(result.rows) <= _MOST_WRITTEN else 680
    return figures.style(fig, f"Head {head}: {kind} circuit", height).update_layout(
        margin={"b": below}
    )


def rows(result: CircuitResult) -> list[dict[str, Any]]:
    """A row for each row of the matrix; None where the matrix has no number."""
    return [
        {
            "row": row,
            **{k: None if v != v else v for k, v in zip(result.columns, line, strict=True)},
        }
        for row, line in zip(result.rows, result.values.tolist(), strict=True)
    ]


def summary(result: CircuitResult) -> list[str]:
    """The largest entries, the copying score, and how exact it is."""
    values = result.values.nan_to_num()
    best = values.abs().flatten().topk(min(5, values.numel())).indices.tolist()
    what = "logit" if result.config.circuit == "ov" else "score"
    lines = []
    for place in best:
        row, column = divmod(place, values.shape[1])
        value = float(values[row, column])
        lines.append(f"  {result.rows[row]} · {result.columns[column]}: {what} {value:+.2f}")
    copies = "it writes nothing about the digits on the direct path"
    if result.copying == result.copying:
        copies = f"copying score {result.copying:+.2f} (1 copies the digit, -1 lowers it)"
    head = head_name((result.config.layer, result.config.head))
    return [
        f"Head {head}, {NAMES[result.config.circuit]}. The largest entries:",
        *lines,
        f"Head {head}: {copies}.",
        result.approximation,
    ]


def to_json(result: CircuitResult) -> dict[str, Any]:
    """The matrix, row by row."""
    copying = result.copying if result.copying == result.copying else None
    return {"rows": rows(result), "copying": copying, "approximation": result.approximation}
