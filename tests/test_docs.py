"""What documents and docstrings say can be typed is accepted; what documents link to is there."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tyro

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("interp", "training", "analyses", "benchmarks")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
OURS = (*(f"python -m {package}." for package in PACKAGES), "python training/", "python docs/")
_FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_IN_A_SENTENCE = re.compile(r"`(python [^`]+)`")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


class Accepted(BaseException):
    """A command line was parsed; nothing of it is run."""


def commands(text: str) -> Iterator[str]:
    """Every command of ours, in blocks and in the middle of a sentence, on one line each."""
    blocks = [block for kind, block in _FENCED.findall(text) if kind == "sh"]
    typed = "\n".join([*blocks, *_INDENTED.findall(text)]).replace("\\\n", " ")
    outside = [" ".join(found.split()) for found in _IN_A_SENTENCE.findall(_FENCED.sub("", text))]
    for line in [*typed.split("\n"), *outside]:
        if (command := line.split("  #")[0].split(" # ")[0].strip()).startswith(OURS):
            yield " ".join(command.split())


def texts() -> Iterator[str]:
    yield from (path.read_text() for path in DOCUMENTS)
    for path in MODULES:
        yield (ast.get_docstring(ast.parse(path.read_text())) or "") + "\n"


COMMANDS = sorted({line for text in texts() for line in commands(text)})


def write_listings(folder: Path) -> None:
    """The files that documents show whole, whose docstrings begin with their names; some lists."""
    (folder / "my_lists.txt").write_text("3 1 4\n")
    for path in DOCUMENTS:
        for _, block in _FENCED.findall(path.read_text()):
            if name := re.match(r'"""(\w+\.py): ', block):
                (folder / name[1]).write_text(block)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_that_is_written_down_is_accepted(line, monkeypatch, capsys, tmp_path) -> None:
    _, *words = shlex.split(line)
    parse = tyro.cli

    def accept(*args, **kwargs):
        parse(*args, **kwargs)
        raise Accepted

    monkeypatch.setattr(tyro, "cli", accept)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    write_listings(tmp_path)
    try:
        run(words, monkeypatch)
    except Accepted:
        return
    except SystemExit as stop:
        said = capsys.readouterr().err
        if words[0] == "-m" and len(words) == 2 and needs_more(said):
            return  # it is named in a sentence; others show its flags
        pytest.fail(f"{line}: {stop.code} {said}")
    pytest.fail(f"{line} takes no flags")


def needs_more(refusal: str) -> bool:
    return "(required)" in refusal or "Expected one of" in refusal


def run(words: list[str], monkeypatch) -> None:
    """As ``python`` followed by these words does, in this process."""
    if words[0] == "-m":
        monkeypatch.setattr(sys, "argv", words[1:])
        package = hasattr(sys.modules.get(words[1]), "__path__")
        main = words[1] + ".__main__" * package
        monkeypatch.delitem(sys.modules, main, raising=False)  # or it is there before it is run
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        monkeypatch.setattr(sys, "argv", words)
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")


def test_there_are_commands_to_try() -> None:
    assert len(COMMANDS) > 100
    assert "python training/train.py" in COMMANDS  # without a flag it ended in a traceback
    assert "python -m analyses.known_answers" in COMMANDS
    assert "python training/train.py --recipe original --no-blanks" in COMMANDS


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        assert there.exists(), target
        assert not anchor or anchor in map(slug, _HEADING.findall(there.read_text())), target
