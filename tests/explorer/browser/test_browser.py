"""The page as a visitor meets it: a real server, and Chromium without a window.

Needs the ``playwright`` package and a Chromium that is already installed (Debian's ``chromium``);
without them these tests are skipped and say so.
"""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import plotly.graph_objects as go
import pytest
from PIL import Image
from plotly.subplots import make_subplots

from benchmarks.browser import Server, settle
from interp.answers.decode import greedy_decode
from interp.answers.treatment import Treatment
from interp.checkpoints import load_model
from interp.figures import write_html
from interp.task import SortTask
from tests.covers import few
from tests.explorer.browser.visitor import (
    Visitor,
    a_window,
    browser_needed,
    exactly,
    shipped,
    small,
)

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = browser_needed


@shipped
def test_a_visitor_types_a_list_and_reads_the_sorted_answer(
    visitor: Visitor, server: Server
) -> None:
    visitor.open(f"{server.address}/sort")
    visitor.type_list("5,3,8,1,9,2")
    visitor.wait_for(".st-key-answer code", "1 2 3 5 8 9")
    assert "✓ Sorted." in visitor.text(".st-key-answer")
    visitor.page.get_by_text("Mask the blanks").click()
    visitor.text(".st-key-changed_answer code")
    rates = visitor.page.locator('[data-testid="stMetricValue"]')
    rates.nth(1).wait_for()
    whole, masked = (float(rates.nth(i).inner_text().split()[0]) for i in range(2))
    assert whole > 97
    assert masked < whole - 20
    assert "do=mask%3A0-48" in visitor.page.url
    visitor.settle()


def test_a_link_a_mistake_and_a_mask(visitor: Visitor, server: Server, folder: Path) -> None:
    """On a small untrained model: what does not need a model that sorts."""
    link = f"{server.address}/sort?model={small(folder)}&list=3,1,2&part=all"
    visitor.page.goto(link)
    before = visitor.text(".st-key-answer code")
    assert "✗ Not sorted." in visitor.text(".st-key-answer")
    visitor.text(".js-plotly-plot")
    visitor.page.get_by_text("Mask the blanks").click()
    visitor.text(".st-key-changed_answer code")
    assert visitor.text(".st-key-answer code") == before
    visitor.type_list("3,12,5")
    said = visitor.text('[data-testid="stSidebar"] [role="alert"]')
    assert "'12' is not a digit from 0 to 9" in said
    visitor.type_list("2 1 0")
    visitor.text(".st-key-changed_answer code")
    visitor.settle()
    assert visitor.page.locator('[data-testid="stException"]').count() == 0
    assert "list=2+1+0" in visitor.page.url.replace("%20", "+")


def test_odd_text_in_a_link_is_shown_and_nothing_else(visitor: Visitor, server: Server) -> None:
    texts = ["![](//e.co/x)", "<img src=//e.co>", "<svg onload=alert(1)>", "[a](http://e.co)"]
    for n, text in enumerate(texts):
        typed = quote(text, safe="")
        link = f"{server.address}/sort?model={typed}&list={typed}&corrupt={typed}&head={typed}"
        visitor.page.goto(link) if n == 0 else visitor.go_on(link)
        alerts = visitor.page.locator('[data-testid="stSidebar"] [role="alert"]')
        alerts.nth(1).wait_for()
        visitor.settle()
        assert text in alerts.nth(0).inner_text().replace("\u2060", "")
        assert visitor.page.locator('[role="alert"]').locator("img, svg[onload], a").count() == 0


def test_two_visitors_with_different_interventions_at_once(
    visitor: Visitor, colleague: Any, server: Server, folder: Path
) -> None:
    """Each sees the numbers of its own, while the other's are computed on the same model."""
    model, address = (
        load_model(folder / "with").model,
        f"{server.address}/sort?model={small(folder)}",
    )
    _two_at_once({"published": visitor.page, "zero:0-3": colleague}, model, address)


def _two_at_once(done: dict[str, Any], model: Any, address: str) -> None:
    for text, page in done.items():
        page.goto(f"{address}&list=3,1,2&do={text}")
    for page in done.values():
        page.locator(".st-key-changed_answer code").wait_for()
    rng = random.Random(0)
    for _ in range(4):
        lists = {text: tuple(rng.choices(range(10), k=6)) for text in done}
        for text, page in done.items():  # both are under way before either is waited for
            box = page.get_by_role("textbox", name="List to sort")
            box.fill(",".join(map(str, lists[text])))
            box.press("Enter")
        for text, page in done.items():
            interventions = Treatment.parse(text).on_list(model, lists[text])
            said = greedy_decode(model, [lists[text]], interventions=interventions).lists[0]
            words = " ".join(SortTask().token_name(token) for token in said)
            page.locator(".st-key-changed_answer code", has_text=exactly(words)).wait_for()
            settle(page)


