"""The pictures of the page Home: a bar and an interval for each rate, as HTML that any page width
and both themes can show."""

from __future__ import annotations

import html
from collections.abc import Sequence

from explorer.pages.home.findings import Bar
from interp.figures import BLUE, GREY

STYLE = f"""<style>
ul.rates {{list-style: none; margin: 0 !important; padding: 0 !important; font-size: .85rem;}}
ul.rates li {{margin: 0 0 10px 0 !important; padding: 0 !important; line-height: 1.3;}}
ul.rates div.words {{display: flex; justify-content: space-between; gap: 8px;}}
ul.rates div.words b {{white-space: nowrap; font-variant-numeric: tabular-nums;}}
ul.rates div.track {{position: relative; height: 12px; border-radius: 3px; margin-top: 2px;
  background: rgba(127,127,127,.22); overflow: hidden;}}
ul.rates div.fill {{position: absolute; left: 0; top: 0; bottom: 0; background: {GREY};}}
ul.rates li.strong div.fill {{background: {BLUE};}}
ul.rates div.interval {{position: absolute; top: 4px; height: 4px; min-width: 2px;
  background: currentColor; box-shadow: 0 0 0 1px rgba(127,127,127,.6);}}
</style>"""


def bars(shown: Sequence[Bar], name: str) -> str:
    """HTML: the bars from 0 to 100 %, each with its value, its interval and its n; the page needs
    ``STYLE``, once."""
    items = "".join(_item(bar) for bar in shown)
    return f'<ul class="rates" aria-label="{html.escape(name)}, from 0 to 100 %">{items}</ul>'


def _item(bar: Bar) -> str:
    low, high = 100 * bar.rate.low, 100 * bar.rate.high
    title = f"{bar.name}: {bar.rate.percent()}, n = {bar.rate.n:,}"
    return (
        f'<li class="{"strong" if bar.strong else "plain"}" title="{html.escape(title)}">'
        f'<div class="words"><span>{html.escape(bar.name)}</span>'
        f"<b>{100 * bar.rate.value:.1f} %</b></div>"
        f'<div class="track"><div class="fill" style="width:{100 * bar.rate.value:.2f}%"></div>'
        f'<div class="interval" style="left:{low:.2f}%;width:{high - low:.2f}%"></div></div></li>'
    )
