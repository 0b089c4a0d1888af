"""The house stands: imports only run down, and no two files import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("app", "explorer", "analyses", "training", "interp")
"""From the top: each may import itself and what is named after it."""


def source_files() -> dict[str, Path]:
    """Every module of the packages, by its name."""
    files = [ROOT / "app.py", *(p for f in FLOORS[1:] for p in (ROOT / f).rglob("*.py"))]
    return {module_name(path): path for path in files}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(text: str, name: str, modules: Mapping[str, object]) -> Iterator[str]:
    """The modules that a file imports, anywhere in it: in functions and for type checkers, too.

    What a face opens by its name once flags are parsed (``importlib.import_module``: its body, the
    runner) is none of them: that is how a command's ``--help`` stays quick.

    Args:
        name: of the file's own module.
        modules: all that there are, by name.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from below & set(modules)
            if node.module in modules and any(each not in modules for each in below):
                yield node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_import":
            words = [each.value for each in node.args if isinstance(each, ast.Constant)]
            yield from (word for word in words if word in modules)


def graph(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """What each module imports of the others."""
    return {name: set(imported(text, name, texts)) - {name} for name, text in texts.items()}


def upward(arrows: Mapping[str, set[str]]) -> list[str]:
    """Imports that run up."""
    floor = {name: FLOORS.index(name.partition(".")[0]) for name in arrows}
    return sorted(
        f"{name} -> {other}"
        for name, others in arrows.items()
        for other in others
        if floor[other] < floor[name]
    )


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, directly or around a corner (Tarjan's components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(arrows[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            one = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(one) > 1:
                found.append(sorted(one))

    for name in sorted(arrows):
        if name not in index:
            visit(name)
    return found


@pytest.fixture(scope="module")
def arrows() -> dict[str, set[str]]:
    return graph({name: path.read_text() for name, path in source_files().items()})


def test_imports_run_down(arrows: dict[str, set[str]]) -> None:
    assert upward(arrows) == []


def test_no_two_files_import_each_other(arrows: dict[str, set[str]]) -> None:
    assert circles(arrows) == []


def test_one_run_knows_nothing_of_studies(arrows: dict[str, set[str]]) -> None:
    """Among the modules of one run only the command of studies imports these."""
    ones = [name for name in arrows if name.startswith("training.") and "studies" not in name]
    assert [
        name for name in ones if any(each.startswith("training.studies") for each in arrows[name])
    ] == ["training.study"]


def test_the_explorer_is_the_top_and_the_library_the_ground(arrows: dict[str, set[str]]) -> None:
    """The graph is really read: what is known to be there is found."""
    assert "analyses.experiment" in arrows["explorer.parts.study"]
    assert "interp.methods.patching" in arrows["analyses.patch_blanks.body"]
    assert "explorer.shell" in arrows["app"]
    assert len(arrows) > 150


@pytest.mark.parametrize(
    "text",
    [
        "import explorer.shell",
        "from explorer import shell",
        "from explorer.shell import show",
        "def f():\n    from explorer.shell import show",
        "if TYPE_CHECKING:\n    from explorer.shell import show",
        "shell = lazy_import('explorer.shell')",
    ],
)
def test_an_arrow_that_runs_up_is_seen(text: str) -> None:
    texts = {"explorer": "", "explorer.shell": "", "interp": "", "interp.task": text}
    assert upward(graph(texts)) == ["interp.task -> explorer.shell"]


def test_circles_are_seen() -> None:
    two = {"interp": "", "interp.a": "import interp.b", "interp.b": "def f():\n  import interp.a"}
    assert circles(graph(two)) == [["interp.a", "interp.b"]]
    three = {
        "interp": "",
        "interp.a": "from interp import b",
        "interp.b": "from interp.c import x",
        "interp.c": "if TYPE_CHECKING:\n    from interp.a import y",
    }
    assert circles(graph(three)) == [["interp.a", "interp.b", "interp.c"]]
    assert circles(graph({**three, "interp.c": ""})) == []
