"""The part of the page "Blanks" that takes its time: whole analyses over many lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from analyses import catalogue
from explorer.parts.controls import View
from explorer.parts.elements import plain, refuse
from explorer.parts.panel import Rows, about, panel
from explorer.server import session
from explorer.server.store import computed, store
from interp.support.errors import UserError

SIZE = "blanks_size"
SIZES = {"quick": "Fewer lists, sooner", "full": "As many as the command"}
SEED = 0
_ROOM = 36  # pixels


@dataclass(frozen=True)
class Study:
    """An analysis as this page offers it."""

    name: str
    shows: str
    quick: Mapping[str, int]
    """Settings that differ from the defaults when it is to be quick."""
    wait: Mapping[str, str]
    """For people, with the shipped model on two processor cores."""

    def settings(self, size: str) -> Mapping[str, int]:
        return self.quick if size == "quick" else {}

    def command(self, size: str) -> str:
        """``-m analyses.ablate_blanks --lists 96``"""
        flags = [f"--{k.replace('_', '-')} {v}" for k, v in self.settings(size).items()]
        return " ".join([f"-m analyses.{self.name}", *flags])


STUDIES = (
    Study(
        "ablate_blanks",
        "how many lists come out without a mistake when all blanks are taken away in each of the "
        "five ways, when each is taken away alone, and when growing random subsets are (the dose "
        "curve), beside as many digits and outputs. Intervals: 95 %, Wilson.",
        {"lists": 96, "lists_each": 24},
        {"quick": "20 s", "full": "80 s"},
    ),
    Study(
        "transplant_blanks",
        "whose answer the outputs give when digits, blanks or the outputs given back come from "
        "another list of the same length, in all combinations; only outputs in which the two "
        "answers differ are counted. Intervals: 95 %, a bootstrap over pairs.",
        {"pairs": 96},
        {"quick": "2 s", "full": "4 s"},
    ),
    Study(
        "blank_output_matrix",
        "how far each output moves from A's digit towards B's when one blank alone comes from "
        "list B: 0 is no effect, 1 all the way. Rows are blanks, columns outputs.",
        {"pairs": 24},
        {"quick": "1 s", "full": "4 s"},
    ),
)


def many(view: View) -> None:
    """The analyses, each behind a button until it has been computed once."""
    st.header("On many lists", divider="gray")
    session.choice(SIZE, SIZE, list(SIZES), "quick")
    size = st.radio("How many lists", SIZES, key=SIZE, format_func=SIZES.get, horizontal=True)
    session.write_link(**{SIZE: size})
    for study in STUDIES:
        _study(view, study, size)


@st.fragment
def _study(view: View, study: Study, size: str) -> None:
    analysis = catalogue.analysis(study.name)
    st.subheader(analysis.title)
    config = replace(analysis.config, **study.settings(size))
    key = (study.name, view.opened.hash, config, SEED)
    asked = st.empty()
    words = f"Run: about {study.wait[size]}"
    if not store().has(key) and not asked.button(words, key=f"run {study.name}"):
        st.caption(f"**Shows:** {study.shows}")
        return
    asked.empty()
    model = view.opened.model
    try:
        result = computed(
            key, lambda progress: analysis.compute(model, config, SEED, progress), analysis.title
        )
    except UserError as error:
        refuse(st.container(), error)
        return
    *details, finding = analysis.summary(result)
    st.markdown(f"**{plain(finding)}**")
    figure = analysis.figure(result)
    figure.update_layout(  # room between axis or legend and the line at the foot
        margin={"b": figure.layout.margin.b + _ROOM}, height=figure.layout.height + _ROOM
    )
    panel(
        figure,
        study.name,
        about(view, study.command(size), of_list=False, seed=SEED),
        lambda: rows(study.name, analysis.to_json(result)),
        study.shows,
        catalogue.caveat(study.name),
    )
    with st.expander("All numbers in words"):
        st.text("\n".join(details))


def rows(name: str, data: Mapping[str, Any]) -> Rows:
    """The table behind an analysis' figure, from its JSON."""
    if name == "ablate_blanks":
        return [
            {"part": part, "condition": condition, "measure": measure, **rate}
            for part in ("together", "each", "dose")
            for condition, rates in data[part].items()
            for measure, rate in rates.items()
        ]
    if name == "transplant_blanks":
        return _transplant_rows(data)
    return [
        {"blank": blank, "output": output, "mean_effect": effect}
        for blank, effects in enumerate(data["mean_effect"])
        for output, effect in enumerate(effects)
    ]


def _transplant_rows(data: Mapping[str, Any]) -> Rows:
    together = [
        {"from_b": name, "output": "all", "follows": whose, **rate}
        for name, rates in data["follows"].items()
        for whose, rate in rates.items()
        if rate is not None
    ]
    by_output = [
        {"from_b": "blanks", "output": output, "follows": "B", **rate}
        for output, rate in enumerate(data["blanks_by_output"])
        if rate is not None
    ]
    return [*together, *by_output]
