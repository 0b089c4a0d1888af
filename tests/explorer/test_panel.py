"""What goes with a figure: its files, the line at its foot, and the command that reproduces it."""

from __future__ import annotations

import csv
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from analyses import logit_lens
from analyses.one_list import glance
from explorer.parts.controls import View
from explorer.parts.one_list import about_list
from explorer.parts.panel import About, as_csv, as_json, file_name, ready
from explorer.parts.study import about_model
from explorer.server.models import OpenModel
from interp.answers.treatment import Treatment
from interp.checkpoints import load_bare
from interp.figures import html_page
from tests.pages import small_models

OF = About("blanks", "162a689", "3,1,4", "blank 3: keys and values zero", 7, "python -m x --y 1")
LENS = logit_lens.EXPERIMENT
ROWS: list[dict[str, Any]] = [
    {"place": "SEP", "effect": 0.25},
    {"place": 'a "b", c\nd', "n": 3},
]


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    folder = tmp_path_factory.mktemp("models")
    small_models(folder)
    opened = OpenModel(load_bare(folder / "with"), "a model's folder; rm -rf $HOME")
    return View(opened, (3, 1, 4), Treatment.parse("zero:1-2"))


# -- files --------------------------------------------------------------------------------------


def test_a_table_says_what_it_is_of_and_can_be_read_back() -> None:
    lines = as_csv(OF, ROWS).split("\n")
    assert lines[:6] == [
        "# model: blanks",
        "# model_hash: 162a689",
        "# list: 3,1,4",
        "# intervention: blank 3: keys and values zero",
        "# seed: 7",
        "# command: python -m x --y 1",
    ]
    assert lines[6] == "place,effect,n"
    table = list(csv.DictReader(as_csv(OF, ROWS).split("\n")[6:]))
    assert table[0] == {"place": "SEP", "effect": "0.25", "n": ""}
    whole = list(csv.reader("\n".join(lines[6:]).splitlines(keepends=True)))
    assert whole[2] == ['a "b", c\nd', "", "3"]


@given(st.text(max_size=40))
def test_a_head_stays_in_its_lines(name: str) -> None:
    text = as_csv(About(name, "h", "", name, 0, name), [{"a": 1}])
    *head, columns, row, end = [*text.splitlines(), ""]
    assert all(line.startswith("# ") for line in head)
    assert len(head) == 6
    assert (columns, row, end) == ("a", "1", "")


def test_data_says_what_it_is_of() -> None:
    assert json.loads(as_json(OF, ROWS)) == {
        "model": "blanks",
        "model_hash": "162a689",
        "list": "3,1,4",
        "intervention": "blank 3: keys and values zero",
        "seed": 7,
        "command": "python -m x --y 1",
        "rows": ROWS,
    }


def test_no_rows() -> None:
    assert as_csv(OF, []).count("\n") == 7
    assert json.loads(as_json(OF, []))["rows"] == []


# -- what a picture says of itself --------------------------------------------------------------


def test_a_figure_says_below_its_title_what_it_is_of() -> None:
    figure = go.Figure(go.Bar(x=[1], y=[2]))
    figure.update_layout(title={"text": "Bars"}, height=300, margin={"t": 50})
    said = ready(figure, OF)
    assert said.layout.title.text == "Bars"
    lines = said.layout.title.subtitle.text.split("<br>")
    assert lines == ["blanks (162a689) · seed 7 · list 3,1,4", "blank 3: keys and values zero"]
    assert (said.layout.height, said.layout.margin.t) == (338, 88)  # room for two lines
    assert not figure.layout.title.subtitle.text and figure.layout.height == 300  # a copy
    assert said.data[0].y == (2,)


def test_a_figure_has_room_for_its_labels_and_its_colour_bar() -> None:
    def margins(figure: go.Figure) -> dict[str, int]:
        return ready(figure, OF).to_plotly_json()["layout"]["margin"]

    plain, scale = margins(go.Figure(go.Scatter(y=[1]))), margins(go.Figure(go.Heatmap(z=[[1]])))
    assert scale == {**plain, "r": scale["r"]} and scale["r"] > plain["r"] == 0
    no_bar = margins(go.Figure(go.Heatmap(z=[[1]], showscale=False)))
    assert no_bar == plain
    long, short = (go.Figure(go.Bar(y=[name], x=[1])) for name in ("a" * 30, "a"))
    assert margins(short) == plain and margins(long)["l"] > 30 * 6 > plain["l"]
    told = go.Figure().update_yaxes(tickvals=[0], ticktext=["<b>" + "a" * 30 + "</b><br>b"])
    assert margins(told)["l"] == margins(long)["l"]
    wide = go.Figure(go.Heatmap(z=[[1]])).update_layout(margin={"l": 500, "r": 501, "b": 502})
    assert margins(wide) == {"l": 500, "r": 501, "b": 502, "t": plain["t"]}


