"""The map of the page "Patch": a heatmap whose cells are chosen by a click, or by select boxes.

    cell, error = chosen_cell(config, positions, first)
    draw_map(found, cell, limit, alt_text)      # Altair: a Plotly heatmap gives no clicks
    draw_boxes(config, labels, cell)            # the same choice with the keyboard

The chosen cell is kept as text in the session and in the address: ``v.1.2:53`` is the values of
head 1.2, at position 53.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import altair as alt
import pandas as pd  # type: ignore[import-untyped]
import streamlit as st

from analyses.one_list.patch.result import PatchMap, rows_of
from explorer.server import session
from interp.answers.kinds import Act
from interp.answers.treatment import Treatment
from interp.config import ModelConfig
from interp.figures import GREY, ORANGE, label_axis
from interp.sites import PER_HEAD, STREAM, Component, Site, all_sites
from interp.support.errors import UserError

CELL = "cell"
"""The chosen cell as text; also its name in the address."""
WAY, ROWS = "patch_way", "patch_rows"
"""The direction, and what the rows of the map are; also their names in the address."""
PLACE, HEAD, POSITION = "cell_place", "cell_head", "cell_position"
"""The select boxes."""
ALL_HEADS = "all"
SELECTION = "cell"
"""The name of the click's selection in the chart."""
_BOXED = "patch_boxed"  # how often a box chose the cell: the chart then forgets its click
_COMPONENTS = (*STREAM, *PER_HEAD)
_ROW, _AROUND = 26, 90  # pixels: of a row, and for labels and legend
MOST_BESIDE = 80
"""Columns of a map that leaves room for something beside it."""
_MOST_LABELS, _MOST_LABELS_BESIDE = 60, 26  # of columns, so that they do not touch at 1280 pixels
_MENU = {"export": True, "source": False, "compiled": False, "editor": False}  # nothing leaves


@dataclass(frozen=True)
class Cell:
    """One place at one position."""

    site: Site
    """Without positions."""
    position: int
    """Absolute."""

    @property
    def place(self) -> str:
        """Component and layer: ``v.1``."""
        return f"{self.site.component}.{self.site.layer}"

    @property
    def text(self) -> str:
        return f"{code_of(self.site)}:{self.position}"

    def patch(self, other: tuple[int, ...]) -> Treatment:
        """This cell as it is for another list."""
        return Treatment(
            Act.PATCH, other=other, site=replace(self.site, positions=(self.position,))
        )


def code_of(site: Site) -> str:
    """Of a row of the map: ``resid_pre.0``; ``v.1``, ``v.1.2``."""
    head = "" if site.heads is None else f".{site.heads[0]}"
    return f"{site.component}.{site.layer}{head}"


def read_cell(text: str, config: ModelConfig, positions: range) -> Cell:
    """The cell of that text.

    Args:
        positions: the ones that there are.

    Raises:
        UserError: if it is none, or not one of this model and these lists.
    """
    try:
        site = Treatment.parse(f"patch:{text}:0").site
    except UserError:
        site = None
    if site is None or site.positions is None or len(site.positions) != 1:
        raise UserError(f"{text[:40]!r} is no cell; one looks like v.1.2:53 or resid_pre.0:40")
    where, position = replace(site, positions=None), site.positions[0]
    if site.component not in _COMPONENTS:
        raise UserError(f"the {where.words} cannot be patched here: {', '.join(_COMPONENTS)} can")
    where.check(config)
    if position not in positions:
        raise UserError(
            f"position {position} is not in these lists, or comes after the one that is read: "
            f"there are {positions[0]} to {positions[-1]}"
        )
    return Cell(where, position)


def chosen_cell(config: ModelConfig, positions: range, first: int) -> tuple[Cell, UserError | None]:
    """The cell of the session or the address; what is wrong with it, where another stands in.

    Args:
        first: the position that is shown, of the first residual stream, until one is chosen.
    """
    session.from_link(CELL, CELL, "")
    instead = Cell(Site(Component.RESID_PRE, 0), first)
    try:
        text = st.session_state[CELL]
        return (read_cell(text, config, positions) if text else instead), None
    except UserError as error:
        return instead, error


# -- choosing -----------------------------------------------------------------------------------


def draw_boxes(config: ModelConfig, labels: Mapping[int, str], cell: Cell) -> None:
    """Select boxes that show the chosen cell, and choose another.

    Args:
        labels: of the positions that there are.
    """
    st.session_state[PLACE], st.session_state[POSITION] = cell.place, cell.position
    st.session_state[HEAD] = ALL_HEADS if cell.site.heads is None else str(cell.site.heads[0])
    heads = [Site(part, layer) for part in PER_HEAD for layer in range(config.n_layers)]
    places = {code_of(site): site.words for site in (*all_sites(config.n_layers), *heads)}
    st.selectbox("Place", list(places), key=PLACE, format_func=lambda p: places[p], on_change=boxed)
    columns = st.columns(2)
    columns[0].selectbox(
        "Head",
        [ALL_HEADS, *map(str, range(config.n_heads))],
        key=HEAD,
        format_func=lambda head: "all heads" if head == ALL_HEADS else f"head {head}",
        disabled=cell.site.component not in PER_HEAD,
        on_change=boxed,
    )
    columns[1].selectbox(
        "Position", list(labels), key=POSITION, format_func=lambda p: labels[p], on_change=boxed
    )


