"""The page Home: what it says is what the shipped results hold, and changes with them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analyses.ship.shipped import FOLDER, Shipped
from explorer.pages.home import findings as home
from explorer.pages.home.findings import Bar, findings
from explorer.pages.home.picture import bars
from explorer.server.models import shipped_hashes
from interp.checkpoints import load_bare
from interp.stats import wilson
from tests.pages import open_page

BLANKS = "162a6890427d9789"  # the hash of the shipped weights `blanks`


def raw(name: str, subject: str = BLANKS) -> Any:
    """A shipped result, by plain code."""
    return json.loads(gzip.decompress((FOLDER / name / f"{subject}.json.gz").read_bytes()))["json"]


def percent(rate: dict[str, float]) -> str:
    value, low, high = (f"{100 * rate[key] + 1e-9:.1f}" for key in ("value", "low", "high"))
    return f"{value} % [{low}, {high}]"


@pytest.fixture
def page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))
    return open_page(None)


def said(page: AppTest) -> str:
    return "\n".join([*(m.value for m in page.markdown), *(h.value for h in page.html)])


def test_the_question_three_findings_and_the_tour(page: AppTest) -> None:
    assert [title.value for title in page.title] == ["What does a transformer do with 49 blanks?"]
    assert [one.value for one in page.subheader] == [
        "How does it sort?",
        "Does it compute in its blanks?",
        "Are the blanks key to learning?",
    ]
    first = page.button[0]
    assert (first.label, first.proto.type) == ("Start the tour", "primary")
    assert "SiliconSloth/Algoformer" in "\n".join(c.value for c in page.caption)
    assert "says **1 1 2 3 3 4 5 5 6 9**, without a mistake" in said(page)


def test_the_numbers_are_those_of_the_results(page: AppTest) -> None:
    words = said(page)
    programs, taken = raw("which_program"), raw("ablate_blanks")
    best = programs["best"][0]
    assert percent(programs["agreement"][best]["right prefixes"]) in words
    row = next(r for r in programs["parted"] if r["programs"] == [best, "rank"])
    assert f"{wilson(row['right'][0], row['n']).percent()}** (n = {row['n']:,} prompts)" in words
    assert percent(taken["together"]["resample: all"]["exact_match"]) in words
    assert percent(taken["together"]["mask: all"]["exact_match"]) in words
    reader = raw("one_reader")["agreement"]
    for column in ("all but the row", "blanks and SEP"):
        worst = min(reader[column].values(), key=lambda rate: rate["value"])
        assert f"{percent(worst)}** (n = {worst['n']:,} prompts)" in words
    study = raw("replication", "study-quick")
    difference = study["comparisons"][0]["comparison"]["difference"]
    low, high = 100 * difference["low"], 100 * difference["high"]
    assert f"{100 * difference['value']:.1f} points [{low:.1f}, {high:.1f}]" in words
    for arm in ("blanks", "no-blanks", "pos-offset"):
        value = 100 * study["arms"][arm]["mean_accuracy"]["value"]
        assert f"<b>{value + 1e-9:.1f} %</b>" in words


def test_every_number_of_a_rate_has_its_interval_and_n() -> None:
    for found in findings("blanks", BLANKS):
        text = " ".join(found.words)
        for value in re.findall(r"\d+\.\d (?:%|points)", text):
            assert f"{value} [" in text
        assert "n = " in text or "seeds" in text
        assert all(bar.rate.n > 1 for bar in found.bars)
        assert found.commands


@pytest.fixture
def with_results(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """The findings, after a change of what was found."""

    def changed(name: str, change: Callable[[Any], None]) -> list[Any]:
        def read(which: str, subject: str) -> Shipped | None:
            file = subject.replace(" ", "-")
            data = raw(which, file)
            if which == name:
                change(data)
            return Shipped({"json": data, "command": which, "settings": {"bar": 0.95}})

        monkeypatch.setattr(home, "_shipped", read)
        return list(findings("blanks", BLANKS))

    return changed


def test_other_results_give_other_answers(with_results: Callable[..., list[Any]]) -> None:
    def reads(data: Any) -> None:
        data["follows"]["blanks"]["B"] = {"value": 0.9, "low": 0.85, "high": 0.93, "n": 240}

    assert with_results("transplant_blanks", reads)[1].answer.startswith("Yes: it needs")

    def idle(data: Any) -> None:
        data["together"]["mask: all"] = data["together"]["as it is"]

    assert with_results("ablate_blanks", idle)[1].answer.endswith("it can do without them.")

    def costs(data: Any) -> None:
        data["together"]["resample: all"]["exact_match"] = {
            "value": 0.92,
            "low": 0.9,
            "high": 0.94,
            "n": 480,
        }

    assert with_results("ablate_blanks", costs)[1].answer.startswith("Hardly: few answers need")

    def passes(data: Any) -> None:
        data["winner"] = ["copy-and-count"]

    first = with_results("which_program", passes)[0]
    assert first.answer == "It copies and counts." and ", above the bar of 95 %" in first.words[-1]

    def below(data: Any) -> None:
        data["agreement"]["all but the row"]["drop"].update(value=0.9, low=0.88, high=0.92)

    first = with_results("one_reader", below)[0]
    assert "reads, is below it: **90.0 % [88.0, 92.0]**" in first.words[-1]
    assert "reads, is above it: **" in with_results("", passes)[0].words[-1]

    def rank(data: Any) -> None:
        data["best"] = ["run-length"]

    first = with_results("which_program", rank)[0]
    assert first.answer == "Most like the program “run length”."

    def apart(data: Any) -> None:
        for row in data["comparisons"][:1]:  # a study of one arm has none
            row["comparison"]["difference"].update(low=0.01, high=0.02)

    assert "accuracy shows a difference" in with_results("replication", apart)[2].words[0]
    sweep = "runs.variance_shift"
    said = with_results("", passes)[2]
    assert said.words[-1].startswith("One reason is dropout") and sweep in said.commands
    assert "Trained without it, **2 of 2** as long runs" in said.words[-1]

    def flat(data: Any) -> None:
        for rate in data["checkpoints"][-1]["exact"].values():
            rate.update(value=0.8, low=0.75, high=0.85)

    said = with_results(sweep, flat)[2]
    assert "dropout" not in " ".join(said.words) and sweep not in said.commands


def test_a_model_without_shipped_results_shows_those_of_blanks(page: AppTest, folder: Path) -> None:
    before = [one.value for one in page.subheader]
    page.selectbox("model").set_value(str(folder / "without")).run()
    assert not page.exception
    assert [one.value for one in page.subheader] == before
    assert "says what `blanks` says" in said(page)


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("blanks", "No: it uses nothing that they hold about the list, and yet"),
        ("blanks-original", "Hardly: few answers need what they hold about the list, and yet"),
        ("bottleneck", "Yes: it needs what they hold about the list."),
    ],
)
def test_what_is_said_of_the_blanks_of_each_shipped_model(model: str, answer: str) -> None:
    """All must pass through the bottleneck's; nothing does through those of `blanks`."""
    found = list(findings(model, shipped_hashes()[model]))
    assert [one.page for one in found] == ["algorithm", "blanks", "training"]
    assert found[1].answer.startswith(answer)


def test_a_model_without_blanks_has_two_findings() -> None:
    found = list(findings("no-blanks", shipped_hashes()["no-blanks"]))
    assert [one.page for one in found] == ["algorithm", "training"]


def test_a_picture_says_what_it_shows() -> None:
    shown = bars([Bar("a <b>", wilson(3, 4), True)], "Rates")
    assert "a &lt;b&gt;: 75.0 % [30.1, 95.4], n = 4" in shown
    assert 'style="width:75.00%"' in shown
    assert 'style="left:30.06%;width:65.38%"' in shown


def test_recorded_hashes_are_those_of_the_weights() -> None:
    assert shipped_hashes()["blanks"] == BLANKS
    assert all(load_bare(name).hash == recorded for name, recorded in shipped_hashes().items())