@shipped
def test_a_click_on_a_cell_of_the_sweep_patches_it(
    visitor: Visitor, server: Server, colleague: Any
) -> None:
    visitor.open(f"{server.address}/patch?model=compiled:slots&patch_rows=v&patch_way=noising")
    cell = visitor.page.locator(
        '.st-key-patch_exact path[aria-roledescription="rect mark"]'
        '[aria-label*="place: values 1.2; position: blank 4"]'
    ).first
    cell.wait_for()
    before = visitor.text(".st-key-patch_outputs tr.patched").split()
    cell.click()
    visitor.page.wait_for_url("**cell=v.1.2**")
    visitor.settle()
    # Blank 4 of this sorter holds output 4: it alone now follows the corrupted list.
    after = visitor.text(".st-key-patch_outputs tr.patched").split()
    assert before != after == ["patched", "1", "1", "2", "3", "4", "4", "5", "5", "6", "9"]
    colleague.goto(visitor.page.url)
    colleague.locator(".st-key-patch_outputs tr.patched").wait_for()
    settle(colleague)
    assert colleague.locator(".st-key-patch_outputs tr.patched").inner_text().split() == after


@shipped
def test_blanks_are_masked_and_transplanted(visitor: Visitor, server: Server) -> None:
    visitor.open(
        f"{server.address}/blanks?model=blanks&list=3,1,4,1,5&kind=mask&blanks=none&part=all"
    )
    visitor.page.get_by_text("Choose at least one blank.").wait_for()
    visitor.page.get_by_role("button", name="All", exact=True).click()
    ablated = visitor.text(".st-key-blanks-ablated")
    assert "outputs wrong" in ablated
    assert "✓ sorted, 5 of 5" in visitor.text(".st-key-blanks-as-it-is")
    visitor.page.get_by_text("no bit changes").wait_for()
    visitor.settle()
    assert "blanks=all" in visitor.page.url
    visitor.page.get_by_role("button", name="Intervene so everywhere").first.click()
    visitor.page.wait_for_url("**do=mask**")
    visitor.settle()
    visitor.page.get_by_role("link", name="Sort").click()
    visitor.page.locator(".st-key-changed_answer code").wait_for()
    visitor.settle()
    assert "✗ Not sorted." in visitor.text(".st-key-changed_answer")


def test_the_slider_moves_along_a_run(visitor: Visitor, server: Server, run: Path) -> None:
    where = quote(str(run), safe="")
    visitor.open(f"{server.address}/training?run={where}&step=2&list=3,1,2&part=step")
    before = visitor.text(".st-key-checkpoint_answer")
    assert "after 2 updates" in before
    visitor.page.get_by_role("slider").first.press("ArrowRight")
    visitor.page.locator(".st-key-checkpoint_answer", has_text="after 4 updates").wait_for()
    visitor.settle()
    assert "step=4" in visitor.page.url


@shipped
@pytest.mark.parametrize(
    "link", ["attention", "attention?part=weights", "attention?part=one", "training?part=step"]
)
def test_a_figure_is_drawn_once(visitor: Visitor, server: Server, link: str) -> None:
    """Where its margins are too narrow, Plotly widens them and draws all of it a second time."""
    visitor.open(f"{server.address}/{link}")
    visitor.page.locator(".js-plotly-plot .main-svg").first.wait_for()
    visitor.settle()
    asked, has = visitor.page.evaluate(
        """() => {
            const figures = [...document.querySelectorAll('.js-plotly-plot')];
            const four = (of) => ['l', 'r', 't', 'b'].map((side) => of[side]);
            return [figures.map((el) => four(el.layout.margin)),
                    figures.map((el) => four(el._fullLayout._size))];
        }"""
    )
    assert asked == has != []


@shipped
def test_a_figure_is_taken_along_and_opens_offline(
    visitor: Visitor, server: Server, chromium: Any, tmp_path: Path
) -> None:
    visitor.open(f"{server.address}/attention?list=3,1,4,1,5&layer=1&head=0")
    visitor.page.get_by_role("button", name="Take it with you").first.click()
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Page (HTML)").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    with a_window(chromium, offline=True) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        assert "list 3,1,4,1,5" in page.locator(".js-plotly-plot").first.inner_text()
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Data (JSON)").click()
    data = json.loads(Path(download.value.path()).read_text())
    assert (data["model"], data["list"], len(data["rows"]) > 0) == ("blanks", "3,1,4,1,5", True)
    visitor.settle()


