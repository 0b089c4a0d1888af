"""Carries out an experiment's command: open the subject, compute, write, print.

results/patch_blanks/blanks/figure.html    the figure, in a page that opens offline
                            result.json    what was asked, of what, what came out
                            manifest.json  versions, the model's hash, seconds
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields, replace
from functools import singledispatch
from pathlib import Path
from typing import Any, TypeVar

from analyses.experiment import Experiment, Outcome
from analyses.experiment.deliver import (
    flag_label,
    folder_name,
    list_label,
    model_label,
    path_label,
    publish,
    study_folder,
)
from analyses.experiment.given import Given, read_given_file
from analyses.experiment.subjects import (
    Flags,
    OfList,
    OfLogs,
    OfModel,
    OfRun,
    OfSorters,
    OfStudy,
    OfTwoModels,
)
from analyses.one_list.subject import ListSubject, TwoModels
from interp.answers.treatment import Treatment
from interp.checkpoints import (
    LoadedModel,
    load_model,
    read_info,
    run_checkpoints,
    shipped_models,
    shipped_runs,
)
from interp.config import ModelConfig
from interp.lists import from_file
from interp.support.bars import progress_bar
from interp.support.device import pick_device
from interp.support.errors import UserError
from interp.task import Task, typed
from interp.transformer import Transformer
from training.studies.results import load_with_others


@dataclass(frozen=True)
class Opened:
    """A subject that is open."""

    subject: Any
    """What the experiment's ``compute`` takes."""
    record: dict[str, Any] = field(default_factory=dict)
    """How a result's JSON begins: what was asked, and of what."""
    manifest: dict[str, Any] = field(default_factory=dict)
    """What the manifest says of it."""
    label: str = ""
    """Of the folder of results."""
    before: tuple[str, ...] = ()
    """What is said before the result's own words."""

    def about_lists(self, lists: Given, asked: Any, settings: Any, rest: str) -> Opened:
        """The same, with lists of one's own: named in the record, the words and the folder.

        Args:
            asked: the settings as they were.
            settings: those for these lists.
            rest: what the experiment says of what is drawn all the same.
        """
        one = len(lists) == 1
        words = (
            f"Of {lists.source}: {len(lists)} {'list' if one else 'lists'} of one's own, in place "
            f"of lists that are drawn. {rest}"
        ).rstrip()
        old, new = asdict(asked), asdict(settings)
        changed = {name: value for name, value in new.items() if value != old[name]}
        record = {**self.record, **({"config": new} if "config" in self.record else changed)}
        label = folder_name(self.label, "lists", path_label(Path(lists.source)))
        return replace(
            self, record={**record, "own_lists": lists.record}, label=label, before=(words,)
        )


def carry_out(experiment: Experiment, about: Flags, settings: Any) -> None:
    """The whole command, once its flags are parsed."""
    settings = _with_lists(settings)
    if (file := getattr(about, "lists_file", None)) is not None:
        experiment.takes_lists()
    watch, opened = Stopwatch(), open_subject(about, settings)
    check(experiment, opened.subject)
    lists = None if file is None else read_given_file(file, _task_of(opened.subject))
    if lists is not None:
        fitting = experiment.for_lists(settings, lists)
        opened = opened.about_lists(lists, settings, fitting, experiment.takes_lists().rest)
    seed = getattr(about, "seed", 0)
    with progress_bar() as progress:
        result = experiment.compute(opened.subject, settings, seed, progress, lists)
    outcome = experiment.outcome(result, lists)
    publish(
        about.json,
        about.out.joinpath(*experiment.name.split("."), opened.label),
        lambda: outcome.figure,
        record(opened, outcome),
        [*opened.before, *outcome.words],
        {**opened.manifest, "seconds": round(watch.seconds(), 2)},
        outcome.files,
    )


def _with_lists(settings: Any) -> Any:
    """The settings with the lists that stand in files: bodies, which pages call, open none."""
    given = {name: getattr(settings, name) for name in getattr(settings, "typed_lists", ())}
    return replace(settings, **{name: from_file(text) for name, text in given.items()})


def check(experiment: Experiment, subject: Any) -> None:
    """Whether an experiment says anything about a subject.

    Raises:
        UserError: if it is about blanks and the model has none, or needs another task.
    """
    model = subject.model if isinstance(subject, ListSubject) else subject
    if isinstance(model, Transformer) and (why := experiment.refusal(model.task)):
        raise UserError(why)


def record(opened: Opened, outcome: Outcome) -> dict[str, Any]:
    """The JSON of a result: what was asked, of what, what came out."""
    return {
        "analysis": outcome.experiment.name,
        **opened.record,
        **outcome.json,
        "finding": [*opened.before, *outcome.words],
    }


def _task_of(subject: Any) -> Task:
    """The task of the models that a subject is about; of two models, the one of shorter lists."""
    if isinstance(subject, Path):  # a run
        return ModelConfig.from_dict(read_info(run_checkpoints(subject)[0])["model"]).task
    if isinstance(subject, TwoModels):
        both = (subject.a.model.task, subject.b.model.task)
        return min(both, key=lambda task: task.max_len)
    task: Task = subject.model.task if isinstance(subject, ListSubject) else subject.task
    return task


