"""Opening the explorer's pages without a browser, and reading them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from streamlit.testing.v1 import AppTest

from explorer.parts.sections import ALL
from explorer.server.jobs import jobs
from interp.checkpoints import save_model
from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.task import SortTask

APP = Path(__file__).parent.parent / "app.py"
SIZES = {"d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 24}


def small_models(folder: Path) -> None:
    """``with`` and ``without`` blanks: untrained, so they answer wrongly, and quickly."""
    for name, n_blanks in (("with", 4), ("without", 0)):
        task = SortTask(max_len=6, n_blanks=n_blanks)
        model = SortTransformer(ModelConfig(task=task, **SIZES), seed=3)
        with torch.no_grad():  # sharp attention, so that a mask changes the numbers
            for block in model.blocks:
                block.attn.W_Q.mul_(6)
        save_model(folder / name, model, step=7)


def open_page(path: str | None = None, **link: str) -> AppTest:
    """One page alone, by its path (None: the whole app, on its first page), with this address.

    All parts of it are drawn, unless the address names one.
    """
    if path is None:
        page = AppTest.from_file(str(APP), default_timeout=120)
    else:
        code = f"from explorer.shell import show; show(only={path!r})"
        page = AppTest.from_string(code, default_timeout=120)
    for key, value in {"part": ALL, **link}.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception, page.exception
    return page


def errors(page: AppTest) -> list[str]:
    """Messages, as a reader sees them."""
    return [re.sub(r"\\(.)", r"\1", error.value) for error in page.error]


def captions(page: AppTest) -> str:
    """All small print."""
    return "\n".join(caption.value for caption in page.caption)


def address(page: AppTest) -> dict[str, str]:
    """What the page has written into its address."""
    return {
        str(key): value if isinstance(value, str) else value[-1]
        for key, value in page.query_params.items()
    }


def button(page: AppTest, words: str) -> Any:
    """The button of that label."""
    return next(b for b in page.button if b.label == words)


def run_job(page: AppTest, key: str) -> AppTest:
    """Press the button of that key, and wait for what it computes in the background."""
    page.button(key).click().run()
    jobs().wait()
    assert not page.run().exception, page.exception
    return page


def scored(page: AppTest) -> AppTest:
    """The page when what it began by itself has been computed."""
    jobs().wait()
    assert not page.run().exception, page.exception
    return page


def answers(page: AppTest) -> list[str]:
    """The answers on the page Sort: as it is, and under the intervention."""
    return [code.value for code in page.code if code.language == "plaintext"]


def sequences(page: AppTest) -> list[dict[str, Any]]:
    """What the browser is told of each sequence of tokens."""
    components = [one.proto for one in page.get("bidi_component")]
    return [json.loads(c.json) for c in components if c.component_name == "sortscope_tokens"]


def strips(page: AppTest) -> list[str]:
    """HTML of the outputs on the page Sort, in the same order."""
    return [html.value for html in page.html if '<ol class="outputs' in html.value]