@shipped
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_has_the_ground_of_its_page(
    scheme: str, visitor: Visitor, server: Server
) -> None:
    """It had none: the light letters of a dark page were lost on white paper."""
    visitor.page.emulate_media(color_scheme=scheme)
    visitor.open(f"{server.address}/attention?list=3,1,4,1,5&layer=1&head=0")
    taken = {}
    for kind in ("PNG", "SVG"):
        visitor.page.get_by_role("button", name="Take it with you").first.click()
        with visitor.page.expect_download() as download:
            visitor.page.get_by_role("button", name=f"Picture ({kind})").click()
        assert download.value.suggested_filename.endswith(f".{kind.lower()}")
        taken[kind] = Path(download.value.path()).read_bytes()
    picture = Image.open(io.BytesIO(taken["PNG"])).convert("RGBA")
    (red, green, blue, opacity), corner = picture.getpixel((2, 2)), picture.getpixel((5, 5))
    assert (red, green, blue, opacity) == corner and opacity == 255
    assert (max(red, green, blue) < 64) if scheme == "dark" else (min(red, green, blue) > 191)
    assert f"fill: rgb({red}, {green}, {blue})" in taken["SVG"].decode()[:600]
    clear = "[...document.querySelectorAll('.js-plotly-plot')].map((f) => f.layout.paper_bgcolor)"
    assert set(visitor.page.evaluate(clear)) == {"rgba(0,0,0,0)"}  # only in what is taken along
    visitor.settle()


def test_a_page_with_a_figure_draws_every_kind_of_trace(chromium: Any, tmp_path: Path) -> None:
    """With the script cut to these kinds, and packed."""
    figure = make_subplots(2, 2, specs=[[{}, {}], [{}, {"type": "domain"}]])
    figure.add_trace(go.Scatter(y=[1, 3, 2], error_y={"array": [1, 1, 1]}), row=1, col=1)
    figure.add_trace(go.Bar(y=["a<b", "c"], x=[1, 2], orientation="h"), row=1, col=2)
    figure.add_trace(go.Heatmap(z=[[1, 2], [3, None]], texttemplate="%{z}"), row=2, col=1)
    figure.add_trace(go.Table(header={"values": ["a"]}, cells={"values": [["told"]]}), row=2, col=2)
    write_html(figure.update_layout(title_text="Four <b>kinds</b></script>"), tmp_path / "f.html")
    assert (tmp_path / "f.html").stat().st_size < 1_500_000
    wrong: list[str] = []
    with a_window(chromium, offline=True) as page:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((tmp_path / "f.html").as_uri())
        page.locator(".table").first.wait_for()
        drawn = (
            ".scatterlayer .trace",
            ".barlayer .trace",
            ".heatmaplayer image",
            ".table .cell-text",
        )
        assert [page.locator(one).count() > 0 for one in drawn] == [True] * 4
        assert "Four" in page.title()
        buttons = page.locator(".modebar-btn").evaluate_all("all => all.map(b => b.dataset.title)")
        assert "Zoom in" in buttons and not any("share" in b.lower() for b in buttons)
        assert wrong == []


_NO_DIALOGUE = """() => {
    const append = document.body.append.bind(document.body)
    document.body.append = (one) => {
        append(one)
        const inside = one.contentWindow
        inside.print = () => {
            window.printed = [inside.document.title, inside.document.documentElement.outerHTML]
            inside.dispatchEvent(new Event('afterprint'))
        }
    }
}"""
"""Instead of asking whoever sits at the machine, keep what would be printed."""


@shipped
def test_a_figure_is_printed_as_lines_and_letters(
    visitor: Visitor, server: Server, chromium: Any
) -> None:
    page = visitor.page
    visitor.open(f"{server.address}/attention?list=3,1,4&part=one&layer=1&head=0")
    page.get_by_role("button", name="Take it with you").first.click()
    page.evaluate(_NO_DIALOGUE)
    page.get_by_role("button", name="Print or PDF").click()
    title, sheet = page.evaluate("() => window.printed")
    assert title == "sortscope-blanks-314-one_head"
    paper = chromium.new_page()
    paper.set_content(sheet)
    assert "list 3,1,4" in paper.locator("body").text_content()
    pdf = paper.pdf(prefer_css_page_size=True, print_background=True)
    assert re.findall(rb"/Count (\d+)", pdf) == [b"1"] and b"/Font" in pdf
    paper.close()
    assert "sortscope" in page.title() and page.locator("iframe.sheet").count() == 0
    visitor.settle()


@pytest.mark.parametrize(
    "link",
    few(
        [
            "attention?list=3,1,2&layer=0&head=1&att_rows=every",
            (BLANKS := "blanks?list=3,1,2&blanks=1-2&kind=zero&b=2,2,7"),
            "inside?list=3,1,2&output=1&layer=0",
        ],
        BLANKS,
    ),
)
def test_a_copied_link_opens_the_same_view(
    visitor: Visitor, server: Server, folder: Path, colleague: Any, link: str
) -> None:
    visitor.open(f"{server.address}/{link}&model={small(folder)}")
    main = '[data-testid="stMain"]'
    colleague.goto(visitor.page.url)
    colleague.get_by_role("textbox", name="List to sort").wait_for()
    settle(colleague)
    here, there = (page.locator(main).inner_text() for page in (visitor.page, colleague))
    assert len(here) > 500
    assert there == here
