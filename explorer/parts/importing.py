"""Weights of the original code, opened from the page: they go into the folder of runs.

Only for whoever sits at the machine that serves the page: to others a page offers nothing that
writes there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import streamlit as st

from explorer.parts.elements import plain, refuse
from explorer.server import session
from explorer.server.guard import LOCAL
from explorer.server.places import RUNS
from interp.support.errors import UserError

if TYPE_CHECKING:
    from interp.imports import Told

_LONGEST_NAME = 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def import_box() -> None:
    """The field for a file, and what has to be said of it; nothing on a page that others see."""
    if (st.get_option("server.address") or "") not in LOCAL:
        return
    with st.sidebar.popover("Import weights", icon=":material/upload_file:", width="stretch"):
        st.caption(
            "A file that the original code saved (`model_6000.pth`). Nothing in it is executed; it "
            f"is checked against PyTorch's own modules, and written into `{RUNS}`."
        )
        file = st.file_uploader("File of weights", type=["pth", "pt"], key="import file")
        name = st.text_input(
            "Name", key="import name", placeholder="theirs", max_chars=_LONGEST_NAME
        )
        told = _told()
        if st.button("Import", key="import", type="primary", disabled=file is None):
            assert file is not None
            _import(file.getvalue(), name.strip() or "theirs", told())


def _told() -> Callable[[], Told]:
    """What weights do not tell, put together when it is needed: importing takes seconds to load."""
    values = _values()

    def told() -> Told:
        from interp.imports import Told

        return Told(*values)

    return told


def _values() -> tuple[Any, ...]:
    """The fields of ``Told``, as they are chosen."""
    published = st.toggle("As the published experiment", value=True, key="import published")
    no_blanks = st.toggle("Trained without blanks", key="import no blanks")
    blanks = 0 if no_blanks else None
    if published:
        return (True, None, None, None, None, blanks)
    columns = st.columns(2)
    heads = columns[0].number_input("Heads", 1, 64, 5, key="import heads")
    longest = columns[1].number_input("Longest list", 1, 512, 48, key="import longest")
    if not no_blanks:
        blanks = int(st.number_input("Blanks", 1, 1024, int(longest) + 1, key="import blanks"))
    post = st.radio("Norm", ["post", "pre"], key="import norm", horizontal=True) == "post"
    return (False, int(heads), "post" if post else "pre", "relu", int(longest), blanks)


def _import(data: bytes, name: str, told: Told) -> None:
    try:
        folder = write_import(data, name, told)
    except UserError as error:
        refuse(st.container(), error)
        return
    st.success(f"Imported: {plain(str(folder))}.")
    st.button("Open it", key="import open", on_click=session.choose_model, args=(str(folder), []))


def write_import(data: bytes, name: str, told: Told, runs: Path = RUNS) -> Path:
    """The model of a file's bytes, written into a new folder of ``runs``.

    Raises:
        UserError: for a name that is none or is taken, and for what is no set of weights.
    """
    from interp.checkpoints import save_model
    from interp.imports import import_weights

    if not _NAME.fullmatch(name):
        raise UserError("a name is letters, digits, and - . _ between them")
    folder = runs / name
    if folder.exists():
        raise UserError(f"{folder} is there already; give another name")
    with TemporaryDirectory() as kept:
        path = Path(kept) / f"{name}.pth"
        path.write_bytes(data)
        try:
            model = import_weights(path, told)
        except UserError as error:
            raise UserError(str(error).replace(str(path), "the file")) from None
    save_model(folder, model, imported_from=f"{name}.pth")
    return folder