def boxed() -> None:
    """Choose the cell that the three boxes say, and show the map that it is in; for callbacks."""
    place, head = st.session_state[PLACE], st.session_state[HEAD]
    component = Component(place.split(".")[0])
    code = place if head == ALL_HEADS or component not in PER_HEAD else f"{place}.{head}"
    st.session_state[CELL] = f"{code}:{st.session_state[POSITION]}"
    st.session_state[ROWS] = rows_of(component)
    st.session_state[_BOXED] = st.session_state.get(_BOXED, 0) + 1


def clicked(event: Mapping[str, Any]) -> str | None:
    """The cell of a chart's event, as text; None of a click beside the cells.

    Args:
        event: ``{"selection": {"cell": [{"code": "v.1.2", "position": 53}]}}``
    """
    chosen = event.get("selection", {}).get(SELECTION) or []
    return f"{chosen[0]['code']}:{int(chosen[0]['position'])}" if chosen else None


def take_click(key: str) -> None:
    """Choose the cell that was clicked in the chart of that key; for callbacks."""
    if text := clicked(st.session_state[key]):
        st.session_state[CELL] = text


# -- drawing ------------------------------------------------------------------------------------


def draw_map(found: PatchMap, cell: Cell, limit: float, alt_text: str) -> None:
    """The map, to click at; the chosen cell has a frame."""
    key = f"patch_map_{st.session_state.get(_BOXED, 0)}"
    st.altair_chart(
        chart(found, limit, cell),
        width="stretch",
        key=key,
        on_select=lambda: take_click(key),
        selection_mode=SELECTION,
        alt=alt_text,
    )


def chart(
    found: PatchMap, limit: float, cell: Cell | None = None
) -> alt.LayerChart | alt.FacetChart:
    """Cells coloured by their share, lines where regions begin, and the chosen cell in a frame.

    Args:
        limit: where the colours end, on both sides of zero.
        cell: the chosen one; None for a map that is only looked at.
    """
    data, labels = table(found), found.labels
    beside = len(labels) <= MOST_BESIDE
    shown = label_axis(labels, _MOST_LABELS_BESIDE if beside else _MOST_LABELS)["ticktext"]
    gap = 0.06 if beside else 0.0
    columns = alt.Scale(domain=labels, paddingInner=gap)
    x = alt.X("label:N", title=None, scale=columns)
    x = x.axis(values=shown, labelAngle=-90, labelOverlap=False, labelPadding=4, ticks=False)
    y = alt.Y("name:N", title=None, scale=alt.Scale(domain=found.names, paddingInner=0.08))
    y = y.axis(ticks=False, labelLimit=200)
    scale = alt.Scale(scheme="redblue", domain=[-limit, limit], clamp=True)
    legend = alt.Legend(title="share", format=".2f", gradientLength=_ROW * len(found.sites))
    tooltip = [
        alt.Tooltip("name:N", title="place"),
        alt.Tooltip("holds:N", title="position"),
        alt.Tooltip("share:Q", title="share", format=".3f"),
        alt.Tooltip("effect:Q", title="logits", format="+.3f"),
    ]
    base = alt.Chart(data).encode(x=x, y=y, tooltip=tooltip)
    cells = base.mark_rect().encode(color=alt.Color("share:Q", scale=scale, legend=legend))
    starts = alt.Data(values=[{"label": labels[edge]} for edge in found.edges])
    lines = alt.Chart(starts).mark_rule(color=GREY, strokeWidth=1.5)
    layers = [cells, lines.encode(x=alt.X("label:N", bandPosition=0, scale=columns))]
    if cell is not None:
        layers[0] = cells.mark_rect(cursor="pointer").add_params(
            alt.selection_point(
                name=SELECTION, fields=["code", "position"], toggle=False, clear=False
            )
        )
        here = (data["code"] == code_of(cell.site)) & (data["position"] == cell.position)
        frame = base.mark_rect(fillOpacity=0, stroke=ORANGE, strokeWidth=3)
        layers.append(frame.properties(data=data[here]))
    return alt.layer(*layers).properties(
        height=_ROW * len(found.sites) + _AROUND,
        usermeta={"embedOptions": {"actions": _MENU}},
    )


def table(found: PatchMap) -> Any:
    """A data frame with a row for each cell; plain dictionaries would all be validated, slowly."""
    shares, effects = found.shares.tolist(), found.effects.tolist()
    return pd.DataFrame(
        [
            (code_of(site), name, position, label, held, shares[r][c], effects[r][c])
            for r, (site, name) in enumerate(zip(found.sites, found.names, strict=True))
            for c, (position, label, held) in enumerate(
                zip(found.positions, found.labels, found.holds, strict=True)
            )
        ],
        columns=["code", "name", "position", "label", "holds", "share", "effect"],
    )
