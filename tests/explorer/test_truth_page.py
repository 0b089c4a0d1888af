"""The page "Truth": every claim of it computed anew, and what it shows of a sorter that is open."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analyses import known_answers, shift_blanks
from analyses.experiment.catalogue import experiment
from analyses.experiment.minimal_pairs import PLACES
from analyses.known_answers import KnownAnswersConfig
from analyses.patch_blanks.body import PatchResult, patch_pairs
from explorer.pages.truth import page as truth_page
from explorer.pages.truth.words import (
    FITTING_LIST,
    LOOK_FOR,
    in_words,
    why_wrong,
    worked,
)
from explorer.server import store as stores
from explorer.server.store import Store
from interp.answers.decode import greedy_decode
from interp.answers.pairs import make_pairs
from interp.answers.treatment import Treatment
from interp.checkpoints import load_bare
from interp.passes.forward import forward
from interp.passes.packed import window
from interp.sites import Component, Site
from interp.sorters.truth import SORTERS, truth_of
from interp.task import BLANK, Region, SortTask
from tests.analyses.test_known_answers import MISLEADING
from tests.covers import few
from tests.pages import address, button, errors, open_page, run_job, small_models

TASK = SortTask()
ANSWER = (1, 1, 3, 4, 7, 9)
OTHER, OTHER_ANSWER = "582806", (0, 2, 5, 6, 8, 8)
ROWS = TASK.output_rows(len(FITTING_LIST))
BLANKS = range(TASK.sep_pos + 1, TASK.first_output_row + 1)
LAST_STREAM = Site(Component.RESID_PRE, 1)


def model(sorter: str) -> Any:
    return load_bare(f"compiled:{sorter}").model


def said(sorter: str, do: str) -> tuple[int, ...]:
    """The greedy answer to the fitting list."""
    done = Treatment.parse(do).on_list(model(sorter), FITTING_LIST)
    return greedy_decode(model(sorter), [FITTING_LIST], interventions=done).lists[0]


@cache
def pattern(sorter: str, layer: int) -> torch.Tensor:
    """[head, query, key] over absolute positions of the fitting list."""
    batch = TASK.encode([FITTING_LIST])
    view = window(TASK, batch)
    run = forward(model(sorter), batch.tokens, view, keep=[(Component.PATTERN, layer)])
    frame = run.frame(Component.PATTERN, layer)
    value = run.at(Component.PATTERN, layer)[0].detach()
    whole = torch.full((len(value), TASK.n_ctx, TASK.n_ctx), torch.nan)
    whole[:, frame.position : view.stop, view.start : view.stop] = value
    return whole


def to(sorter: str, layer: int, head: int, rows: Sequence[int], keys: Sequence[int]) -> list[float]:
    """What each of the rows gives the keys together."""
    seen: list[float] = pattern(sorter, layer)[head][list(rows)][:, list(keys)].sum(1).tolist()
    return seen


def diagonal(sorter: str, layer: int, head: int) -> bool:
    """Output i looks at blank i and nowhere else."""
    own = [to(sorter, layer, head, [row], [BLANKS[i]])[0] for i, row in enumerate(ROWS)]
    return min(own) > 0.999


def flat(sorter: str, layer: int, head: int) -> bool:
    """Every output looks at all blanks alike."""
    return all(
        abs(share - 1 / 49) < 1e-6 for b in BLANKS for share in to(sorter, layer, head, ROWS, [b])
    )


def counts(sorter: str, layer: int, head: int, rows: Sequence[int], rests: Sequence[int]) -> bool:
    """Nearly all attention rests somewhere, and the digits have less than a millionth, if any."""
    digits = to(sorter, layer, head, rows, TASK.region(Region.DIGITS, len(FITTING_LIST)))
    return (
        min(digits) > 0
        and max(digits) < 1e-6
        and min(to(sorter, layer, head, rows, rests)) > 0.999999
    )


def writes_nothing(sorter: str, layer: int, head: int) -> bool:
    return not model(sorter).blocks[layer].attn.W_O[head].any()


@cache
def patched(sorter: str) -> PatchResult:
    pairs = make_pairs(TASK, [FITTING_LIST], [(4, 1, 7, 1, 8, 3)])  # output 5: 9 or 8
    with torch.no_grad():
        return patch_pairs(model(sorter), pairs)


def carried(sorter: str, place: str) -> list[float]:
    """Before layer 1, denoising and noising, to three digits."""
    result = patched(sorter)
    found = result.by_place[:, 0, result.sites.index(LAST_STREAM), PLACES.index(place)]
    return [round(share, 3) + 0.0 for share in found.tolist()]


def single(sorter: str) -> dict[int, float]:
    """Before layer 1, what single positions bring back, where it is anything."""
    result = patched(sorter)
    found = result.by_position[0, 0, result.sites.index(LAST_STREAM)].tolist()
    places = zip(result.positions, found, strict=True)
    return {position: round(share, 4) for position, share in places if abs(share) > 1e-3}


@cache
def asked(*names: str) -> dict[tuple[str, str], Any]:
    rows = known_answers.compute(torch.device("cpu"), KnownAnswersConfig(6, names)).rows
    return {(row.method, row.sorter): row.said for row in rows}


def inside(sorter: str, writers: list[str]) -> bool:
    found = asked("logit_lens", "attribution")
    return (
        found["attribution: who writes the answer", sorter] == writers
        and not found["logit_lens: sorted[j] is at blank j", sorter]
    )


def unmoved(sorter: str) -> bool:
    """However all blanks are taken away."""
    ways = ("mask", "mask-kept", "zero", "mean", "resample")
    texts = [*(f"{way}:0-48" for way in ways), f"transplant:0-48:{OTHER}"]
    return all(said(sorter, text) == ANSWER for text in texts)


def given_a_false_prefix(sorter: str) -> tuple[int, ...]:
    """What is said after 3 instead of 1 was said first."""
    batch = TASK.encode([FITTING_LIST])
    batch.tokens[0, TASK.first_output_row + 1] = 3
    view = window(TASK, batch, digits_only=True)
    return tuple(forward(model(sorter), batch.tokens, view).logits[0].argmax(-1).tolist())


def slots_blanks() -> bool:
    alone = (*ANSWER[:2], OTHER_ANSWER[2], *ANSWER[3:])
    return (
        said("slots", f"transplant:0-48:{OTHER}") == OTHER_ANSWER
        and said("slots", f"transplant:2:{OTHER}") == alone
        and said("slots", f"transplant:0-5:{OTHER}") == OTHER_ANSWER
        and said("slots", f"transplant:6-48:{OTHER}") == said("slots", "mask:6-48") == ANSWER
    )


def histogram_blanks() -> bool:
    each = {said("histogram", f"transplant:{blank}:{OTHER}") for blank in range(49)}
    return said("histogram", f"transplant:0-48:{OTHER}") == OTHER_ANSWER and each == {ANSWER}


def histogram_patch() -> bool:
    shares = [single("histogram")[blank] for blank in BLANKS]
    together = carried("histogram", "blanks")[0] + carried("histogram", "last blank")[0]
    return max(abs(share - 1 / 49) for share in shares) < 1e-3 and abs(together - 1) < 2e-3


def sink_blanks() -> bool:
    whole = ("mask-kept:0-48", f"transplant:0-48:{OTHER}", "resample:0-48", "mean:0-48")
    return said("sink", "mask:0-48") != ANSWER and all(said("sink", t) == ANSWER for t in whole)


SEP, FIRST = [TASK.sep_pos], [TASK.first_output_row]
CLAIMS: dict[tuple[str, str], Callable[[], bool]] = {
    ("slots", "Sort"): lambda: said("slots", "mask:0-48") == (BLANK,) * 6,
    ("slots", "Attention"): lambda: (
        diagonal("slots", 1, 2) and counts("slots", 0, 1, BLANKS[:-1], SEP)
    ),
    ("slots", "Patch"): lambda: (
        carried("slots", "changed digit") == [0, 0] and single("slots") == {BLANKS[5]: 1.0}
    ),
    ("slots", "Blanks"): slots_blanks,
    ("slots", "Inside"): lambda: inside("slots", ["head 1.2"]),
    ("histogram", "Sort"): lambda: said("histogram", "mask:0-48") == (BLANK, *ANSWER[1:]),
    ("histogram", "Attention"): lambda: (
        flat("histogram", 1, 0) and counts("histogram", 0, 2, BLANKS, SEP)
    ),
    ("histogram", "Patch"): histogram_patch,
    ("histogram", "Blanks"): histogram_blanks,
    ("histogram", "Inside"): lambda: inside("histogram", ["MLP 1"]),
    ("direct", "Sort"): lambda: said("direct", "mask:0-48") == ANSWER,
    ("direct", "Attention"): lambda: diagonal("direct", 1, 2) and writes_nothing("direct", 1, 2),
    ("direct", "Patch"): lambda: (
        single("direct") == {ROWS[5]: 1.0}
        and carried("direct", "answer row") == [1, 1]
        and carried("direct", "blanks") == [0, 0]
    ),
    ("direct", "Blanks"): lambda: unmoved("direct"),
    ("direct", "Inside"): lambda: inside("direct", ["MLP 0"]),
    ("sink", "Sort"): lambda: said("sink", "mask:0-48") == (min(FITTING_LIST),) * 6,
    ("sink", "Attention"): lambda: flat("sink", 1, 1) and counts("sink", 1, 1, ROWS, BLANKS),
    ("sink", "Patch"): lambda: (
        carried("sink", "changed digit") == [1, 1] and carried("sink", "blanks") == [0, 0]
    ),
    ("sink", "Blanks"): sink_blanks,
    ("sink", "Inside"): lambda: inside("sink", ["MLP 1"]),
    ("successor", "Sort"): lambda: (
        said("successor", "mask:0-48") == ANSWER
        and given_a_false_prefix("successor") != ANSWER
        and given_a_false_prefix("slots") == ANSWER
    ),
    ("successor", "Attention"): lambda: (
        diagonal("successor", 1, 0) and writes_nothing("successor", 1, 0)
    ),
    ("successor", "Patch"): lambda: (
        single("successor") == {ROWS[5]: 1.0} and carried("successor", "blanks") == [0, 0]
    ),
    ("successor", "Blanks"): lambda: unmoved("successor"),
    ("successor", "Inside"): lambda: inside("successor", ["MLP 0", "MLP 1"]),
}
"""How each claim of ``LOOK_FOR`` is found out; what probes find is asked below."""


@pytest.mark.parametrize(
    ("sorter", "page"), few(list(CLAIMS), *(claim for claim in CLAIMS if claim[1] != "Inside"))
)
def test_what_to_look_for_is_there(sorter: str, page: str, unchecked: None) -> None:
    with torch.no_grad():
        assert CLAIMS[sorter, page](), LOOK_FOR[sorter][page]


def test_every_claim_is_asked() -> None:
    pages = ["Sort", "Attention", "Patch", "Blanks", "Inside"]
    assert {name: list(claims) for name, claims in LOOK_FOR.items()} == dict.fromkeys(
        SORTERS, pages
    )
    assert set(CLAIMS) == {(sorter, page) for sorter in SORTERS for page in pages}


FOUND = {  # by a probe at the blanks, as the claim says it: sorted[j], the counts
    "slots": ("a probe can", (True, False)),
    "histogram": ("A probe finds the counts at the blanks, and sorted[j] too", (True, True)),
    "direct": ("A probe finds sorted[j] at blank j", (True, False)),
    "sink": ("A probe finds neither the answer nor the counts", (False, False)),
    "successor": ("A probe finds neither the answer nor the counts", (False, False)),
}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_what_probes_find(unchecked: None) -> None:
    found = asked("probe_blanks")
    for sorter, (words, finds) in FOUND.items():
        assert words in LOOK_FOR[sorter]["Inside"]
        asks = ("probe_blanks: sorted[j] is readable", "probe_blanks: counts are readable")
        assert tuple(found[question, sorter] for question in asks) == finds


# -- words --------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 9), min_size=1, max_size=48), st.sampled_from(SORTERS))
def test_an_algorithm_worked_through_sorts(digits: list[int], sorter: str) -> None:
    steps = worked(sorter, digits)
    (emits,) = [t for _, table in steps for t in table.split("\n") if t.startswith("emits")]
    assert list(map(int, emits.split()[1:])) == sorted(digits)
    for _, table in steps:
        assert len({len(line) for line in table.split("\n")}) == 1  # columns are aligned


def test_the_successors_rule() -> None:
    table = worked("successor", (2, 2, 0))[-1][1].split("\n")
    assert [line.split() for line in table] == [
        ["output", "0", "1", "2"],
        ["last", "-", "0", "2"],
        ["used", "up", "start", "yes", "no"],
        ["emits", "0", "2", "2"],
    ]


def test_counts() -> None:
    assert worked("slots", (3, 1, 1))[0][1].split("\n")[1].split()[3:] == list("0223333333")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"),
        (False, "no"),
        (None, "cannot tell"),
        (0.9925, "99 %"),
        (1.0, "100 %"),
        ([[0, 1], [1, 2]], "heads 0.1, 1.2"),
        (["MLP 0", "MLP 1"], "MLP 0, MLP 1"),
        ([], "none"),
        ("diagonal", "diagonal"),
    ],
)
def test_answers_in_words(value: Any, words: str) -> None:
    assert in_words(value) == words


def test_every_question_has_words_and_every_expected_mistake_a_reason() -> None:
    asks = {name: q for one in known_answers.asked() for name, q in one.asks.items()}
    assert all(q.plain.endswith("?") for q in asks.values())
    assert {name for name, q in asks.items() if q.why_wrong} == set(MISLEADING)


# -- the page -----------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_models(tmp_path)
    monkeypatch.setenv("SORTSCOPE_MODELS", str(tmp_path))
    return tmp_path


def fitting() -> str:
    return ",".join(map(str, FITTING_LIST))


@pytest.mark.parametrize("sorter", few(SORTERS, "direct"))
def test_the_sorter_that_is_open_beside_what_methods_see(sorter: str) -> None:
    page = open_page("truth", model=f"compiled:{sorter}", list=fitting())
    assert not page.error
    heads = page.dataframe[0].value
    truth = truth_of(sorter)
    for head, known, looks, right in heads.itertuples(index=False):
        carries = tuple(map(int, head.split("."))) in truth.heads
        assert known == ("carries the answer" if carries else "decoy")
        assert (right == "6 of 6") == (not carries)
        if sorter == "slots" and head == "1.2":
            assert looks == "blanks 100 %"
        if sorter == "slots" and head == "0.1":
            assert re.fullmatch(r"SEP 100 %, digits \de-08", looks)
    codes = [code.value for code in page.code]
    assert worked(sorter, FITTING_LIST)[0][1] in codes
    flags = f"--of heads --model compiled:{sorter} --list {fitting()} --seed 0"
    assert f"python -m analyses.one_list.without {flags}" in codes


def test_a_head_is_in_the_link() -> None:
    page = open_page("truth", model="compiled:slots", list=fitting())
    assert page.radio("truth_head").value == "1.2"
    page.radio("truth_head").set_value("0.1").run()
    again = open_page("truth", **address(page))
    assert again.radio("truth_head").value == "0.1"
    assert any("one_list.glance --layer 0 --head 1 " in code.value for code in again.code)
    other = open_page("truth", model="compiled:sink", truth_head="7.9")
    assert other.radio("truth_head").value == "1.1"


def test_what_the_sidebar_does_is_left_aside() -> None:
    page = open_page("truth", model="compiled:slots", list=fitting(), do="mask:0-48")
    assert any("left aside" in caption.value for caption in page.caption)
    assert not any("--do" in code.value for code in page.code)
    assert address(page)["do"] == "mask:0-48"  # and stays for the other pages


@pytest.mark.parametrize("name", ["with", "without"])
def test_beside_any_other_model_there_are_the_cards_alone(models: Path, name: str) -> None:
    page = open_page("truth", model=str(models / name), list="3,1,4")
    assert len(page.dataframe) == 0
    for sorter in SORTERS:
        assert any(truth_of(sorter).words == text.value for text in page.markdown)
        assert all(
            any(words in text.value for text in page.markdown)
            for words in LOOK_FOR[sorter].values()
        )


def test_a_sorter_is_opened_everywhere_by_a_button(models: Path) -> None:
    page = open_page("truth", model=str(models / "with"), list="3,1,4", do="zero:1")
    button(page, "Open sink in every page").click().run()
    assert not page.error and not page.exception
    assert page.selectbox("model").value == "compiled:sink"
    assert {key: address(page).get(key) for key in ("model", "list", "do")} == {
        "model": "compiled:sink",
        "list": fitting(),
        "do": None,
    }
    assert len(page.dataframe) == 1


def test_a_list_that_cannot_be_read() -> None:
    page = open_page("truth", model="compiled:slots", list="3,x")
    assert errors(page) == ["'x' is not a digit from 0 to 9; a list looks like 3,1,4,1,5"]
    assert any("Waiting for a list" in info.value for info in page.info)
    assert button(page, "Open sink in every page")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A scoreboard of two methods, in a store of its own; how often it was computed."""
    own, calls, body = Store(), list[int](), known_answers.EXPERIMENT.body
    two = [experiment("shift_blanks"), experiment("heads.attention_patterns")]
    compute = body.compute
    monkeypatch.setattr(body, "asked", lambda task: two)
    monkeypatch.setattr(stores, "store", lambda: own)

    def counted(device: Any, settings: KnownAnswersConfig, *more: Any) -> Any:
        calls.append(settings.max_len)
        return compute(device, settings, *more)

    monkeypatch.setattr(body, "compute", counted)
    return calls


