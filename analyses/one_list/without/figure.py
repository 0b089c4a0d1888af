"""What ``analyses.one_list.without`` found: in words, as rows and as a figure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from analyses.one_list.without.result import AblatedAnswers
from interp import figures
from interp.task import SortTask

_COLOURS = ("#A6DBC8", "#C9B8E8", "#F9B98C")  # right, list B's, neither: legible under black text
_MARKS = ("✓", "B", "✗")
_MANY = 24  # outputs from which cells are too narrow for large print
_TITLE = "What is answered, with one thing taken away"


def summary(result: AblatedAnswers) -> list[str]:
    """A line for every line, in words."""
    n = len(result.right_answer)
    lines = [f"List: {_text(result.digits)}. List B: {_text(result.other)}."]
    for line in result.lines:
        right, follows = result.right(line.name), result.follows(line.name)
        lines.append(
            f"{line.name}: {right} of {n} outputs right; of the {result.telling} in which the "
            f"answers differ, {follows} list B's."
        )
    return lines


def rows(result: AblatedAnswers) -> list[dict[str, object]]:
    """Every output of every line."""
    kinds = ("right", "list B's", "neither")
    ours, theirs = result.padded(result.right_answer), result.padded(result.other_answer)
    return [
        {
            "done": line.name,
            "output": i,
            "said": _token(result.task, token),
            "right answer": ours[i],
            "list B's answer": theirs[i],
            "verdict": kinds[kind],
        }
        for line in result.lines
        for i, (token, kind) in enumerate(zip(line.tokens, result.kinds(line), strict=True))
    ]


def figure(result: AblatedAnswers, title: str = _TITLE) -> go.Figure:
    """Lines by outputs: ✓ right, B as for list B, ✗ neither."""
    n = max(len(line.tokens) for line in result.lines)
    marks = [result.kinds(line) for line in result.lines]
    text = [
        [
            _cell(result.task, token, kind, n < _MANY)
            for token, kind in zip(line.tokens, kinds, strict=True)
        ]
        for line, kinds in zip(result.lines, marks, strict=True)
    ]
    steps = [(at, c) for i, c in enumerate(_COLOURS) for at in (i / 3, (i + 1) / 3)]
    fig = go.Figure(
        go.Heatmap(
            z=marks,
            x=list(range(n)),
            y=[line.name for line in result.lines],
            text=text,
            texttemplate="%{text}",
            textfont={"color": "black", "size": 13 if n < _MANY else 9},
            hovertemplate="%{y}<br>output %{x}: %{text}<extra></extra>",
            colorscale=steps,
            zmin=0,
            zmax=2,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    fig.update_yaxes(autorange="reversed")
    labels = [f"out {i}" for i in range(n)] if n < _MANY else [str(i) for i in range(n)]
    fig.update_xaxes(side="top", **figures.label_axis(labels, 48))
    figures.style(fig, title, height=130 + 32 * len(result.lines))
    return fig.update_layout(margin={"t": 90, "b": 20})


def _cell(task: SortTask, token: int, kind: int, wide: bool) -> str:
    if wide:
        return f"{_token(task, token)} {_MARKS[kind]}"
    return f"{task.token_label(token)}{_MARKS[kind]}"


def _token(task: SortTask, token: int) -> str:
    return "BLANK" if token == task.blank else task.token_label(token)


def _text(digits: Sequence[int]) -> str:
    return " ".join(map(str, digits))
