"""Whole visits: the student who wants an answer, and the researcher with a model of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import torch

from benchmarks.browser import Server, settle
from interp.checkpoints import load_model
from interp.task import SortTask
from tests.explorer.browser.visitor import Visitor, a_window, browser_needed, shipped, small
from tests.interp.test_algoformer import published_state

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = browser_needed


def words(visitor: Visitor) -> str:
    text: str = visitor.page.locator('[data-testid="stMain"]').inner_text()
    return text


@shipped
@pytest.mark.slow
def test_the_student_finds_both_answers_within_three_clicks(
    visitor: Visitor, server: Server
) -> None:
    """From Home, without a manual: how it sorts, and what the blanks do, with their evidence."""
    page = visitor.page
    visitor.open(f"{server.address}/")
    home = words(visitor)
    assert "copies and counts." in home
    assert "it uses nothing that they hold about the list, and yet it cannot do" in home
    assert "Not reproduced, and not refuted." in home
    page.get_by_text("Made by").first.click()
    page.get_by_text("python -m analyses.which_program").first.wait_for()
    page.get_by_role("link", name="Ask it yourself").click()  # the first click
    page.locator("h1", has_text="Which algorithm").wait_for()
    visitor.settle()
    assert "copy-and-count" in words(visitor) or "copy and count" in words(visitor)
    page.go_back()
    page.locator("h1", has_text="49 blanks").wait_for()
    visitor.settle()
    page.get_by_role("link", name="Take them away yourself").click()  # the second
    page.locator("h1", has_text="The blanks").wait_for()
    visitor.settle()
    blanks = words(visitor)
    assert "What it means." in blanks
    assert "what the blanks of all lists have in common" in blanks  # over many lists, at once
    page.go_back()
    page.locator("h1", has_text="49 blanks").wait_for()
    visitor.settle()
    page.get_by_role("button", name="Start the tour").click()  # the third
    page.locator("h1", has_text="tour").wait_for()
    assert page.get_by_role("dialog").count() == 0


@shipped
@pytest.mark.slow
def test_the_researcher_opens_a_run_imports_weights_and_sends_a_link(
    visitor: Visitor, server: Server, run: Path, chromium: Any, tmp_path: Path
) -> None:
    page = visitor.page
    visitor.open(f"{server.address}/training?model={quote(str(run), safe='')}&list=3,1,2")
    assert run.name in words(visitor)  # the page follows the model that is open
    page.get_by_text("Import weights").click()
    torch.save(published_state(SortTask()), tmp_path / "model_6000.pth")
    page.locator('input[type="file"]').set_input_files(tmp_path / "model_6000.pth")
    name = page.get_by_role("textbox", name="Name", exact=True)
    name.fill("blanks of theirs")  # no name for a folder
    name.press("Enter")
    visitor.settle()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_text("a name is letters").wait_for()
    visitor.settle()
    name.fill("theirs")
    name.press("Enter")
    visitor.settle()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("button", name="Open it").click()
    page.get_by_text("Open: runs/theirs").wait_for()
    visitor.settle()
    assert "model=runs%2Ftheirs" in page.url
    assert load_model(server.folder / "runs" / "theirs").model.task == SortTask()
    page.get_by_role("link", name="Blanks").click()
    page.get_by_test_id("stRadio").get_by_text("zero", exact=True).click()
    page.wait_for_url(re.compile("kind=zero"))
    visitor.settle()
    with a_window(chromium) as other:
        other.goto(page.url)  # the link, in a colleague's browser
        other.locator(".st-key-blanks-ablated").wait_for()
        settle(other)
        main = '[data-testid="stMain"]'
        assert other.locator(main).inner_text() == page.locator(main).inner_text()


def test_lists_of_ones_own_are_taken_or_refused_in_a_line(
    visitor: Visitor, server: Server, folder: Path, tmp_path: Path
) -> None:
    page = visitor.page
    (tmp_path / "bad.txt").write_text("3,1\n3,x\n")
    (tmp_path / "good.txt").write_text("3,1\n3,3,2\n1\n2,1\n")
    visitor.open(f"{server.address}/inside?model={small(folder)}&list=3,1,2&part=many")
    page.get_by_text("Lists of your own").first.click()
    field = page.locator('input[type="file"]').first
    field.set_input_files(tmp_path / "bad.txt")
    page.get_by_text("bad.txt, line 2: ").wait_for()
    visitor.settle()
    field.set_input_files(tmp_path / "good.txt")
    page.get_by_text("Of the 4 lists in good.txt").wait_for()
    visitor.settle()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Run").first.click()
    page.get_by_text("4 lists of good.txt").first.wait_for()
    visitor.settle()
