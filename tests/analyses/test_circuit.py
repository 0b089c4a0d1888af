"""The circuit: right on compiled sorters, in words, data and pictures, and its command line."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest

from analyses import experiment
from analyses.circuit import EXPERIMENT, CircuitConfig
from analyses.circuit.layout import panels
from analyses.circuit.result import PARTS, CircuitResult, leading_to
from analyses.circuit.svg import drawing
from interp.checkpoints import save_model
from interp.edges import logits_node, parse_edge
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS, truth_of
from interp.support.errors import UserError
from interp.task import Region, SortTask
from tests.analyses.test_analyses import MODELS
from tests.covers import few
from tests.models import small_model

SMALL, FEW = SortTask(6, 7), CircuitConfig(lists=16, searched=24)
main = partial(experiment.main, EXPERIMENT)


@cache
def result_of(name: str) -> CircuitResult:
    result: CircuitResult = EXPERIMENT.compute(compile_sorter(name, SMALL).model, FEW)
    return result


@pytest.mark.slow
@pytest.mark.parametrize("name", few(SORTERS, "slots"))  # of which other tests are as well
def test_the_scoreboards_questions(name: str, unchecked: None) -> None:
    said = EXPERIMENT.outcome(result_of(name)).verdicts
    for question in EXPERIMENT.questions:
        assert question.true is not None
        assert said[question.key] == question.true(truth_of(name, SMALL)), question.words


def test_what_was_found_in_words_data_and_pictures(unchecked: None) -> None:
    result = result_of("slots")
    outcome = EXPERIMENT.outcome(result)
    data = json.loads(json.dumps(outcome.json, allow_nan=False))
    assert data["levels"][0]["n_edges"] == 6 and data["levels"][0]["edges"] == [
        str(edge) for edge in result.strict.level.edges
    ]
    assert sorted(e["edge"] for e in data["graph"]) == sorted(
        map(str, truth_of("slots", SMALL).circuit)
    )
    ends = {e["edge"]: e["leads_to"] for e in data["graph"]}
    assert ends["embed@digits > 0.1.v@blanks"] == list(PARTS)
    assert ends["mlp0@blanks > 1.2.v@last blank"] == [PARTS[0]]
    for edge in data["graph"]:  # each brings everything to where it leads, and nothing elsewhere
        for part in PARTS:
            whole = float(part in edge["leads_to"])
            assert edge["effect"][part]["value"] == pytest.approx(whole, abs=1e-4)
    assert "At 99 %: 6 edges; faithfulness first output 100.0 %" in outcome.words[1]
    assert outcome.words[-1].startswith("Of 459 edges, 6 keep the answer to 90 %")
    assert outcome.words[-1].endswith("heads 0.1, 1.2 are among those that write along them.")
    assert len(outcome.figure.data) > 8


def test_the_picture_has_every_edge_and_node_once_for_each_part(unchecked: None) -> None:
    result = result_of("slots")
    root = ElementTree.fromstring(drawing(result))
    space = "{http://www.w3.org/2000/svg}"
    titles = [t.text or "" for t in root.iter(f"{space}title")]
    drawn = [t.split(":")[0] for t in titles if " > " in t]
    assert sorted(drawn) == sorted(
        str(result.edges[i]) for part in range(2) for i in result.part_edges(part)
    )
    nodes = [t for t in titles if ", " in t and " > " not in t]
    assert "MLP 0, blanks" in nodes and "head 1.2, outputs" in nodes
    assert not any("head 0.0" in t for t in nodes)  # a decoy
    first, _ = panels(result)
    by_name = {str(spot.node): spot for spot in first.spots}
    assert [by_name[n].y for n in ("embed", "0.1", "mlp0", "1.2", "logits")] == [0, 1, 2, 3, 5]
    for line in first.lines:  # from the top of one node to the bottom of a higher one
        assert line.at(0) == (line.x0, line.y0) and line.at(1) == (line.x1, line.y1)
        assert line.y0 < line.y1 and line.width == pytest.approx(9.0, abs=0.01)


def test_which_edges_lead_where() -> None:
    edges = tuple(
        map(
            parse_edge,
            [
                "embed@digits > 0.0.v@blanks",
                "0.0@blanks > mlp0@blanks",
                "mlp0@blanks > 1.1.k@outputs",
                "1.1@outputs > logits@outputs",
                "1.1@last blank > logits@last blank",
                "embed@outputs > mlp0@outputs",  # leads nowhere: nothing reads MLP 0 there
                "0.0@digits > mlp0@blanks",  # of a head whose own input is not among them
            ],
        )
    )
    assert leading_to(edges, logits_node(2), Region.OUTPUTS) == [0, 1, 2, 3, 6]
    assert leading_to(edges, logits_node(2), Region.LAST_BLANK) == [4]


@pytest.mark.slow
@pytest.mark.parametrize("kind", few([*MODELS, "silent"], "one digit", "silent"))  # or in walks
def test_any_model(kind: str, unchecked: None) -> None:
    model = MODELS.get(kind) or small_model(task=SortTask(3, 2), seed=4)
    if kind == "silent":
        model.W_U.data.zero_()
    outcome = EXPERIMENT.outcome(EXPERIMENT.compute(model, CircuitConfig(lists=8, searched=8)))
    json.dumps(outcome.json, allow_nan=False)
    outcome.figure.to_json()
    ElementTree.fromstring(drawing(outcome.result))
    assert outcome.words[-1].endswith(".")


def test_the_level_that_is_drawn_can_be_chosen() -> None:
    assert CircuitConfig(keep=0.97).levels == [0.99, 0.97, 0.95, 0.9, 0.8]
    assert CircuitConfig().levels == [0.99, 0.95, 0.9, 0.8]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"keep": 1.0}, "--keep must be above 0 and at most 0.99, not 1.0"),
        ({"keep": 0.0}, "--keep must be above 0"),
        ({"lists": 3}, "--lists must be at least 4, not 3"),
        ({"searched": 0}, "--searched must be at least 4, not 0"),
    ],
)
def test_bad_settings_are_said(changed: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        replace(CircuitConfig(), **changed)


def test_command(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str], unchecked: None
) -> None:
    save_model(tmp_path / "tiny", small_model(task=SortTask(2, 1)))
    flags = ["--model", str(tmp_path / "tiny"), "--lists", "4", "--searched", "4", "--json"]
    assert status(main, [*flags, "--out", str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    (folder,) = (tmp_path / "circuit").iterdir()
    assert printed == json.loads((folder / "result.json").read_text())
    assert (folder / "circuit.svg").read_text().startswith("<svg")
    assert (folder / "figure.html").is_file()
    assert status(main, ["--keep", "2"]) == 2
    assert "--keep must be above 0" in capsys.readouterr().err
