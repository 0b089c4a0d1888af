"""The scoreboard: every method on every sorter compiled by hand, against what is known to be true.

    python -m analyses.known_answers
    python -m analyses.known_answers --max-len 8        # smaller sorters, the same algorithms
    python -m analyses.known_answers --only ablate_blanks transplant_blanks

A row is one question put to one method about one sorter: what the method said, what is true, and
whether that is right. The sorters and their truths are in ``interp.sorters.compiled`` and
``interp.sorters.truth``. Some questions are asked of a method that is known to be unable to answer
them, such as whether blanks are used, of attention alone: these rows are meant to be seen, and
docs/methods.md explains every one that is wrong. None is left out to make the table green.

What it does not show: that a method is right about a trained model, whose algorithm may be of
another kind than these five.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.catalogue import NAMES, analysis, module_of
from analyses.common import Stopwatch, progress_bar
from interp import figures
from interp.sorters.truth import SORTERS, Truth
from interp.support import files
from interp.support.cli import note, run_command
from interp.support.device import Device, pick_device
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.support.manifest import manifest
from interp.support.progress import SILENT, Progress
from interp.task import SortTask

if TYPE_CHECKING:
    import plotly.graph_objects as go
else:
    go = lazy_import("plotly.graph_objects")

PROG = "python -m analyses.known_answers"


@dataclass(frozen=True)
class Case:
    """One question: where the method's answer is found, and what the right one is."""

    analysis: str
    key: str
    """In the ``verdicts`` of the analysis."""
    question: str
    true: Callable[[Truth], Any]
    said: Callable[[Any], Any] = field(default=lambda value: value)
    """Turns the verdict into an answer to the question."""

    @property
    def method(self) -> str:
        return f"{self.analysis}: {self.question}"


def _heads(truth: Truth) -> list[list[int]]:
    return sorted([*head] for head in truth.heads)


def _expected(name: str, key: str) -> Callable[[Truth], Any]:
    """What the analysis itself declares to be true of a sorter."""
    return lambda truth: module_of(name).expected(truth)[key]


def _same_function(program: str) -> list[str]:
    """The programs that say the same after every prefix: prefixes cannot tell them apart."""
    from interp.programs.catalogue import same_function

    return list(same_function(program))


CASES = (
    Case("behaviour", "exact", "share of lists sorted", lambda t: 1.0),
    Case("which_program", "program", "the program", lambda t: _same_function(t.program)),
    Case("align_program", "list", "what holds the list", lambda t: sorted(t.list_in)),
    Case("align_program", "answer", "what holds the answer", lambda t: sorted(t.answer_in)),
    Case("align_program", "foreign", "it holds a variable of another program", lambda t: False),
    Case("ablate_blanks", "mask", "masking destroys the answer", lambda t: t.blanks_needed),
    Case("ablate_blanks", "resample", "other contents destroy it", lambda t: t.blanks_content),
    Case("ablate_blanks", "mean", "mean contents destroy it", lambda t: t.blanks_content),
    Case("transplant_blanks", "blanks", "share that follows", lambda t: float(t.blanks_content)),
    Case(
        "transplant_blanks", "digits", "digits: share that follows",
        lambda t: float(t.digits_content),
    ),
    Case(
        "transplant_blanks", "prefix", "a false prefix matters",
        lambda t: t.prefix_used, lambda share: share > 0,
    ),
    Case("blank_output_matrix", "matrix", "shape", lambda t: t.blank_output),
    Case(
        "shift_blanks", "answer", "the answer, when values shift",
        lambda t: "moves" if t.blank_output == "diagonal" else "stays",
    ),
    Case("patch_blanks", "blanks_content", "blanks carry", lambda t: t.blanks_content),
    Case("patch_blanks", "heads", "heads that carry", _heads),
    Case("path_blanks", "mediated", "share through the blanks", lambda t: t.mediated),
    Case("path_blanks", "impossible_is_zero", "impossible routes are zero", lambda t: True),
    Case(
        "attention_patterns", "own blank", "attention taken for use: blank i feeds output i",
        lambda t: t.blank_output == "diagonal", bool,
    ),
    Case("head_finder", "heads", "heads that matter", _heads),
    Case("head_finder", "by_pattern", "heads by pattern alone", _heads),
    Case(
        "logit_lens", "answer_written_by", "where the answer is made",
        _expected("logit_lens", "answer_written_by"),
    ),
    Case(
        "logit_lens", "sorted_at_blanks", "sorted[j] is at blank j",
        _expected("logit_lens", "sorted_at_blanks"), bool,
    ),
    Case("attribution", "writers", "who writes the answer", _expected("attribution", "writers")),
    Case(
        "attribution", "blanks_carry", "integrated gradients: blanks carry",
        _expected("attribution", "blanks_carry"),
    ),
    Case("probe_blanks", "sorted", "sorted[j] is readable", lambda t: "sorted" in t.decodable),
    Case("probe_blanks", "counts", "counts are readable", lambda t: "counts" in t.decodable),
    Case(
        "probe_blanks", "sorted", "readable taken for use: blanks are read",
        lambda t: t.blanks_content,
    ),
)  # fmt: skip
"""Every question. To add one is to add a row for each sorter."""


