"""What the browser is told of a sequence, and what is made of what it says."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from analyses.one_list.answers import Answer, Attention, Output, attention_of, decode_list
from explorer.parts.by_click import changed
from explorer.parts.tokens import LEVELS, Clicked, Tool, described, packed, read
from interp.answers.treatment import Treatment
from interp.rules import rule_named
from interp.task import BLANK, Region, SortTask
from tests.models import TASK, small_model


def said(task: SortTask, digits: tuple[int, ...], *outputs: Output) -> tuple[Answer, Attention]:
    """An answer, and attention of one head that goes to the first token alone."""
    start, n = task.max_len - len(digits), len(digits) + 1 + task.n_blanks + len(outputs) - 1
    pattern = np.zeros((1, 1, n, n), dtype=np.float32)
    pattern[..., 0] = 1
    labels = tuple(task.labels(len(digits))[start : start + n])
    regions = tuple(task.region_of(p, len(digits)) for p in range(start, start + n))
    answer = Answer(digits, outputs)
    return answer, Attention(pattern, labels, tuple(o.said for o in outputs), regions, start)


def test_the_sequence_is_told_by_region() -> None:
    outputs = (Output(1, 1, 0.99999, 2, 0.00001), Output(BLANK, 3, 0.6, 2, 0.3))
    told = described(TASK, *said(TASK, (3, 1), *outputs), touched=(8,), step=1, head=(0, 0))
    assert [(r["kind"], r["tokens"], r["first"]) for r in told["regions"]] == [
        ("digits", ["3", "1"], 0),
        ("sep", ["SEP"], 0),
        ("blanks", ["_"] * 3, 0),
        ("last-blank", ["_"], 3),
        ("outputs", ["1", "BLANK"], 0),
    ]
    assert [r["symbol"] for r in told["regions"]] == list("▲■○◆●")
    # Counted from the first digit, which is at position 4 of 6.
    assert (told["touched"], told["firstBlank"], told["firstRow"]) == ([4], 3, 6)
    assert (told["step"], told["head"], told["heads"]) == (1, "0.0", ["0.0"])
    assert told["labels"][-3:] == ["blank 3", "out 0", "out 1: BLANK"]
    assert told["n"] == 8  # the last output is said, and not read
    assert told["outputs"] == [
        {"said": "1", "right": True, "shouldBe": "1", "share": ">99.9 %"},
        {"said": "BLANK", "right": False, "shouldBe": "3", "share": "60.0 %"},
    ]


def test_without_blanks_sep_speaks_first() -> None:
    task = SortTask(6, 0)
    told = described(task, *said(task, (7,), Output(7, 7, 0.9, 2, 0.1)))
    assert [r["kind"] for r in told["regions"]] == ["digits", "sep", "outputs"]
    assert told["firstRow"] == 1 and told["nBlanks"] == 0


def test_a_list_is_of_what_its_task_calls_it() -> None:
    task = SortTask(6, 4, rule=rule_named("parity"))
    told = described(task, *said(task, (1, 0), Output(1, 1, 0.9, 0, 0.1)))
    assert told["regions"][0]["name"] == "bits: the list"


def test_attention_is_sent_to_half_a_level() -> None:
    model = small_model()
    answer = decode_list(model, (3, 1, 2)).answer
    attention = attention_of(model, answer)
    values = np.frombuffer(base64.b64decode(packed(attention)), np.uint8)
    n, at = len(attention.labels), 0
    for layer in range(2):
        for head in range(2):
            for query in range(n):
                for key in range(query + 1):
                    exact = attention.pattern[layer, head, query, key]
                    assert abs(values[at] / LEVELS - exact) <= 0.5 / LEVELS + 1e-6
                    at += 1
    assert at == len(values)
    assert Region.LAST_BLANK in attention.regions


@pytest.mark.parametrize(
    ("kind", "came", "found"),
    [
        ("gone", 3, Clicked(step=3)),
        ("gone", True, None),
        ("gone", "3", None),
        ("used", {"tool": "mask", "blanks": [3, 4]}, Clicked("mask", (3, 4))),
        ("used", {"tool": "mask", "blanks": ["3"]}, None),
        ("used", {"tool": 5, "blanks": []}, None),
        ("used", [3], None),
        ("gone", None, None),
    ],
)
def test_only_what_the_page_sends_is_read(kind: str, came: Any, found: Clicked | None) -> None:
    assert read(kind, came) == found


@pytest.mark.parametrize(
    ("before", "clicked", "after"),
    [
        ("", Clicked("mask", (3,)), "mask:3"),
        ("mask:3", Clicked("mask", (4,)), "mask:3-4"),
        ("mask:3-4", Clicked("mask", (3,)), "mask:4"),
        ("mask:3", Clicked("mask", (3,)), ""),
        ("mask:3", Clicked("zero", (4,)), "zero:4"),
        ("published", Clicked("mask", (0,)), "mask:0"),
        ("zero:1", Clicked("zero", (2, 9, -1)), "zero:1-2"),
        ("", Clicked("zero", (9,)), ""),
        ("zero:1", Clicked("transplant", (0, 1)), "transplant:0-1:7,8"),
        ("transplant:0:1,2", Clicked("transplant", (1,)), "transplant:0-1:1,2"),
        ("transplant:0:1,2", Clicked("transplant", (0,)), ""),
    ],
)
def test_what_a_click_on_a_blank_sets(before: str, clicked: Clicked, after: str) -> None:
    assert changed(Treatment.parse(before), clicked, 5, (7, 8)).text == after


def test_a_single_tool_is_in_hand_at_first() -> None:
    answer, attention = said(TASK, (3,), Output(3, 3, 0.9, 2, 0.1))
    one = Tool("choose", "choose", "")
    assert described(TASK, answer, attention, tools=(one,))["tool"] == "choose"
    assert described(TASK, answer, attention, tools=(one, one))["tool"] == "look"
