"""The explorer: ``streamlit run app.py``.

Everything is in ``interp/explorer/``: shared controls in ``controls.py``, a module for each page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from explorer.shell import show

# Tests run this file inside a program with arguments of its own.
started_here = Path(sys.argv[0]).resolve() == Path(__file__).resolve()
show(sys.argv[1:] if started_here else [])
