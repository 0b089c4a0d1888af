"""Runs every analysis once on every sorter, and asks every question of its result."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import plotly.graph_objects as go
import torch

from analyses.experiment import Experiment, Needs, catalogue
from analyses.known_answers import KnownAnswersConfig, asked
from analyses.known_answers.result import KnownAnswers, Row
from interp import figures
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import Truth, compiled_for, task_for, truth_of
from interp.support.progress import Progress
from interp.task import Task


def compute(
    device: torch.device, settings: KnownAnswersConfig, seed: int, progress: Progress
) -> KnownAnswers:
    """The scoreboard, or the part of it that ``settings`` name."""
    rows: list[Row] = []
    chosen = [catalogue.experiment(name) for name in settings.only] or asked(settings.task)
    sorters = compiled_for(settings.task)
    progress.begin(len(chosen) * len(sorters), f"{len(chosen)} analyses on {len(sorters)} models")
    jobs = [
        Job(one.name, name, settings.max_len, seed, str(device))
        for one in chosen
        for name in sorters
    ]
    for job, found in zip(jobs, _said(jobs, progress), strict=True):
        one, truth = catalogue.experiment(job.experiment), truth_of(job.sorter, job.task)
        rows += [_row(one, name, found, truth) for name in one.asks]
    return KnownAnswers(tuple(rows), settings.max_len, settings.task)


class Job(NamedTuple):
    """One experiment on one sorter."""

    experiment: str
    sorter: str
    max_len: int
    seed: int
    device: str

    @property
    def task(self) -> Task:
        return task_for(self.sorter, self.max_len)


def _said(jobs: Sequence[Job], progress: Progress) -> list[Any]:
    """The verdicts of each, in order; on all cores, where that repays the start of processes."""
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    if workers < 2 or sum(job.max_len for job in jobs) < _REPAYS or jobs[0].device != "cpu":
        return _shared_out(jobs, None, 0, progress)
    # Not forked: a copy of a process with running threads may wait for one that it has not.
    context, own_threads = multiprocessing.get_context("spawn"), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ProcessPoolExecutor(workers - 1, context, torch.set_num_threads, (1,)) as pool:
            return _shared_out(jobs, pool, workers - 1, progress)
    finally:
        torch.set_num_threads(own_threads)


def _shared_out(
    jobs: Sequence[Job], pool: Executor | None, others: int, progress: Progress
) -> list[Any]:
    """This process takes jobs from the front, while others start, and they take the last ones."""
    waiting, found = deque(range(len(jobs))), dict[int, Any]()

    def from_the_end() -> None:
        while pool is not None and (number := _next(waiting.pop)) is not None:
            found[number] = pool.submit(said, jobs[number]).result()

    counted = 0
    with ThreadPoolExecutor(max(1, others)) as threads:
        theirs = [threads.submit(from_the_end) for _ in range(others)]
        while (number := _next(waiting.popleft)) is not None:
            found[number] = said(jobs[number])
            progress.step(len(found) - counted)
            counted = len(found)
        for each in theirs:
            each.result()
    progress.step(len(found) - counted)
    return [found[number] for number in range(len(jobs))]


def _next(take: Callable[[], int]) -> int | None:
    try:
        return take()
    except IndexError:  # all are taken
        return None


def said(job: Job) -> Any:
    """What a method says; without what its verdicts do not rest on, where that is much."""
    one, seed = catalogue.experiment(job.experiment), job.seed
    model = compile_sorter(job.sorter, job.task).model
    model.to(job.device, print_details=False)
    several = Needs.SEVERAL.met_by(job.task)
    settings = smaller(one.settings, 1 if several else _BY_CHANCE)
    if (quick := getattr(one.body, "quick_verdicts", None)) is not None:
        return quick(model, settings, seed)
    return one.outcome(one.compute(model, settings, seed)).verdicts


def _row(one: Experiment, method: str, verdicts: Any, truth: Truth) -> Row:
    question = one.asks[method]
    said = verdicts[question.key]
    true = question.true(truth) if question.true else one.body.expected(truth)[question.key]
    answer = question.said(said) if question.said else said
    return Row(method, truth.name, answer, true)


_MOST_WORKERS = 8
_REPAYS = 2000  # digits of the longest lists, summed over jobs: some seconds of work
_FEWER = {
    "lists": 24,
    "lists_each": 1,
    "lists_any_length": 1800,
    "lists_one_length": 800,
    "blanks": 4,
    "searched": 8,
    "pairs": 16,
    "steps": 8,
    "reference": 12,
    "prompts": 96,
    "parted": 12,
    "tries": 2000,
}
"""A known answer needs no narrow interval."""


_BY_CHANCE = 4  # times as many, where a single symbol is often right by chance


def smaller(settings: Any, times: int = 1) -> Any:
    """The settings, with no more lists than a known answer needs, or so many times as many."""
    fewer = {
        name: min(times * most, getattr(settings, name))
        for name, most in _FEWER.items()
        if isinstance(getattr(settings, name, None), int)
    }
    return replace(settings, **fewer)


# -- words, JSON and figure ---------------------------------------------------------------------


def summary(result: KnownAnswers) -> list[str]:
    """A line a question, a mark a sorter; then what is wrong, and the score."""
    methods = list(dict.fromkeys(row.method for row in result.rows))
    width = max(len(method) for method in methods)
    lines = [" " * width + "".join(f"  {sorter:>9}" for sorter in result.sorters)]
    table = {(row.method, row.sorter): row for row in result.rows}
    for method in methods:
        marks = ["right" if table[method, s].right else "WRONG" for s in result.sorters]
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
        "task": result.task,
    }


def rows(result: KnownAnswers) -> list[dict[str, Any]]:
    return list(to_json(result)["rows"])


def figure(result: KnownAnswers) -> go.Figure:
    """Methods by sorters: green and ticked, or red and crossed, with what was said."""
    methods = list(dict.fromkeys(row.method for row in result.rows))
    table = {(row.method, row.sorter): row for row in result.rows}
    cells = [[table[m, s] for s in result.sorters] for m in methods]
    fig = go.Figure(
        figures.agreement_cells(
            [[int(row.right) for row in line] for line in cells],
            list(result.sorters),
            methods,
            [[f"{'✓' if row.right else '✗'} {_short(row.said)}" for row in c] for c in cells],
            customdata=[[[str(row.said), str(row.true)] for row in line] for line in cells],
            hovertemplate="%{y}<br>%{x}: said %{customdata[0]}, true is %{customdata[1]}"
            "<extra></extra>",
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