# -- subjects -----------------------------------------------------------------------------------


@singledispatch
def open_subject(about: Flags, settings: Any) -> Opened:
    """What the flags ask for, opened.

    Raises:
        UserError: if there is no such thing, or it cannot be opened.
    """
    raise TypeError(f"no experiment is about {about!r}")


@open_subject.register
def _model(about: OfModel, settings: Any) -> Opened:
    loaded = load_model(about.model, pick_device(about.device))
    own = getattr(settings, "own", ())  # a pair of lists that was asked for has its own folder
    return Opened(
        loaded.model,
        model_record(loaded, about.seed, settings),
        _of(loaded),
        folder_name(model_label(loaded), *own),
    )


def model_record(loaded: LoadedModel, seed: int, settings: Any) -> dict[str, Any]:
    """How the JSON of a result about a model begins."""
    return {
        "model": loaded.name,
        "model_hash": loaded.hash,
        "seed": seed,
        "config": asdict(settings),
    }


@open_subject.register
def _list(about: OfList, settings: Any) -> Opened:
    about, loaded = _fitting(about)
    subject = _subject(loaded, about.list, about.do)
    return Opened(
        subject,
        {
            **_asked(about, settings),
            "model_hash": loaded.hash,
            "intervention": subject.treatment.words(loaded.model.task),
        },
        _of(loaded),
        folder_name(
            model_label(loaded),
            list_label(subject.digits, loaded.model.task.symbols),
            *_asked_for(about, settings),
        ),
    )


@open_subject.register
def _two_models(about: OfTwoModels, settings: Any) -> Opened:
    about, loaded = _fitting(about)
    other = load_model(about.other, pick_device(about.device))
    a = _subject(loaded, about.list, about.do)
    b = _subject(other, about.list, about.do if about.other_do is None else about.other_do)
    return Opened(
        TwoModels(a, b),
        {
            **_asked(about, settings),
            "model_hash": loaded.hash,
            "other_hash": other.hash,
            "intervention": a.treatment.words(a.model.task),
            "other_intervention": b.treatment.words(b.model.task),
        },
        _of(loaded),
        folder_name(model_label(loaded), model_label(other), *settings.own),
    )


L = TypeVar("L", bound=OfList)


def _fitting(about: L) -> tuple[L, LoadedModel]:
    """The model, and a list of its length where none was given: ours, so it is for us to fit."""
    loaded = load_model(about.model, pick_device(about.device))
    if about.list == OfList.list:
        about = replace(about, list=typed(loaded.model.task.example))
    return about, loaded


def _subject(loaded: LoadedModel, text: str, do: str) -> ListSubject:
    task = loaded.model.task
    digits, treatment = task.given_one(text), Treatment.parse(do, task)
    treatment.check(loaded.model.config, len(digits))
    return ListSubject(loaded.model, digits, treatment, loaded.name)


def _asked(about: OfList, settings: Any) -> dict[str, Any]:
    left_out = ("out", "json", "task", "lists_file")  # the last is told with its hash
    own = {k: v for k, v in asdict(about).items() if k not in left_out}
    return {**own, **asdict(settings)}


def _asked_for(about: OfList, settings: Any) -> list[str]:
    """``do-zero-3-10``, ``step-4``: a folder's name tells apart what was asked of one list."""
    mine = {f.name: getattr(settings, f.name) for f in fields(settings)}
    asked = {"do": (about.do, "")} | {f.name: (mine[f.name], f.default) for f in fields(settings)}
    return [flag_label(name, value) for name, (value, default) in asked.items() if value != default]


@open_subject.register
def _sorters(about: OfSorters, settings: Any) -> Opened:
    return Opened(pick_device(about.device))


@open_subject.register
def _run(about: OfRun, settings: Any) -> Opened:
    folder = shipped_runs().get(about.run, Path(about.run))
    if not run_checkpoints(folder):
        runs = ", ".join(shipped_runs()) or "none"
        raise UserError(f"{about.run} holds no checkpoints of a run; shipped runs: {runs}")
    return Opened(
        folder,
        {"run": about.run, "seed": about.seed, "config": asdict(settings)},
        {"run": about.run},
        _run_label(about.run),
    )


@open_subject.register
def _study(about: OfStudy, settings: Any) -> Opened:
    study = load_with_others(about.study)
    return Opened(
        study,
        {"study": study.plan.name, "seed": about.seed},
        {"study": str(about.study)},
        study_folder(about.out / "replication", study.plan.name, about.study).name,
    )


@open_subject.register
def _logs(about: OfLogs, settings: Any) -> Opened:
    return Opened(None, label=folder_name(*map(_run_label, settings.own)))


def _run_label(name: str) -> str:
    return name if name in (*shipped_runs(), *shipped_models()) else path_label(Path(name))


def _of(loaded: LoadedModel) -> dict[str, Any]:
    return {"model": {"name": loaded.name, "hash": loaded.hash}}


# -- time ---------------------------------------------------------------------------------------


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._began
