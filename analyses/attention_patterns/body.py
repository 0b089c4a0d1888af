"""Where does each head look, and what do its weights say it would look for?

    python -m analyses.attention_patterns
    python -m analyses.attention_patterns --model no-blanks --length 48

Lists of one length are run along their right answers, and the patterns of every head are averaged
at the *answer rows*, those that emit the sorted digits. With the list 3 1 1 and three blanks:

    3 1 1 SEP _ _ _ 1 1         rows: the last _ emits 1, the first 1 emits 1, the second emits 3
                                keys: everything up to the row itself

Per head, with intervals over lists: attention to each region; entropy, as a share of that of
uniform attention; the constant offset that gathers most; how much of the pattern is a function of
the offset alone; attention to an equal digit, the next larger one, the digit to be emitted, the
previous position and the row's own blank, each *above chance* (see ``interp.methods.attention`` for
exact definitions). Below, the QK circuit over tokens and the OV circuit to the logits, which are
read off the weights and see the direct path only (``interp.methods.circuits`` says where that is
exact).

What it does not show: whether anything is read where a head looks. A head can look at its own blank
and write nothing (``compiled:direct``), and one that carries all counts can look like one that
rests on SEP (``compiled:slots``). ``analyses.head_finder`` tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jaxtyping import Float

from analyses.common import Analysis, CommonArgs, run_analysis
from interp.support.errors import UserError, at_least
from interp.support.lazy import lazy_import
from interp.support.progress import SILENT, Progress
from interp.task import Region

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import torch

    from interp.methods.attention import AttentionStats
    from interp.model import SortTransformer
    from interp.stats import Estimate
else:
    torch = lazy_import("torch")


@dataclass(frozen=True)
class PatternConfig:
    """Which lists, and from when on a head is said to look for something."""

    lists: int = 96  # enough for intervals of a few percent
    length: int = (
        24  # of all lists, so that positions mean the same; or the longest the model takes
    )
    looks: float = 0.25  # attention to a target above chance from which it is named

    def __post_init__(self) -> None:
        at_least(self, lists=2, length=1)
        if not 0 <= self.looks < 1:
            raise UserError(f"--looks must be from 0 to below 1, not {self.looks}")


@dataclass(frozen=True)
class PatternResult:
    """Statistics list by list, and the circuits of every layer."""

    stats: AttentionStats
    qk: Float[torch.Tensor, "layer head query_token key_token"]
    """Scores of the direct path, less their mean over the digits as keys."""
    ov: Float[torch.Tensor, "layer head source_token output_token"]
    """Logits of the direct path, less their mean over the outputs."""
    copying: Float[torch.Tensor, "layer head"]
    """From -1 to 1; NaN for a head that writes nothing about the digits on the direct path."""
    config: PatternConfig

    @cached_property
    def table(self) -> list[dict[str, Estimate | None]]:
        """For every head its statistics at the answer rows; None where there are no such rows."""
        from interp.methods.attention import KEYS, head_scores

        scores = {name: s for name, s in head_scores(self.stats).items() if name[:3] != "on "}
        present = [k for k in KEYS if self.stats.task.region(k, self.stats.length)]
        return [self._row(head, present, scores) for head in self.stats.heads]

    def _row(
        self, head: tuple[int, int], regions: list[Region], scores: dict[str, Any]
    ) -> dict[str, Estimate | None]:
        from interp.methods.attention import ANSWER_ROWS, ROWS

        stats, answer = self.stats, ROWS.index(ANSWER_ROWS)
        best = stats.offset_mass[:, *head, answer, stats.best_offset(*head) or 0]
        columns = {f"on {k}": stats.masses(*head, ANSWER_ROWS, k) for k in regions}
        columns |= {"entropy, bits": stats.entropy[:, *head, answer], BEST: best}
        columns |= {name: values[:, *head] for name, values in scores.items()}
        return {name: stats.estimate(values) for name, values in columns.items()}


BEST = "best offset"


def compute(
    model: SortTransformer,
    config: PatternConfig = PatternConfig(),
    seed: int = 0,
    progress: Progress = SILENT,
) -> PatternResult:
    """Statistics of the patterns on random lists of one length, and the circuits."""
    from interp.methods.attention import attention_stats
    from interp.methods.circuits import copying_score, ov_circuit, qk_circuit
    from interp.support.seeds import stream

    progress.begin(1, "patterns")
    lengths = torch.full((config.lists,), min(config.length, model.task.max_len))
    batch = model.task.sample(config.lists, stream("patterns", seed), lengths)
    layers = range(model.cfg.n_layers)
    ov = torch.stack([ov_circuit(model, layer) for layer in layers])
    result = PatternResult(
        attention_stats(model, batch.to(model.W_U.device), seed),
        torch.stack([qk_circuit(model, layer).token_preference for layer in layers]).cpu(),
        ov.cpu(),
        torch.stack([copying_score(one) for one in ov]),
        config,
    )
    progress.step()
    return result


# -- words and JSON -----------------------------------------------------------------------------


def label(head: tuple[int, int]) -> str:
    """``1.2``: head 2 of layer 1."""
    return f"{head[0]}.{head[1]}"


def verdicts(result: PatternResult) -> dict[str, Any]:
    """For each target the heads that look for it: above chance by ``looks``, for certain."""
    from interp.methods.attention import Target

    return {
        target.value: [
            [*head]
            for head, row in zip(result.stats.heads, result.table, strict=True)
            if (found := row[target.value]) and found.low > result.config.looks
        ]
        for target in Target
    }


def summary(result: PatternResult) -> list[str]:
    """A line for each head, then who looks for what."""
    stats = result.stats
    lines = [
        f"{len(stats.mass)} lists of {stats.length} digits. At the rows that emit the answer, in % "
        "(attention; targets above chance; the offset's share of the pattern):"
    ]
    for head, row in zip(stats.heads, result.table, strict=True):
        parts = [
            f"{name} {_words(name, estimate, stats.best_offset(*head))}"
            for name, estimate in row.items()
            if estimate is not None
        ]
        lines.append(f"  head {label(head)}: " + "; ".join(parts))
    return [*lines, _finding(result)]


def _words(name: str, estimate: Estimate, offset: int | None) -> str:
    if name == "entropy, bits":
        return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
    back = f"{offset} back, " if name == BEST else ""
    return back + estimate.percent(0)


def _finding(result: PatternResult) -> str:
    stats, n = result.stats, len(result.stats.mass)
    found = [
        f"{', '.join(label((layer, head)) for layer, head in heads)} for the {target}"
        for target, heads in verdicts(result).items()
        if heads
    ]
    return (
        f"In the last layer the answer rows rest {_last_layer(result)} of their attention "
        f"(mean over heads, n = {n} lists of {stats.length} digits). Heads that look for a target "
        f"{100 * result.config.looks:.0f} % above chance: {'; '.join(found) or 'none'}. "
        "That a head looks somewhere does not show that it carries anything: see head_finder."
    )


def _last_layer(result: PatternResult) -> str:
    """``34 % [33, 35] on digits, 20 % [19, 21] on blanks``"""
    from interp.methods.attention import ANSWER_ROWS, KEYS, ROWS

    stats = result.stats
    means = stats.mass[:, -1, :, ROWS.index(ANSWER_ROWS)].mean(1)  # [list, region]
    parts = [
        f"{found.percent(0)} on {region}"
        for number, region in enumerate(KEYS)
        if stats.task.region(region, stats.length)
        and (found := stats.estimate(means[:, number])) is not None
    ]
    return ", ".join(parts)


def to_json(result: PatternResult) -> dict[str, Any]:
    """Every statistic with its interval, region by region, and the circuits."""
    from interp.methods.attention import KEYS, ROWS
    from interp.methods.circuits import TOKENS

    stats = result.stats

    def one(layer: int, head: int, row: dict[str, Estimate | None]) -> dict[str, Any]:
        copying = float(result.copying[layer, head])
        masses = {
            rows: {
                region: found.to_dict()
                for region in KEYS
                if (found := stats.estimate(stats.masses(layer, head, rows, region)))
            }
            for rows in ROWS
        }
        return {
            "layer": layer,
            "head": head,
            "answer_rows": {name: value and value.to_dict() for name, value in row.items()},
            "best_offset": stats.best_offset(layer, head),
            "mass": {rows: found for rows, found in masses.items() if found},
            "qk_tokens": result.qk[layer, head].tolist(),
            "ov_logits": result.ov[layer, head].tolist(),
            "copying": copying if copying == copying else None,  # not NaN, which is not JSON
        }

    return {
        "length": stats.length,
        "lists": len(stats.mass),
        "tokens": list(TOKENS),
        "heads": [one(*h, row) for h, row in zip(stats.heads, result.table, strict=True)],
        "looks_for": verdicts(result),
    }


# -- command line -------------------------------------------------------------------------------


def figure(result: PatternResult) -> go.Figure:
    """See :func:`analyses.attention_patterns.figure.figure`."""
    from analyses.attention_patterns import figure as attention_figure

    return attention_figure.figure(result)


ANALYSIS = Analysis(
    name="attention_patterns",
    title="Where heads look",
    config=PatternConfig(),
    compute=compute,
    figure=figure,
    summary=summary,
    to_json=to_json,
    needs_blanks=False,
)


@dataclass(frozen=True)
class PatternArgs(CommonArgs):
    """Statistics of every head's attention, and what its weights say."""

    config: PatternConfig = PatternConfig()


def main(argv: Sequence[str] | None = None) -> None:
    run_analysis(ANALYSIS, PatternArgs, argv)


if __name__ == "__main__":
    main()
