"""What every experiment is, whatever it is about, and the one command that runs any of them.

An experiment is a folder of this package (or of a family in it, such as ``one_list``):

    analyses/patch_blanks/
      __init__.py   its face: what it is in words, its settings, EXPERIMENT; no heavy imports
      __main__.py   ``python -m analyses.patch_blanks``
      body.py       ``compute(subject, settings, seed, progress)``, and what is made of its result:
                    ``summary``, ``figure``, ``to_json``; ``rows``, the table behind the figure
                    (else the JSON as a table); ``verdicts``, if the scoreboard asks; ``files``,
                    if more is written than figure, result and manifest
      ...           figure.py, words.py, result.py where the body would be long

The face's docstring is what people read: its first paragraph is the command's description, the one
that begins "What it does not show" the caveat beside every figure. From the settings, one frozen
dataclass, come the flags, the JSON record and the command that makes a figure again. The body is
imported when it is first needed, so that ``--help`` and pages cost nothing. The scoreboard's
questions, the report and the explorer find experiments by :mod:`analyses.experiment.catalogue`.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, make_dataclass
from functools import cached_property, partial
from itertools import pairwise
from types import ModuleType
from typing import Any

from analyses.experiment.declared import Needs, OnPage, Question
from analyses.experiment.given import Given, OwnLists, using
from interp.figures import retold
from interp.support.cli import run_command
from interp.support.errors import UserError
from interp.support.progress import SILENT, Progress
from interp.task import SortTask

__all__ = [
    "Experiment",
    "Needs",
    "OnPage",
    "Outcome",
    "Question",
    "arguments",
    "flags",
    "flat",
    "main",
]

_CAVEAT = "What it does not show: "


@dataclass(frozen=True, eq=False)
class Experiment:
    """An experiment by its face; what computes it is opened when it is needed."""

    name: str
    """Of the folder below ``analyses``, families by a dot: ``one_list.answer``."""
    title: str
    """For people, in reports: ``Ablating the blanks``."""
    about: Any
    """Flags that choose the subject (:mod:`analyses.experiment.subjects`): a type, or a value with
    defaults of this experiment's own."""
    settings: Any
    """The default settings, a frozen dataclass."""
    chapter: int | None = None
    """Its place in the report; None: it is not in it."""
    needs_blanks: bool = False
    needs_task: Needs = Needs.NOTHING
    questions: tuple[Question, ...] = ()
    on_page: OnPage | None = None
    own_lists: OwnLists | None = None
    """What it takes lists of one's own for (``--lists FILE``); None: it makes its own."""

    @cached_property
    def body(self) -> ModuleType:
        """The module that computes, and makes words, figure and JSON of what came out."""
        return importlib.import_module(f"{_package(self.name)}.body")

    def refusal(self, task: SortTask) -> str | None:
        """Why it says nothing of models of a task; None if it does."""
        if self.needs_blanks and not task.n_blanks:
            return (
                f"this model has no blanks, and {self.name} is about them; "
                "give a model that has some, like blanks"
            )
        if not self.needs_task.met_by(task):
            lengths = "" if task.min_len == 1 else f", of lists of {task.lengths_words}"
            return f"{self.name} needs {self.needs_task}; this model's is {task.rule}{lengths}"
        return None

    @property
    def prog(self) -> str:
        return f"python -m {_package(self.name)}"

    @property
    def words(self) -> list[str]:
        """The paragraphs of the face's docstring."""
        face = importlib.import_module(_package(self.name))
        return (inspect.getdoc(face) or self.title).split("\n\n")

    @property
    def caveat(self) -> str:
        """What it does not show, as its face says it."""
        found = [" ".join(p.split()) for p in self.words]
        return next((p.removeprefix(_CAVEAT) for p in found if p.startswith(_CAVEAT)), "")

    @property
    def asks(self) -> dict[str, Question]:
        """Its questions, as the scoreboard calls them."""
        return {f"{self.name}: {one.words}": one for one in self.questions}

    def compute(
        self,
        subject: Any,
        settings: Any = None,
        seed: int = 0,
        progress: Progress = SILENT,
        lists: Given | None = None,
    ) -> Any:
        """The result; the same seed gives the same bits.

        Args:
            subject: what the body takes: of a model that model, of a list see
                :class:`analyses.one_list.subject.ListSubject`, ...
            settings: default: this experiment's.
            lists: in place of those that are sampled; as many as there are.

        Raises:
            UserError: for lists that it does not take.
        """
        settings = self.settings if settings is None else settings
        if lists is not None:
            settings = self.for_lists(settings, lists)
        with using(lists):
            return self.body.compute(subject, settings, seed, progress)

    def for_lists(self, settings: Any, lists: Given) -> Any:
        """The settings, for lists of one's own.

        Raises:
            UserError: if it takes none, or not these.
        """
        return lists.settings(settings, self.takes_lists())

    def takes_lists(self) -> OwnLists:
        """What it takes lists of one's own for.

        Raises:
            UserError: if it takes none.
        """
        if self.own_lists is None:
            kind = self.about if isinstance(self.about, type) else type(self.about)
            one = "list" in {field.name for field in fields(kind)}
            why = "it is about one list, --list" if one else "what it looks at, it makes itself"
            raise UserError(f"{self.name} takes no file of lists: {why}")
        return self.own_lists

    def outcome(self, result: Any, lists: Given | None = None) -> Outcome:
        """The result with all that can be made of it.

        Args:
            lists: those that it is of, where they were given.
        """
        return Outcome(self, result, lists)

    def command(self, settings: Any = None, **chosen: Any) -> str:
        """What to type to get a result again.

        Args:
            settings: default: this experiment's.
            chosen: flags of the subject, such as ``model="blanks"``; empty ones are left out.
        """
        mine = () if settings is None else flags(settings, self.settings)
        theirs = [
            word
            for name, value in chosen.items()
            if value != ""
            for word in (_flag(name), str(value))
        ]
        return " ".join([self.prog, shlex.join([*mine, *theirs])]).rstrip()