def test_the_scoreboard_comes_when_it_is_asked_for_and_stays(few: list[int]) -> None:
    page = open_page("truth", model="compiled:slots", list=fitting())
    assert not few and len(page.dataframe) == 1
    run_job(page, "run known_answers")
    assert few == [6]
    score = next(text.value for text in page.markdown if "answers are right" in text.value)
    assert score == "**8 of 10 answers are right.** Every ✗ is expected, and explained below."
    table = page.dataframe[1].value
    wrong = table[table[""] == "✗"]
    assert list(wrong["Sorter"]) == ["direct", "successor"]
    assert set(wrong["Known answer"]) == {"no"} and set(wrong["The method said"]) == {"yes"}
    (why,) = (text.value for text in page.markdown if "are expected**" in text.value)
    reason = why_wrong("heads.attention_patterns: attention taken for use: blank i feeds output i")
    assert why.endswith(f"does blank i feed output i? (direct, successor): {reason}")
    again = open_page("truth", model="compiled:slots", list=fitting(), truth_rows="✗ only")
    assert few == [6]  # another visitor sees it at once
    assert len(again.dataframe[1].value) == 2


def test_a_mistake_that_is_not_expected_is_said(
    few: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        shift_blanks.EXPERIMENT.body, "verdicts", lambda result: {"answer": "moves"}
    )
    page = open_page("truth", model="compiled:slots", list=fitting())
    run_job(page, "run known_answers")
    assert errors(page) == ["4 answers are wrong that should be right."]
    (why,) = (text.value for text in page.markdown if "are expected**" in text.value)
    assert "(histogram, direct, sink, successor): **Not expected: please report it.**" in why


def test_the_scoreboards_command(
    tmp_path: Path, status: Callable[..., int], few: list[int]
) -> None:
    words = shlex.split(truth_page.board_about(6).command)
    assert words[:3] == ["python", "-m", "analyses.known_answers"]
    flags = [*words[3:], "--only", "shift_blanks", "--out", str(tmp_path)]
    assert status(known_answers.EXPERIMENT, flags) == 0
