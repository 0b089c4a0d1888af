"""One bad folder is one message, there: no other page, model or visitor notices."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import plotly.graph_objects as go
import pytest
import torch
from safetensors.torch import load_file, save_file

from explorer.server.models import open_model
from explorer.server.places import Places
from explorer.server.runs import curves, run_names, study_results
from interp.figures import html_page, unlinked
from interp.support.errors import UserError
from tests.covers import few
from tests.pages import errors, open_page

STUDIES = Path(__file__).resolve().parents[2] / "docs" / "studies"


@pytest.fixture
def mine(folder, tmp_path) -> Path:
    """A folder of models of one's own, with a study."""
    shutil.copytree(folder, tmp_path / "mine")
    shutil.copytree(STUDIES / "original", tmp_path / "mine" / "study")
    return tmp_path / "mine"


def refusal(places: Places, name: str) -> str:
    with pytest.raises(UserError) as caught:
        open_model(places, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_weights_that_are_a_link_out_of_the_folder_stay_closed(file, mine, tmp_path):
    shutil.move(mine / "with" / file, tmp_path / file)
    (mine / "with" / file).symlink_to(tmp_path / file)
    said = refusal(Places((mine,)), str(mine / "with"))
    assert "is no model that this page may open" in said
    assert open_model(Places((mine, tmp_path)), str(mine / "with"))  # positive control


def test_messages_name_no_place_that_the_visitor_did_not(mine, monkeypatch):
    monkeypatch.chdir(mine.parent)
    for file, text in (("model.safetensors", "x" * 99), ("config.json", "{")):
        (mine / "with" / file).write_text(text)
        said = refusal(Places((Path("mine"),)), "mine/with")
        assert said.startswith(f"mine/with/{file} is")
        assert str(mine) not in said
    log = mine / "study" / "blanks.jsonl"
    log.write_text("{}\n")
    with pytest.raises(UserError) as caught:
        study_results(Places((Path("mine"),)), "mine/study")
    assert str(caught.value).startswith("mine/study/blanks.jsonl, line 1 is not an exported run")


DAMAGE = ["", "{", "[" * 9999, "null\n", '{"arm": 3}', '{"arm": "blanks", "seed": 0}', "\x00"]


@pytest.mark.parametrize("text", DAMAGE)
def test_a_damaged_study_is_passed_over_where_nobody_chose_it(text, mine):
    places = Places((mine,))
    names = run_names(places)
    (mine / "study" / "blanks.jsonl").write_text(text)
    left = run_names(places)
    assert set(left) == {name for name in names if not name.startswith(str(mine / "study"))}
    assert curves(places, left[0]).batch.steps
    with pytest.raises(UserError):
        study_results(places, str(mine / "study"))


def test_training_is_drawn_beside_a_damaged_study(mine, monkeypatch):
    monkeypatch.setenv("SORTSCOPE_MODELS", str(mine))
    (mine / "study" / "plan.toml").write_text("name = [")
    (mine / "0001-bad").mkdir()
    (mine / "0001-bad" / "metrics.jsonl").write_text('{"step": "none"}\n')
    os.mkfifo(mine / "0001-bad" / "config.json")
    page = open_page("training", model="blanks")
    assert errors(page) == []
    page = open_page("training", model="blanks", study=str(mine / "study"))
    assert len(errors(page)) == 1
    page = open_page("training", model="blanks", curves=str(mine / "0001-bad"))
    (said,) = errors(page)
    assert "metrics.jsonl, line 1 is no measurement" in said


@pytest.mark.parametrize("page", few(["sort", "attention", "patch", "blanks", "inside"], "sort"))
def test_a_damaged_model_is_one_message_on_every_page(page, mine, monkeypatch):
    monkeypatch.setenv("SORTSCOPE_MODELS", str(mine))
    path = mine / "with" / "config.json"
    config = json.loads(path.read_text())
    config["model"]["ln_eps"] = -1
    path.write_text(json.dumps(config))
    (said,) = errors(open_page(page, model=str(mine / "with")))
    assert "ln_eps must be above 0" in said


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_model_of_no_numbers_is_no_model_here(value, mine):
    """Whatever a page said of it would be no conclusion."""
    path = mine / "with" / "model.safetensors"
    weights = load_file(path)
    weights["unembed.W_U"][0, 0] = value
    save_file(weights, path)
    said = refusal(Places((mine,)), str(mine / "with"))
    assert "unembed.W_U holds" in said


# -- names --------------------------------------------------------------------------------------

EVIL = [
    '<a href="http://evil.example">here</a>',
    "<A HREF=//evil.example>x",
    '<span style="background:url(//evil.example)">x</span>',
    '<span style="color:#FF0000;background:url(//evil.example)">x',
    "<b onclick=alert(1)>",
    "<image href=x>",
]


@pytest.mark.parametrize("name", EVIL)
def test_a_name_is_no_link_in_a_figure(name):
    figure = go.Figure(go.Scatter(x=[1], y=[2], name=name, text=[name], customdata=[[name, 1.5]]))
    figure.update_layout(title={"text": f"Runs<br><sup>{name}</sup>"})
    cleaned = unlinked(figure)
    shown = cleaned.layout.title.text
    assert shown.startswith("Runs<br><sup>&lt;")
    texts = [shown.removeprefix("Runs<br><sup>").removesuffix("</sup>"), cleaned.data[0].name]
    texts += [cleaned.data[0].text[0], cleaned.data[0].customdata[0][0]]
    harmless = ("</b>", "</span>")  # that close nothing
    assert all("<" not in re.sub("|".join(harmless), "", text) for text in texts)
    assert cleaned.data[0].customdata[0][1] == 1.5
    assert name not in html_page(figure)


def test_a_figure_of_ours_is_left_as_it_is():
    figure = go.Figure(go.Scatter(x=[1], y=[2], hovertemplate="a<br>%{y}<extra></extra>"))
    figure.update_layout(title='<b>B</b> 3 <sup>2</sup> <span style="color:#0072B2">●</span>')
    assert unlinked(figure) is figure