@dataclass(frozen=True, eq=False)
class Outcome:
    """A result, and what its experiment makes of it."""

    experiment: Experiment
    result: Any
    lists: Given | None = None
    """Those that it is of, where they were given: words and figure say so."""

    @cached_property
    def words(self) -> list[str]:
        """Lines for people; the last one is the finding."""
        told = str if self.lists is None else self.lists.told
        return [told(line) for line in self._made("summary")]

    @cached_property
    def figure(self) -> Any:
        """A Plotly figure; a copy for whoever changes it."""
        figure = self._made("figure")
        return figure if self.lists is None else retold(figure, self.lists.told)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table behind the figure: every row names its columns."""
        return (
            list(self._made("rows")) if hasattr(self.experiment.body, "rows") else flat(self.json)
        )

    @property
    def json(self) -> dict[str, Any]:
        """The result as data."""
        return dict(self._made("to_json"))

    @property
    def files(self) -> dict[str, str]:
        """Text to be written beside the result, by the names of the files."""
        return dict(self._made("files")) if self._makes("files") else {}

    @property
    def verdicts(self) -> dict[str, Any]:
        """Answers to the scoreboard's questions, by key."""
        return dict(self._made("verdicts")) if self._makes("verdicts") else {}

    def _makes(self, what: str) -> bool:
        return hasattr(self.experiment.body, what)

    def _made(self, what: str) -> Any:
        return getattr(self.experiment.body, what)(self.result)


def flat(data: Any, path: str = "") -> list[dict[str, Any]]:
    """A JSON record as a table: ``{"what": "depths.0.answered.value", "value": 0.97}``."""
    if isinstance(data, Mapping):
        items: Any = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    else:
        return [{"what": path, "value": data}]
    return [row for key, each in items for row in flat(each, f"{path}.{key}" if path else str(key))]


def flags(settings: Any, default: Any) -> list[str]:
    """``["--lists", "96"]``: the flags by which ``settings`` differ from ``default``."""
    words: list[str] = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if value == getattr(default, field.name):
            continue
        if not str(field.type).removeprefix("conf.").startswith("Positional"):  # typed by itself
            words.append(_flag(field.name))
        if not isinstance(value, bool):  # one that is on is its flag alone
            words += map(str, value) if isinstance(value, (tuple, list)) else [str(value)]
    return words


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _package(name: str) -> str:
    return f"analyses.{name}"


# -- the command --------------------------------------------------------------------------------


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> None:
    """The whole command: parse, open, compute, write, print."""
    argv = _with_file(sys.argv[1:] if argv is None else list(argv))
    run_command(arguments(experiment), partial(_run, experiment), experiment.prog, argv)


def _with_file(argv: Sequence[str]) -> list[str]:
    """``--lists FILE`` as ``--lists-file FILE``: a number after ``--lists`` is how many to draw."""
    found = []
    for flag, value in pairwise([*argv, ""]):
        name, joined, own = flag.partition("=")
        if name == "--lists" and (own if joined else value) and not _whole(own or value):
            flag = f"--lists-file={own}" if joined else "--lists-file"
        found.append(flag)
    return found


def _whole(text: str) -> bool:
    """Whether it reads as a number, right or wrong as a number of lists."""
    return re.fullmatch(r"[-+]?[\d_.eE]+", text) is not None


def arguments(experiment: Experiment) -> type:
    """The flags of an experiment's command: those of its subject and its settings."""
    about, settings = experiment.about, experiment.settings
    kind = about if isinstance(about, type) else type(about)
    needs_none = not isinstance(about, type) or _has_defaults(kind)
    start = kind() if isinstance(about, type) and needs_none else about
    parts: list[Any] = [("about", kind, start) if needs_none else ("about", kind)]
    return make_dataclass(
        "Arguments",
        [*parts, ("settings", type(settings), settings)],
        frozen=True,
        namespace={"__doc__": _description(experiment)},
    )


def _description(experiment: Experiment) -> str:
    """What ``--help`` begins with: what it does, and what a file of lists is to it."""
    words = " ".join(experiment.words[0].split())
    own = experiment.own_lists
    return words if own is None else f"{words} --lists FILE: of lists of your own. {own.rest}"


def _has_defaults(kind: type) -> bool:
    try:
        kind()
    except TypeError:
        return False
    return True


def _run(experiment: Experiment, args: Any) -> None:
    # Opened by name: it imports torch and all, which waits until flags are known to be good.
    runner = importlib.import_module("analyses.experiment.runner")
    runner.carry_out(experiment, args.about, args.settings)
