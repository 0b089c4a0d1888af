"""Streamlit's own scripts, styles and fonts, each sent whole.

A first page asks for a hundred of them while the server imports PyTorch. Streamlit reads and sends
each piece by piece in a thread of its own, and each piece waits for its turn beside the import;
one reading and one sending for a file let the browser begin a third of a second earlier.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit

from explorer.server.guard import Application, Message, Receive, Send

_KINDS = {".js": b"text/javascript", ".css": b"text/css", ".woff2": b"font/woff2"}
STATIC = Path(streamlit.__file__).parent / "static"
"""What is sent from here; scripts, styles and fonts are in a folder of the same name in it."""
# A hash of what is in it is in the name of each.
_KEPT = (b"cache-control", b"public, immutable, max-age=31536000")


class Whole:
    """ASGI middleware that answers for :func:`files`, and passes everything else on."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send the file that is asked for, or pass the connection on."""
        asked = files().get(scope["path"]) if scope["type"] == "http" else None
        a_part = any(name.lower() == b"range" for name, _ in scope.get("headers", ()))
        if asked is None or scope["method"] != "GET" or a_part:
            await self._app(scope, receive, send)
            return
        body = asked.read_bytes()
        about = [(b"content-type", _KINDS[asked.suffix]), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": [*about, _KEPT]})
        await send({"type": "http.response.body", "body": body})


@cache
def files() -> dict[str, Path]:
    """Those of the Streamlit that is installed whose kind is known here, by the path of their
    address."""
    return {
        f"/{path.relative_to(STATIC).as_posix()}": path
        for path in (STATIC / "static").rglob("*")
        if path.suffix in _KINDS
    }
