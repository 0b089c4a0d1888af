"""How long a visitor of the explorer waits for a page, and for a control of it.

    times = page_times(browser, server)                 # {"sort": (first seen, seen again), ...}
    times = control_times(browser, server, repeats=20)  # {"Sort: mask": [0.21, 0.18, ...], ...}

A time runs from the click to the moment from which the page stays at rest: the server has nothing
more to draw, and every figure is drawn. What the server goes on scoring in the background, with a
bar, is not waited for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.browser import WAIT_MS, Server, settle
from explorer import shell

QUIET_MS = 250  # at rest for so long, a page has come to rest; not part of the time
READS_MS = 2500
"""A visitor looks at a page before the first click; meanwhile scripts are loaded ahead, and the
browser is deaf for a moment."""
UNSEEN_MS = 4000
"""A run that begins and ends while the browser is deaf is never seen to run. What has not been seen
after so long has ended; then the time is that of the last change of the page."""
_BEGIN = """() => {
    window.began = window.rested = window.changed = undefined
    window.ran = false
    for (const kind of ['pointerdown', 'keydown']) {
        addEventListener(kind, () => { window.began ??= performance.now() }, {capture: true})
    }
    const state = {attributes: true, subtree: true, attributeFilter: ['data-test-script-state']}
    new MutationObserver((seen) => {
        if (seen.some(one => one.type === 'attributes')) window.ran = true
        else window.changed = performance.now()
    }).observe(document.body, {...state, childList: true})
}"""
_RESTED = """([ms, unseen_ms]) => {
    const app = document.querySelector('[data-testid="stApp"]')
    const charts = [...document.querySelectorAll('[data-testid="stPlotlyChart"]')]
    const now = performance.now()
    const unseen = !window.ran && now - (window.began ?? now) >= unseen_ms
    const busy = app?.getAttribute('data-test-script-state') !== 'notRunning' ||
        !(window.ran || unseen) ||
        document.querySelector('[data-stale="true"], [data-testid="stSkeleton"]') ||
        !document.querySelector('h1') || !charts.every(el => el.querySelector('.main-svg'))
    window.rested = busy ? undefined : window.rested ?? (unseen ? window.changed : now)
    const at = window.rested
    return at !== undefined && now - at >= ms ? (at - window.began) / 1000 : null
}"""


def timed(page: Any, act: Callable[[], Any]) -> float:
    """Seconds from the first click or key of ``act`` until the page is at rest."""
    page.evaluate(_BEGIN)
    act()
    found = page.wait_for_function(_RESTED, arg=[QUIET_MS, UNSEEN_MS], timeout=WAIT_MS, polling=20)
    return round(float(found.json_value()), 3)


@contextmanager
def opened(browser: Any, address: str) -> Iterator[Any]:
    """A window of its own, once that page is at rest and has been looked at."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(address)
    page.get_by_role("textbox", name="List to sort").wait_for(timeout=WAIT_MS)
    settle(page)
    page.wait_for_timeout(READS_MS)
    page.evaluate("() => new Promise(go => requestIdleCallback(() => go()))")
    yield page
    context.close()


# -- pages --------------------------------------------------------------------------------------


def page_times(browser: Any, server: Server) -> dict[str, tuple[float, float]]:
    """Seconds to every page, come to from Home by the menu: the first time, and the second.

    The server has shown nothing but Home before.
    """
    found = {}
    with opened(browser, server.address) as page:
        for one in shell.PAGES:
            if one.path == shell.HOME:
                continue
            seconds = []
            for _ in range(2):
                seconds.append(timed(page, page.get_by_role("link", name=one.title).first.click))
                timed(page, page.get_by_role("link", name="Home").first.click)
            found[one.path] = (seconds[0], seconds[1])
    return found


# -- controls -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Control:
    """Something that a visitor may use: where it is, and how it is used for the n-th time."""

    name: str
    link: str
    use: Callable[[Any, int], None]


def _button(words: str) -> Callable[[Any, int], None]:
    return lambda page, n: page.get_by_role("button", name=words, exact=True).first.click()


def _in_turn(label: str, *choices: str) -> Callable[[Any, int], None]:
    """The choices of a group in turn, the second of them first: the first is open."""

    def use(page: Any, n: int) -> None:
        group = page.get_by_role("radiogroup", name=label).first
        group.get_by_text(choices[(n + 1) % len(choices)], exact=True).click()

    return use


def _type_list(page: Any, n: int) -> None:
    rng = random.Random(n)
    box = page.get_by_role("textbox", name="List to sort")
    box.fill(",".join(str(rng.randrange(10)) for _ in range(rng.randint(1, 48))))
    box.press("Enter")


def _mask(page: Any, n: int) -> None:
    page.get_by_text("Mask the blanks").click()


def _slide(page: Any, n: int) -> None:
    """Along the slider and back."""
    page.locator('[data-testid="stMain"]').get_by_role("slider").first.press(
        "ArrowLeft" if n % 10 < 5 else "ArrowRight"
    )


def _blank(page: Any, n: int) -> None:
    page.locator(".sequence .region.blanks .token").nth(n % 40).click()


CONTROLS = (
    Control("Sort: mask (the first is of a new server)", "sort", _mask),
    Control("Sort: list", "sort", _type_list),
    Control("Sort: preset", "sort", _button("Random")),
    Control("Sort: part", "sort", _in_turn("Part of the page", "What it answers", "Step by step")),
    Control("Sort: step", "sort?part=step&step=9", _slide),
    Control("Attention: head", "attention", _in_turn("Head", "0", "1", "2", "3", "4")),
    Control("Attention: head enlarged", "attention?part=one", _in_turn("Layer", "1", "0")),
    Control(
        "Attention: circuits of a head", "attention?part=weights", _in_turn("Head", "0", "1", "2")
    ),
    Control("Blanks: a click on a blank", "blanks", _blank),
    Control("Blanks: preset", "blanks", _button("Random half")),
    Control("Blanks: way", "blanks", _in_turn("How", "mask", "zero", "mean", "resample")),
    Control("Blanks: list B", "blanks?part=exchange", _button("Another random list")),
    Control("Inside: positions", "inside", _in_turn("Positions", "outputs", "the list", "blanks")),
    Control("Inside: neurons", "inside?part=neurons", _in_turn("Layer", "1", "0")),
    Control("Patch: direction", "patch", _in_turn("Rows of the map", "Residual stream", "Values")),
    Control("Training: slider", "training?part=step", _slide),
    Control("Training: steps", "training", _in_turn("Steps", "linear", "log")),
    Control("Compare: head", "compare?part=attention", _in_turn("A: head", "0", "1", "2", "3")),
)
"""A choice of each kind on every page that has some; more are alike."""


def control_times(browser: Any, server: Server, repeats: int) -> dict[str, list[float]]:
    """Seconds of every use of every control, the first uses included."""
    found = {}
    for control in CONTROLS:
        with opened(browser, f"{server.address}/{control.link}") as page:
            found[control.name] = [
                timed(page, partial(control.use, page, n)) for n in range(repeats)
            ]
    return found


# -- two visitors -------------------------------------------------------------------------------


def together(browser: Any, server: Server, repeats: int) -> list[float]:
    """Seconds to new lists on Sort, while another visitor's on Attention are under way."""
    seconds = []
    with (
        opened(browser, f"{server.address}/sort") as one,
        opened(browser, f"{server.address}/attention") as other,
    ):
        for n in range(repeats):
            _type_list(other, 2 * n)
            seconds.append(timed(one, partial(_type_list, one, 2 * n + 1)))
            settle(other)
    return seconds