@dataclass(frozen=True)
class KnownAnswersConfig:
    """Which sorters."""

    max_len: int = 48  # longest list; the sorters have one blank more

    def __post_init__(self) -> None:
        if self.max_len < 4:
            raise UserError(
                f"--max-len must be at least 4, not {self.max_len}: shorter lists tell too little"
            )


@dataclass(frozen=True)
class Row:
    """One method's answer to one question about one sorter."""

    method: str
    sorter: str
    said: Any
    true: Any

    @property
    def right(self) -> bool:
        """Numbers are right to a percent."""
        if isinstance(self.true, float) and isinstance(self.said, (int, float)):
            return abs(self.said - self.true) <= 0.01
        return bool(self.said == self.true)


@dataclass(frozen=True)
class KnownAnswers:
    """The scoreboard."""

    rows: tuple[Row, ...]
    max_len: int

    @property
    def wrong(self) -> list[Row]:
        return [row for row in self.rows if not row.right]


def compute(
    config: KnownAnswersConfig = KnownAnswersConfig(),
    seed: int = 0,
    progress: Progress = SILENT,
    only: Sequence[str] = NAMES,
    device: str = "cpu",
) -> KnownAnswers:
    """Run every analysis once on every sorter, and ask every question of its result."""
    from interp.sorters.compiled import compile_sorter

    task, rows = SortTask(config.max_len, config.max_len + 1), []
    for name in only:
        for sorter in SORTERS:
            compiled = compile_sorter(sorter, task)
            compiled.model.to(pick_device(device), print_details=False)
            one = analysis(name)
            result = one.compute(compiled.model, _smaller(one.config), seed, progress)
            said = module_of(name).verdicts(result)
            rows += [
                Row(case.method, sorter, case.said(said[case.key]), case.true(compiled.truth))
                for case in CASES
                if case.analysis == name
            ]
    return KnownAnswers(tuple(rows), config.max_len)


_FEWER = {"lists": 96, "lists_each": 12, "pairs": 48, "prompts": 48, "parted": 12, "tries": 2000}
"""A known answer needs no narrow interval."""


def _smaller(config: Any) -> Any:
    fewer = {
        name: min(most, getattr(config, name))
        for name, most in _FEWER.items()
        if isinstance(getattr(config, name, None), int)
    }
    return replace(config, **fewer)


# -- words, JSON and figure ---------------------------------------------------------------------