def test_a_figure_of_no_one_list_names_none() -> None:
    assert About("blanks", "h", "", "nothing", 0, "x").lines == ["blanks (h) · seed 0", "nothing"]


def test_a_page_cannot_be_broken_out_of() -> None:
    figure = ready(go.Figure(), About("</script><script>alert(1)</script>", "h", "", "", 0, ""))
    assert "<script>alert(1)" not in html_page(figure)


# -- the command --------------------------------------------------------------------------------


def test_a_command_holds_model_list_intervention_and_seed(view: View) -> None:
    of = about_list(view, glance.EXPERIMENT, replace(glance.EXPERIMENT.settings, layer=0), seed=3)
    assert shlex.split(of.command) == [
        *("python", "-m", "analyses.one_list.glance", "--layer", "0"),
        *("--model", "a model's folder; rm -rf $HOME"),
        *("--list", "3,1,4", "--do", "zero:1-2", "--seed", "3"),
    ]
    assert (of.digits, of.intervention) == ("3,1,4", "blanks 1-2: keys and values zero")
    assert (of.model, of.model_hash, of.seed) == (view.opened.name, view.opened.hash, 3)


def test_a_command_of_many_lists_leaves_the_one_out(view: View) -> None:
    of = about_model(view, LENS, LENS.settings)
    words = shlex.split(of.command)
    assert "--list" not in words and "--do" not in words
    assert words[-2:] == ["--seed", "0"]
    assert of.digits == ""
    assert of.intervention == "nothing is changed but what the figure names"


def test_a_command_under_no_intervention(view: View) -> None:
    plain = View(view.opened, (3,), Treatment())
    of = about_list(plain, glance.EXPERIMENT, glance.EXPERIMENT.settings)
    assert "--do" not in of.command and of.intervention == "nothing is changed"


names = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1)


@given(name=names)
def test_whatever_a_model_is_called_it_is_one_word_of_the_command(view: View, name: str) -> None:
    named = replace(view, opened=replace(view.opened, name=name))
    words = shlex.split(about_model(named, LENS, LENS.settings).command)
    assert words == ["python", "-m", "analyses.logit_lens", "--model", name, "--seed", "0"]


def test_long_lines_are_broken_and_lose_nothing() -> None:
    digits = ",".join("3141592653" * 4)
    lines = replace(OF, digits=digits, intervention="nothing is changed").lines
    whole = f"blanks (162a689) · seed 7 · list {digits}"
    assert "".join(lines[:-1]).replace(" ", "") == whole.replace(" ", "")
    assert max(map(len, lines)) <= 56 and lines[-1] == "nothing is changed"
    assert replace(OF, digits="3,1,4,1,5").lines[0].endswith("list 3,1,4,1,5")


def test_files_are_named_by_what_they_are_of() -> None:
    assert file_name(replace(OF, digits="3,1,4"), "heads") == "sortscope-blanks-314-heads"
    assert file_name(replace(OF, digits="12,3"), "heads") == "sortscope-blanks-12-3-heads"
    odd = replace(OF, model="../runs/0001 x", digits="")
    assert file_name(odd, "curves") == "sortscope-runs-0001-x-curves"


# -- drawn --------------------------------------------------------------------------------------


def _page() -> None:
    import plotly.graph_objects as go
    import streamlit as st

    from explorer.parts.panel import About, panel

    of = About("blanks", "162a689", "3,1,4", "nothing is changed", 0, "python -m x")
    figure = go.Figure(go.Bar(x=[1], y=[2])).update_layout(title="Two<br>lines")
    panel(figure, "bars", of, lambda: st.session_state.asked.append(1), "a bar.", "much.")


def test_a_panel_draws_the_figure_its_sentences_its_files_and_its_command() -> None:
    page = AppTest.from_function(_page)
    page.session_state["asked"] = []
    page.run()
    assert not page.exception
    assert "**Shows:** a bar." in page.caption[0].value
    assert "**Does not prove:** much." in page.caption[0].value
    assert page.code[0].value == "python -m x"
    labels = [element.proto.label for element in page.get("download_button")]
    assert labels == ["Page (HTML)", "Table (CSV)", "Data (JSON)"]
    assert page.session_state["asked"] == []  # rows are made when a file is asked for, not before


def test_small_models_differ(tmp_path: Path) -> None:
    """The hash in a file tells models apart."""
    small_models(tmp_path)
    assert load_bare(tmp_path / "with").hash != load_bare(tmp_path / "without").hash
