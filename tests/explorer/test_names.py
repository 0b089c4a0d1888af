"""One name for one place in the model, on all pages and in all their figures.

A head is ``head 1.2``, an MLP ``MLP 1``, a residual stream ``before layer 1``: ``interp/sites.py``
makes the names. What is typed, the code of a cell or of an edge, is another matter.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

import explorer
from explorer.shell import HOME, PAGES
from interp.sites import PER_HEAD, Component, Site, place_name
from tests.pages import open_page, small_models

OTHERS = re.compile(
    r"\bL\d+H\d+\b|\b[Ll]ayer \d+,? head|\b[Hh]ead \d+ of layer|\bresid_?(?:pre|mid|post)\b"
    r"|\b(?:attn|mlp)_out\b|\bhook_|\bblocks\.\d|\bmlp[ _]?\d|\bhead \d+/\d+",
)
"""Other spellings, which libraries and papers have."""
TYPED = re.compile(
    r"`[^`]*`|\b(?:embed|mlp\d|\d\.\d)[\w.]*@\w+|--?[\w-]+ \S+|patch:\S+|\b[a-z_]+\.\d[\d.]*:\d+"
    r"|\bblocks\.\d\.\w+\.\w+"  # parameters, under the names that a file of weights has
)
"""What is code on a page, or stands in a command."""


def texts(page: Any) -> list[str]:
    """What there is to read: words, choices, and the texts of figures."""
    kinds = ("markdown", "caption", "header", "subheader", "title", "info", "warning", "success")
    found = [str(each.value) for kind in kinds for each in getattr(page, kind)]
    for kind in ("radio", "selectbox"):
        for each in getattr(page, kind):
            found += [each.label, *map(str, each.options)]
    for chart in page.get("plotly_chart"):
        found += list(strings(json.loads(chart.proto.spec)))
    return found


def strings(part: Any) -> Any:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for key, each in part.items():
            if key not in ("bdata", "template"):
                yield from strings(each)
    elif isinstance(part, list):
        for each in part:
            yield from strings(each)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    small_models(folder)
    return folder


@pytest.mark.parametrize("path", [p.path for p in PAGES if p.path not in (HOME, "tour", "truth")])
def test_no_page_has_another_name_for_a_place(
    folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))
    do = "patch:v.1.0:8:1,2,9" if path in ("sort", "attention") else ""
    link = {"model": str(folder / "with"), "list": "3,1,2", "do": do}
    found = texts(open_page(path, **{k: v for k, v in link.items() if v}))
    assert len(" ".join(found)) > 400
    wrong = [text for text in found if OTHERS.search(TYPED.sub("", text))]
    assert wrong == []


def told(path: Path) -> list[str]:
    """The texts in a file of the explorer that are none of its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    apart = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [node.value for node in texts if isinstance(node.value, str) and id(node) not in apart]


def test_nor_do_words_that_are_seldom_shown() -> None:
    files = [*Path(explorer.__file__).parent.rglob("*.py")]
    found = [(file.name, text) for file in files for text in told(file) if " " in text]
    assert len(found) > 500
    assert [one for one in found if OTHERS.search(TYPED.sub("", one[1]))] == []


@pytest.mark.parametrize(
    "words", ["head L1H0", "layer 1, head 0", "resid_pre 0", "mlp 1", "blocks.1.attn.hook_z"]
)
def test_the_measure_finds_other_names(words: str) -> None:
    assert OTHERS.search(words)


def test_names_of_places() -> None:
    assert Site(Component.RESID_PRE, 1).words == "residual stream before layer 1"
    assert Site(Component.Z, 1, heads=(2,)).words == "outputs of head 1.2"
    assert Site(Component.PATTERN, 0, heads=(1, 3)).words == "attention pattern of heads 0.1, 0.3"
    assert place_name(Component.RESID_MID, 0) == "after attention 0"
    assert place_name(Component.MLP_OUT, 1) == "MLP 1"
    for component in Component:
        names = (Site(component, 3).words, place_name(component, 3))
        heads = (Site(component, 1, heads=(0,)).words,) if component in PER_HEAD else ()
        assert not any(OTHERS.search(name) for name in (*names, *heads))
