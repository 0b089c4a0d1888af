"""The explorer: ``streamlit run app.py``.

Everything is in ``explorer/``: what the server knows in ``server/``, shared controls in ``parts/``,
a folder for each page in ``pages/``. Streamlit imports this file once, for the server, and runs it
again whenever a visitor's page is drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    from explorer.shell import show

    # Tests run this file inside a program with arguments of its own.
    started_here = Path(sys.argv[0]).resolve() == Path(__file__).resolve()
    show(sys.argv[1:] if started_here else [])
else:
    from starlette.middleware import Middleware
    from streamlit import App

    from explorer.server.guard import Guard
    from explorer.server.history import History
    from explorer.server.preload import preload
    from explorer.server.whole import Whole

    preload()
    through = [Middleware(Guard), Middleware(History), Middleware(Whole)]
    app = App(Path(__file__).resolve(), middleware=through)
