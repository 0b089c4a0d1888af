"""The parts of long pages: one is drawn, the address says which, and the others cost nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from explorer import shell
from explorer.parts import one_list
from tests.pages import address, open_page, small_models

PAGES = {
    "sort": ("answer", "step"),
    "attention": ("heads", "one", "carry", "weights"),
    "blanks": ("away", "exchange", "sample", "many"),
    "inside": ("lens", "parts", "neurons", "many"),
    "training": ("curves", "step", "sweep", "arms"),
    "compare": ("answers", "attention", "lists", "weights"),
}


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    small_models(tmp_path)
    monkeypatch.setenv("SORTSCOPE_MODELS", str(tmp_path))
    model = str(tmp_path / "with")
    return {"model": model, "list": "3,1,2", "other": model, "blanks": "0"}


@pytest.mark.parametrize("path", PAGES)
def test_the_first_part_opens_and_each_is_in_the_address(path: str, link: dict[str, str]) -> None:
    page = open_page(path, **link, part="")
    choice = page.button_group(f"{path} part")
    assert choice.options == [*choice.options[:-1], "Everything"]
    assert (choice.value, "part" in address(page)) == (PAGES[path][0], False)
    there = open_page(path, **link, part=PAGES[path][-1])
    assert there.button_group(f"{path} part").value == PAGES[path][-1]
    assert address(there)["part"] == PAGES[path][-1]


def test_a_part_that_there_is_not(link: dict[str, str]) -> None:
    page = open_page("sort", **link, part="many")
    assert (page.button_group("sort part").value, "part" in address(page)) == ("answer", False)


def test_no_page_waits_for_what_it_does_not_draw() -> None:
    """TransformerLens takes seconds to import, and only compiled sorters and files need it."""
    pages = "; ".join(f"import explorer.pages.{page.path}.page" for page in shell.PAGES)
    heavy = "[name for name in ('transformer_lens', 'sklearn') if name in sys.modules]"
    code = f"import sys; {pages}; print({heavy})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_what_is_not_drawn_is_not_computed(
    link: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    whole = one_list.outcome
    monkeypatch.setattr(
        one_list,
        "outcome",
        lambda view, one, *args: asked.append(one.name) or whole(view, one, *args),
    )
    open_page("inside", **link, part="lens")
    assert set(asked) == {"one_list.lens", "one_list.position"}
    asked.clear()
    open_page("inside", **link, part="neurons")
    assert set(asked) == {"one_list.neurons"}