def summary(result: KnownAnswers) -> list[str]:
    """A line a question, a mark a sorter; then what is wrong, and the score."""
    methods = list(dict.fromkeys(row.method for row in result.rows))
    width = max(len(method) for method in methods)
    lines = [" " * width + "".join(f"  {sorter:>9}" for sorter in SORTERS)]
    table = {(row.method, row.sorter): row for row in result.rows}
    for method in methods:
        marks = ["right" if table[method, s].right else "WRONG" for s in SORTERS]
        lines.append(method.ljust(width) + "".join(f"  {mark:>9}" for mark in marks))
    for row in result.wrong:
        lines.append(f"WRONG {row.method}, {row.sorter}: said {row.said}, true is {row.true}")
    right, n = len(result.rows) - len(result.wrong), len(result.rows)
    ending = "" if not result.wrong else "; docs/methods.md explains those that are wrong"
    return [*lines, f"{right} of {n} answers are right{ending}."]


def to_json(result: KnownAnswers) -> dict[str, Any]:
    """``rows``, each with method, sorter, said, true and right."""
    return {
        "rows": [
            {
                "method": row.method,
                "sorter": row.sorter,
                "said": row.said,
                "true": row.true,
                "right": row.right,
            }
            for row in result.rows
        ],
        "max_len": result.max_len,
        "finding": summary(result),
    }


def figure(result: KnownAnswers) -> go.Figure:
    """Methods by sorters: green and ticked, or red and crossed, with what was said."""
    methods = list(dict.fromkeys(row.method for row in result.rows))
    table = {(row.method, row.sorter): row for row in result.rows}
    cells = [[table[m, s] for s in SORTERS] for m in methods]
    fig = go.Figure(
        go.Heatmap(
            z=[[int(row.right) for row in line] for line in cells],
            x=list(SORTERS),
            y=methods,
            text=[[f"{'✓' if row.right else '✗'} {_short(row.said)}" for row in c] for c in cells],
            customdata=[[[str(row.said), str(row.true)] for row in line] for line in cells],
            texttemplate="%{text}",
            textfont={"color": "black", "size": 12},
            hovertemplate="%{y}<br>%{x}: said %{customdata[0]}, true is %{customdata[1]}"
            "<extra></extra>",
            colorscale=[[0, "#F4A582"], [1, "#A6DBC8"]],
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_xaxes(side="top", showgrid=False)
    right = len(result.rows) - len(result.wrong)
    title = f"What each method said of sorters whose algorithm is known · {right} of "
    figures.style(fig, f"{title}{len(result.rows)} right", 130 + 30 * len(methods))
    fig.update_layout(margin={"t": 100})
    return fig


def _short(said: Any) -> str:
    if isinstance(said, bool):
        return "yes" if said else "no"
    if isinstance(said, list):
        names = [".".join(map(str, s)) if isinstance(s, list) else s for s in said]
        return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return str(said)


# -- command line -------------------------------------------------------------------------------


@dataclass(frozen=True)
class KnownAnswersArgs:
    """Put every method to the sorters whose algorithm is known."""

    config: KnownAnswersConfig = KnownAnswersConfig()
    only: tuple[str, ...] = ()  # some analyses by name (default: all)
    seed: int = 0  # of the lists that are sampled
    device: Device = "auto"  # where the models run
    out: Path = Path("results")  # folder for the figure, the result and the manifest
    json: bool = False  # print the result as JSON on stdout, and nothing else there

    def __post_init__(self) -> None:
        for name in self.only:
            if name not in NAMES:
                raise UserError(f"--only: no analysis {name!r}; there are {', '.join(NAMES)}")


def main(argv: Sequence[str] | None = None) -> None:
    run_command(KnownAnswersArgs, known_answers_command, PROG, argv)


def known_answers_command(args: KnownAnswersArgs) -> None:
    watch = Stopwatch()
    with progress_bar() as progress:
        result = compute(args.config, args.seed, progress, args.only or NAMES, args.device)
    folder = args.out / "known_answers"
    data = to_json(result)
    figures.write_html(figure(result), folder / "figure.html")
    files.write_json(folder / "result.json", data)
    files.write_json(folder / "manifest.json", {**manifest(), "seconds": round(watch.seconds(), 2)})
    note(f"wrote {folder}/figure.html, result.json, manifest.json")
    print(json.dumps(data) if args.json else "\n".join(data["finding"]))


if __name__ == "__main__":
    main()
