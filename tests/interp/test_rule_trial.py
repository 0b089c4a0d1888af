"""A file of one's own whose functions are wrong is refused in one line; a careless one is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from interp.rule import Rule
from interp.rules import RULES, read_rule
from interp.support.errors import UserError
from interp.task import Task
from training.train import main as train

FIRST = "import random, torch\nfrom interp.lists import Symbols\nfrom interp.rule import Rule\n"
FINE = "def answer(values):\n    return values\n"
DRAWS = "def draw(lengths, n_slots, generator):\n    shape = len(lengths), n_slots\n"


def file_of(tmp_path: Path, code: str, more: str = "", symbols: str = "Symbols(4)") -> Path:
    path = tmp_path / "own.py"
    rule = f'RULE = Rule("trial", {symbols}, answer, "words"{more})\n'
    path.write_text(FIRST + code + rule)
    return path


def tried(path: Path) -> Rule:
    rule = read_rule(path)
    Task(6, 2, rule=rule).try_rule()
    return rule


ANSWERS = {
    "fails": ("[1 // v for v in values]", r"fails in its answer to \[.*0.*\]: ZeroDivisionError"),
    "ends the program": ("exit(3)", r"fails in its answer to \[3\]: SystemExit: 3"),
    "no symbol": ("[v + 1 for v in values]", r"answers \[3\] with \[4\], which holds what is no"),
    "too long": ("[*values, 0]", "where it says that an answer has 1 symbols"),
    "chance": ("[random.randrange(4) for v in values]", "asked again, with"),
    "nothing": ("None", "is None, which is no list of whole numbers"),
    "text": ("''.join(map(str, values))", "is '3', which is no list of whole numbers"),
    "fractions": ("[v / 2 for v in values]", r"is \[1.5\], which is no list of whole numbers"),
    "a number": ("sum(values) % 4", "is 3, which is no list of whole numbers"),
    "no order": ("{v for v in values}", r"is \{3\}, which is no list of whole numbers"),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_a_bad_answer(what: str, tmp_path: Path, unchecked: None) -> None:
    returns, message = ANSWERS[what]
    with pytest.raises(UserError, match=f"own.py: the rule trial:? .*{message}"):
        read_rule(file_of(tmp_path, f"def answer(values):\n    return {returns}\n"))


FIELDS = {
    ", outputs=lambda n: 0": "nothing to answer to a list of one symbol",
    ", outputs=lambda n: max(1, 4 - n)": "answers of 3 symbols to lists of 1, and of 2 to lists",
    ", outputs=lambda n: n / 1": "have 1.0 symbols, which is no number",
    ", outputs=lambda n: 5 - n": "have -1 symbols, which is no number|never fewer",
    ", outputs=3": "outputs cannot be 3: it must be a function",
    ", order='random'": "order cannot be 'random': it is ascending or descending",
    ", verb='does'": "verb cannot be 'does': it is two words",
    ", colour='red'": "own.py cannot be run: TypeError",
}


@pytest.mark.parametrize("more", FIELDS)
def test_a_bad_field(more: str, tmp_path: Path, unchecked: None) -> None:
    with pytest.raises(UserError, match=FIELDS[more]):
        read_rule(file_of(tmp_path, FINE, more))


@pytest.mark.parametrize("symbols", ["4", "Symbols('abcd')", "Symbols(1)"])
def test_bad_symbols(symbols: str, tmp_path: Path, unchecked: None) -> None:
    with pytest.raises(UserError, match=r"symbols cannot be 4|n cannot be 'abcd'|two symbols"):
        read_rule(file_of(tmp_path, FINE, symbols=symbols))


MANY = {
    "batch": {
        "slots + 1": r"answers \[.*\] with \[.*\], and its batch with \[",
        "slots.float()": "batch is no tensor of whole numbers: torch.float32",
        "slots[:, :1]": r"batch has the shape \(64, 1\), not \(64, 6\)",
        "slots[0, 99]": "fails in its batch: IndexError",
    },
    "draw": {
        "torch.full(shape, 7)": "draws a list with what is no number from 0 to 3",
        "[[1] * n_slots]": "draw is no tensor of whole numbers: list",
        "torch.zeros(shape)": "draw is no tensor of whole numbers: torch.float32",
        "torch.randint(0, 4, shape)": "draws other lists from the same generator",
        "1 / 0": "fails in its draw: ZeroDivisionError",
    },
}


@pytest.mark.parametrize(("what", "returns"), [(w, r) for w, each in MANY.items() for r in each])
def test_bad_functions_of_many_lists(what: str, returns: str, tmp_path: Path) -> None:
    begin = DRAWS if what == "draw" else "def batch(slots, pad):\n"
    code = f"{FINE}{begin}    return {returns}\n"
    with pytest.raises(UserError, match=MANY[what][returns]):
        tried(file_of(tmp_path, code, f", {what}={what}"))


FINE_TOO = {
    "uses up its list": "    return [values.pop() for _ in range(len(values))]\n",
    "sorts it in place": "    values.sort()\n    return values\n",
    "a generator": "    yield from values\n",
    "truth values and tensors": "    return [torch.tensor(v > 1).long() for v in values]\n",
}


@pytest.mark.parametrize("what", FINE_TOO)
def test_a_careless_answer_is_taken(what: str, tmp_path: Path) -> None:
    rule = tried(file_of(tmp_path, f"def answer(values):\n{FINE_TOO[what]}"))
    given = (3, 0, 2)
    assert rule.checked_answer(given) in {(2, 0, 3), (0, 2, 3), (3, 0, 2), (1, 0, 1)}
    assert given == (3, 0, 2)


def test_a_rule_that_draws_its_lists_need_not_answer_others(tmp_path: Path) -> None:
    code = (
        "def answer(values):\n    return [values.index(0)]\n"
        f"{DRAWS}    return torch.rand(shape, generator=generator).argsort(1)\n"
    )
    rule = read_rule(file_of(tmp_path, code, ", draw=draw, outputs=lambda n: 1"))
    Task(4, 2, rule=rule, min_len=4).try_rule()
    with pytest.raises(UserError, match=r"fails in its answer to .*: ValueError"):
        Task(4, 2, rule=rule).try_rule()  # shorter lists may lack the 0


def test_a_file_that_ends_the_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit(7)")
    with pytest.raises(UserError, match="cannot be run: SystemExit: 7"):
        read_rule(tmp_path / "own.py")


@pytest.mark.parametrize("name", RULES)
def test_the_rules_that_ship_do_what_they_say(name: str) -> None:
    Task(6, 2, rule=RULES[name]).try_rule()


def test_a_command_refuses_it_before_there_is_a_run(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    code = f"{FINE}def batch(slots, pad):\n    return slots.flip(1)\n"
    file = file_of(tmp_path, code, ", batch=batch")
    argv = ["--task", str(file), "--max-len", "5", "--out", str(tmp_path / "runs")]
    assert status(train, argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "and its batch with" in line
    assert not (tmp_path / "runs").exists()
