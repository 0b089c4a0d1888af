"""The last section of the page "Inside": the analyses over many lists, started by a button."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from explorer.parts.controls import View
from explorer.parts.elements import plain, refuse
from explorer.parts.panel import about, panel
from explorer.server import store
from interp.support.errors import UserError

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from analyses.common import Analysis

_SEED = 0
_LEGEND = 36  # pixels


@dataclass(frozen=True)
class Study:
    """An analysis that the page offers."""

    module: str
    """Of ``analyses``."""
    question: str
    takes: str
    """How long, about, on two cores, with the shipped model."""
    shows: str
    proves_not: str


@dataclass(frozen=True)
class Outcome:
    """What there is to show of it."""

    figure: go.Figure
    rows: list[dict[str, Any]]
    words: list[str]


STUDIES = (
    Study(
        "logit_lens",
        "Logit lens: where does the answer become readable, and do the blanks say it?",
        "2 seconds",
        "how probable the right digit is at each output after every layer, the same for sorted[j] "
        "at blank j, and both as rates with their intervals; for blanks the fair measure is a "
        "forced choice between two lists (chance is 50 %).",
        "that something is not there: a lens reads the directions that the unembedding reads, and "
        "no others.",
    ),
    Study(
        "attribution",
        "Attribution: which parts write the answer, and can gradients find the places that matter?",
        "15 seconds",
        "each part's share of the right digit's logit above the mean of the nine others, with "
        "intervals over lists; then, on pairs of lists, what gradients guess beside what patching "
        "finds exactly.",
        "who worked the answer out, or that a guess is right where it was not checked.",
    ),
    Study(
        "probe_blanks",
        "Probes with their controls: what could be read linearly at the blanks?",
        "30 seconds",
        "how well a linear function of a blank's residual stream tells sorted[j], the counts and "
        "the length on lists that it was not fitted on; beside it the best guess from position and "
        "length, a control task with arbitrary labels, and an untrained twin of the model.",
        "that anything reads it. What is readable may be unused; the pages Patch and Blanks are "
        "about use.",
    ),
)


def many_lists(view: View) -> None:
    """A section for each study."""
    st.markdown(
        "Everything above is of one list. These run over many held-out lists, and over the model "
        "**as it is**: neither the list nor the intervention of the sidebar matters here. They "
        "start at the press of a button, and are kept."
    )
    for study in STUDIES:
        _study(view, study)


@st.fragment
def _study(view: View, study: Study) -> None:
    analysis: Analysis = importlib.import_module(f"analyses.{study.module}").ANALYSIS
    opened = view.opened
    st.subheader(study.question)
    if analysis.needs_blanks and not opened.task.n_blanks:
        st.info("This model has no blanks, so there is nothing to probe.")
        return
    key = (analysis.name, opened.hash, analysis.config, _SEED)
    place = st.empty()
    if not store.store().has(key) and not place.button(
        f"Run: about {study.takes}", key=f"run {analysis.name}", icon=":material/play_arrow:"
    ):
        return
    try:
        found = store.computed(key, lambda bar: _outcome(view, analysis, bar), analysis.title)
    except UserError as error:  # the model is not one that it can say anything about
        refuse(st.container(), error)
        return
    place.empty()
    st.markdown(f"**{plain(found.words[-1])}**")
    of = about(view, f"-m analyses.{analysis.name}", of_list=False, seed=_SEED)
    panel(found.figure, analysis.name, of, found.rows, study.shows, study.proves_not)
    with st.expander("All of it in words"):
        st.code("\n".join(found.words), language=None, wrap_lines=True)
        st.caption(f"Seed {_SEED}; {plain(_settings(analysis))}.")


def _outcome(view: View, analysis: Analysis, progress: Any) -> Outcome:
    analysis.check(view.opened.model)
    result = analysis.compute(view.opened.model, analysis.config, _SEED, progress)
    figure = analysis.figure(result)
    layout = figure.layout  # their legends hang below the axes, where the panel writes its line
    figure.update_layout(margin={"b": (layout.margin.b or 60) + _LEGEND})
    figure.update_layout(height=layout.height + _LEGEND)
    return Outcome(figure, flat(analysis.to_json(result)), analysis.summary(result))


def _settings(analysis: Analysis) -> str:
    return ", ".join(f"{name} {value}" for name, value in asdict(analysis.config).items())


def flat(data: Any, path: str = "") -> list[dict[str, Any]]:
    """A JSON record as a table: ``{"what": "depths.0.answered.value", "value": 0.97}``."""
    if isinstance(data, Mapping):
        items: Any = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    else:
        return [{"what": path, "value": data}]
    return [row for key, each in items for row in flat(each, f"{path}.{key}" if path else str(key))]
