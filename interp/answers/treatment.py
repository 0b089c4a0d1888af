"""What is done to a model, as a line of text: to type, to link to, to click together.

    Treatment.parse("zero:3-10")                    # keys and values of blanks 3-10 become zero
    Treatment.parse("transplant:0-47:3,1,4,1,5")    # those of the list 3 1 4 1 5
    Treatment.parse("patch:v.1.2:53:3,1,4,1,9")     # values of head 1.2, position 53
    answer = greedy_decode(model, [digits], interventions=treatment.on_list(model, digits))

A treatment is a value: it can be compared, cached and written into a page's address. What it does
is a list of :mod:`interp.interventions`, made for the lists at hand. Blanks are counted from 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from interp.answers.ablation import ablate, published_mask
from interp.answers.kinds import ABLATIONS, PUBLISHED_ACTS, Act, Kind
from interp.answers.trials import Chunk, chunks, donors_for
from interp.config import ModelConfig
from interp.interventions import Intervention, Patch, Transplant
from interp.lists import DIGITS, symbols_in
from interp.passes.forward import forward
from interp.passes.packed import Window
from interp.sites import Component, Site, spans
from interp.support.errors import UserError
from interp.task import SortTask, spaced, typed
from interp.transformer import Transformer

_KINDS = dict(zip(ABLATIONS, Kind, strict=True))
_WORDS = {
    Act.NOTHING: "nothing is changed",
    Act.PUBLISHED: "blanks masked for the outputs after the first",
    Act.PUBLISHED_LAST: "blanks masked for all outputs, the last blank's row too",
    **{act: kind.way.done for act, kind in _KINDS.items()},
    Act.TRANSPLANT: "{}: keys and values of the list {}",
    Act.PATCH: "{}: as it is for the list {}",
}
_PARTS = {
    **dict.fromkeys((Act.NOTHING, *PUBLISHED_ACTS), 0),
    **dict.fromkeys(ABLATIONS, 1),
    Act.TRANSPLANT: 2,
    Act.PATCH: 3,
}
_FORMS = (
    f"published, published+last, {', '.join(f'{k.way.text}:{k.way.example}' for k in Kind)}, "
    "transplant:0-47:3,1,4,1,5 or patch:v.1.2:53:3,1,4,1,9"
)


@dataclass(frozen=True)
class Treatment:
    """One thing that is done to a model while it answers."""

    act: Act = Act.NOTHING
    blanks: tuple[int, ...] = ()
    """Of an ablation or a transplant; counted from 0."""
    other: tuple[int, ...] = ()
    """The list that a transplant or a patch takes its values from."""
    site: Site | None = None
    """Of a patch: one component, at one position, of all heads or of one."""

    def __bool__(self) -> bool:
        return self.act is not Act.NOTHING

    @classmethod
    def parse(cls, text: str, task: SortTask | None = None) -> Treatment:
        """The treatment of that text.

        Args:
            task: of the model; with it, ``all`` stands for all its blanks, as in ``mask:all``.

        Raises:
            UserError: if it is none, showing the forms that there are.
        """
        name, *rest = text.strip().split(":")
        if name not in list(Act) or len(rest) != _PARTS[Act(name)]:
            raise UserError(f"{text[:80]!r} is nothing that can be done; there is {_FORMS}")
        act = Act(name)
        other = _list(rest[-1], task) if act in (Act.TRANSPLANT, Act.PATCH) else ()
        if act is Act.PATCH:
            return cls(act, other=other, site=_site(rest[0], _numbers(rest[1])))
        return cls(act, _blanks(rest[0], task) if rest else (), other)

    @property
    def text(self) -> str:
        """What :meth:`parse` takes."""
        other = typed(self.other)
        if self.site is not None:
            head = "" if self.site.heads is None else f".{self.site.heads[0]}"
            positions = "" if self.site.positions is None else spans(self.site.positions)
            place = f"{self.site.component.value}.{self.site.layer}{head}:{positions}"
            return f"{self.act}:{place}:{other}"
        parts = [self.act.value, spans(self.blanks).replace(" ", "") if self.blanks else "", other]
        return ":".join(part for part in parts if part)

    def words(self, task: SortTask) -> str:
        """In plain words: ``blanks 3-10: keys and values zero``."""
        blanks = f"blank{'' if len(self.blanks) == 1 else 's'} {spans(self.blanks)}"
        if len(self.blanks) == task.n_blanks:
            blanks = f"all {task.n_blanks} blanks"
        what = blanks if self.site is None else _where(self.site, task, len(self.other))
        return _WORDS[self.act].format(what, spaced(self.other))

    def check(self, config: ModelConfig, length: int | None = None) -> None:
        """Whether it can be done to this model, and to a list of that length.

        Raises:
            UserError: saying what does not fit.
        """
        task = config.task
        if self and self.act is not Act.PATCH and not task.n_blanks:
            raise UserError("this model has no blanks: there is nothing to do to them")
        if self.blanks and max(self.blanks) >= task.n_blanks:
            raise UserError(
                f"blank {max(self.blanks)} is not in this model: its blanks are 0 to "
                f"{task.n_blanks - 1}"
            )
        if self.other:
            task.checked_list(self.other)
            if length is not None and len(self.other) != length:
                raise UserError(
                    f"the list that values are taken from has {len(self.other)} digits, the list "
                    f"to sort {length}: they must be of the same length"
                )
        if self.site is not None:
            self.site.check(config)
            here = range(task.max_len - len(self.other), task.output_rows(len(self.other)).stop)
            if absent := [p for p in self.site.positions or () if p not in here]:
                raise UserError(
                    f"position {absent[0]} is padding for a list of {len(self.other)} digits: it "
                    f"has positions {here.start} to {here.stop - 1}"
                )

    @property
    def of_any_list(self) -> bool:
        """Whether it is the same for every list: nothing, and the published masks."""
        return self.act in (Act.NOTHING, *PUBLISHED_ACTS)

    def on_any(self, task: SortTask) -> Sequence[Intervention]:
        """The interventions for lists of any length, where it is ``of_any_list``."""
        if not self.of_any_list:
            raise ValueError(f"{self.text} depends on the list: see on and on_list")
        return published_mask(task, self.act is Act.PUBLISHED_LAST) if self else []

    def on(self, chunk: Chunk, positions: tuple[int, ...] | None = None) -> Sequence[Intervention]:
        """The interventions for lists of one length, of anything but a patch.

        The chunk must have donors for RESAMPLE (a list for each) and for TRANSPLANT (``other`` for
        each).

        Args:
            positions: do the same to these instead of its blanks, as for a control.
        """
        if self.of_any_list:
            return self.on_any(chunk.model.task)
        if self.act is Act.PATCH:
            raise ValueError("a patch is of one list: see on_list")
        if positions is None:
            positions = blank_positions(chunk.model.task, self.blanks)
        if self.act in ABLATIONS:
            return ablate(self.kind, chunk, positions)
        later = tuple(range(1, chunk.model.cfg.n_layers))
        return [Transplant(chunk.own_donor(), positions, later)]

    @property
    def kind(self) -> Kind:
        """The way of ablating, of an ablation."""
        return _KINDS[self.act]

    def on_list(
        self, model: Transformer, digits: Sequence[int], seed: int = 0
    ) -> Sequence[Intervention]:
        """The interventions for one list.

        Args:
            seed: of the lists behind a mean, and of the one behind a resample.

        Raises:
            UserError: if it cannot be done to this model and list.
        """
        self.check(model.config, len(digits))
        if self.of_any_list:
            return self.on_any(model.task)
        if self.site is None:
            return self.on(self.chunk(model, digits, seed))
        # Of the last layer, too, every row: who reads which is for the run to say.
        view = Window(model.task, len(digits), 0)
        place = (self.site.component, self.site.layer)
        tokens = model.task.encode([self.other]).tokens.to(model.W_U.device)
        return [Patch(self.site, forward(model, tokens, view, keep=[place]))]

    def chunk(self, model: Transformer, digits: Sequence[int], seed: int = 0) -> Chunk:
        """One list for :meth:`on`, with its donor: ``other``, or a random list.

        Args:
            seed: as for :meth:`on_list`.
        """
        batch = model.task.encode([tuple(digits)]).to(model.W_U.device)
        if self.other:
            donors = model.task.encode([self.other]).to(model.W_U.device)
        else:
            donors = donors_for(model, batch, seed)
        return next(chunks(model, batch, donors, seed))


def blank_positions(task: SortTask, blanks: Sequence[int]) -> tuple[int, ...]:
    """The positions of blanks that are counted from 0."""
    return tuple(task.sep_pos + 1 + blank for blank in blanks)


def _where(site: Site, task: SortTask, length: int) -> str:
    """``values of head 1.2, at blank 4``"""
    words = Site(site.component, site.layer, site.heads).words
    if site.positions is None:
        return words
    labels = task.labels(length)
    return f"{words}, at {', '.join(labels[p] for p in site.positions if p < len(labels))}"


def _list(text: str, task: SortTask | None) -> tuple[int, ...]:
    """As lists are written, ``3,1,4``; the ``314`` of old links, too."""
    symbols = DIGITS if task is None else task.symbols
    found = symbols_in(text, symbols)
    if not found:
        raise UserError(f"{text[:80]!r} is no list of {symbols.word}s like {symbols.example}")
    return found


def _blanks(text: str, task: SortTask | None) -> tuple[int, ...]:
    """``0,3-5``, or ``all`` of a model's."""
    if task is None or text.strip() != "all":
        return _numbers(text)
    if not task.n_blanks:
        raise UserError("this model has no blanks: there is nothing to do to them")
    return tuple(range(task.n_blanks))


def _numbers(text: str) -> tuple[int, ...]:
    """``0,3-5``"""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if not match or (match[2] and int(match[2]) < int(match[1])):
            raise UserError(f"{part[:40]!r} is neither a number nor a span like 3-10")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(found))


def _site(text: str, positions: tuple[int, ...]) -> Site:
    """``v.1`` or, one head of it, ``v.1.2``"""
    name, *rest = text.split(".")
    if name not in list(Component) or not 1 <= len(rest) <= 2 or not all(map(_is_number, rest)):
        raise UserError(
            f"{text[:40]!r} is no place in a model, like resid_pre.0 or, of head 2, v.1.2"
        )
    head = (int(rest[1]),) if len(rest) == 2 else None
    return Site(Component(name), int(rest[0]), head, positions)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 5
