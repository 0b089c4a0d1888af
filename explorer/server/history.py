"""The page's address behaves: the script that keeps the browser's history is put into every page.

``history.js`` says what it does. Streamlit has no place for a script that runs before its own, so
it is added to the HTML that the server sends, with the one that loads the page's own scripts ahead
(:mod:`explorer.server.ahead`). ``/home`` leads to the page Home, whose address is ``/``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from explorer.server.ahead import ahead
from explorer.server.guard import Application, Message, Receive, Send

_SCRIPT = Path(__file__).with_name("history.js")
_HEAD = b"<head>"
_HOME = "/home"
# A page must come whole and as it is, and not from the browser's memory of an older script.
_UNASKED = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")


class History:
    """ASGI middleware that adds :func:`script` to the pages it passes on."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the connection on; change what comes back if it is a page."""
        if scope["type"] != "http" or not _is_page(scope["path"]):
            await self._app(scope, receive, send)
        elif scope["path"] == _HOME:
            query = scope.get("query_string", b"")
            to = b"/" + (b"?" + query if query else b"")
            await send(
                {"type": "http.response.start", "status": 307, "headers": [(b"location", to)]}
            )
            await send({"type": "http.response.body", "body": b""})
        else:
            asked = [pair for pair in scope["headers"] if pair[0].lower() not in _UNASKED]
            await self._app({**scope, "headers": asked}, receive, _Adding(send))


def _is_page(path: str) -> bool:
    """Whether a path is a page's, and no file's: ``/sort``, ``/``."""
    return "." not in path.rpartition("/")[2] and not path.startswith("/_stcore")


class _Adding:
    """Holds a page back until it is whole, and adds the script to its head."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_html(message):
            self._start = message
        elif self._start is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        body = self._body.replace(_HEAD, _HEAD + b"<script>" + script() + b"</script>", 1)
        kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        length = (b"content-length", str(len(body)).encode())
        await self._send({**start, "headers": [*kept, length]})
        await self._send({"type": "http.response.body", "body": body})


def _is_html(start: Message) -> bool:
    kinds = [value for name, value in start["headers"] if name.lower() == b"content-type"]
    return start["status"] == 200 and any(kind.startswith(b"text/html") for kind in kinds)


@cache
def script() -> bytes:
    """Both scripts, as they stand in the page."""
    return _SCRIPT.read_bytes() + ahead()
