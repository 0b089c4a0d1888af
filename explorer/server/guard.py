"""Who may talk to the server: pages that it served itself, under names that it is known by.

A page of another site could have a visitor's browser connect to a server on the visitor's machine,
and a name that points there would make it look like the server's own (DNS rebinding). Streamlit
refuses the first, but before that asks an outside service for its own address; the second it
refuses for websockets alone. Here both are refused at the door, and nothing is asked of anyone.

    streamlit run app.py --server.address 0.0.0.0 --server.allowedHosts lab7.example.org
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

LOCAL = ("localhost", "127.0.0.1", "::1")


class Guard:
    """ASGI middleware that answers 403 to whom it does not know."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the connection on, or refuse it."""
        headers = {
            name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())
        }
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        known = known_host(host) and (scope["type"] != "websocket" or known_origin(origin, host))
        if known or scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()  # its wish to connect
            await send({"type": "websocket.close", "code": 1008})
        else:
            plain = [(b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 403, "headers": plain})
            await send({"type": "http.response.body", "body": b"not a name of this server\n"})


def known_host(host: str) -> bool:
    """Whether a ``Host`` header names this server, by ``server.allowedHosts``."""
    name, allowed = _hostname(host), st.get_option("server.allowedHosts") or LOCAL
    return name is not None and _matches(name, allowed)


def known_origin(origin: str | None, host: str) -> bool:
    """Whether a websocket is asked for by a page that came from here.

    Args:
        origin: of the page that asks; None where it is no browser that does.
        host: what it calls this server.
    """
    if origin is None:
        return True
    if (asking := urlsplit(origin)).netloc == host and host:
        return True
    more = (_hostname(urlsplit(one).netloc) for one in st.get_option("server.corsAllowedOrigins"))
    name = _hostname(asking.netloc)
    return name is not None and _matches(name, [*LOCAL, *(one for one in more if one)])


def _hostname(netloc: str) -> str | None:
    try:
        parts = urlsplit(f"//{netloc}")
        _ = parts.port  # a number, where there is one
    except ValueError:
        return None
    odd = parts.username is not None or parts.path or parts.query or parts.fragment
    return None if odd or not parts.hostname else parts.hostname.rstrip(".")


def _matches(name: str, allowed: Iterable[str]) -> bool:
    for one in allowed:
        pattern = one.strip().lower().strip("[]").rstrip(".")
        if pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:])):
            return True
    return False
