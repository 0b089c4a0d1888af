"""Every page follows the model that is open: what the menu says, lists it gets wrong, imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from explorer.pages.training.page import run_of
from explorer.parts.importing import write_import
from explorer.server.menu import words_of, wrong_list
from explorer.server.models import open_model
from explorer.server.places import Places
from interp.answers.decode import greedy_decode
from interp.checkpoints import load_bare, save_model, shipped_models
from interp.imports import Told
from interp.rules import PARITY
from interp.support.errors import UserError
from interp.task import SortTask
from tests.interp.test_algoformer import published_state
from tests.models import small_model
from tests.pages import answers, button, captions, open_page

shipped = pytest.mark.skipif("blanks" not in shipped_models(), reason="no model is shipped yet")


@shipped
def test_the_menu_says_what_each_model_is(folder: Path) -> None:
    places = Places((folder,))
    said = {name: words_of(places, name) for name in [*shipped_models(), "compiled:sink"]}
    assert said == {
        "blanks": "49 blanks",
        "blanks-original": "49 blanks; as published",
        "bottleneck": "49 blanks; outputs see no digits",
        "no-blanks": "no blanks",
        "pos-offset": "none, positions shifted; as published",
        "compiled:sink": "written by hand",
    }
    assert words_of(places, str(folder / "with")) == "4 blanks"
    assert words_of(places, "/etc") == words_of(places, "compiled:x") == ""
    options = open_page("sort").selectbox("model").options
    assert "bottleneck · 49 blanks; outputs see no digits" in options
    words = open_model(Places(()), "bottleneck").words
    assert words == "lists of 1 to 48 digits, 49 blanks, outputs see no digits, after 2500 updates"


def test_a_config_that_is_none_says_nothing(folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    for text in ("{", '{"model": 3}', '{"model": {"task": []}}'):
        (odd / "config.json").write_text(text)
        (odd / "model.safetensors").write_bytes(b"")
        assert words_of(Places((tmp_path,)), str(odd)) == ""


@shipped
def test_a_list_that_it_gets_wrong_is_wrong() -> None:
    page = open_page("sort")
    button(page, "One it fails").click().run()
    assert not page.exception
    digits = SortTask().parse(page.text_input("list").value)
    said = greedy_decode(load_bare("blanks").model, [digits]).lists[0]
    assert said != tuple(sorted(digits))
    assert answers(page)[0] != " ".join(map(str, sorted(digits)))
    assert any("✗ Not sorted." in m.value for m in page.markdown)


@pytest.mark.exhaustive
@pytest.mark.slow
@shipped
def test_a_sorter_that_makes_no_mistake_has_no_such_list() -> None:
    page = open_page("sort", model="compiled:successor", list="3,1,2")
    button(page, "One it fails").click().run()
    assert page.text_input("list").value == "3,1,2"
    assert "It sorts all lists that were tried" in captions(page)
    assert wrong_list(open_model(Places(()), "compiled:successor")) is None


def test_a_task_of_fewer_symbols_has_such_lists_too(tmp_path: Path) -> None:
    save_model(tmp_path / "bits", small_model(task=SortTask(4, 3, rule=PARITY)))
    found = wrong_list(open_model(Places((tmp_path,)), str(tmp_path / "bits")))
    assert found is not None
    assert set(found) <= {0, 1}


@shipped
def test_a_compiled_sorter_is_not_said_to_have_taught_itself() -> None:
    by_hand = open_page("sort", model="compiled:slots", list="3,1,2")
    text = "\n".join(m.value for m in (*by_hand.markdown, *by_hand.title))
    assert "was not trained" in text and "was written to sort" in text
    assert "Nobody programmed it" not in text
    trained = open_page("sort", model="no-blanks", list="3,1,2")
    assert "Nobody programmed it" in "\n".join(m.value for m in trained.markdown)


@shipped
def test_training_shows_the_run_of_the_model_that_is_open() -> None:
    page = open_page("training", model="no-blanks", list="3,1,2")
    assert page.multiselect("training_curves").value == ["no-blanks"]
    page.selectbox("model").set_value("bottleneck").run()
    assert page.multiselect("training_curves").value == ["bottleneck"]
    page.multiselect("training_curves").set_value(["blanks"]).run()
    assert page.multiselect("training_curves").value == ["blanks"]  # a choice of one's own stays
    page.selectbox("model").set_value("compiled:slots").run()
    assert "no learning curve here: it was written, not trained" in page.info[0].value.replace(
        "\\", ""
    )


def test_a_model_comes_from_its_run() -> None:
    names = ["original-blanks", "blanks", "runs/0001-x", "runs/0001-xy"]
    assert run_of("original-blanks@500", names) == "original-blanks"
    assert run_of("blanks", names) == "blanks"
    assert run_of("runs/0001-x/checkpoints/step-000500", names) == "runs/0001-x"
    assert run_of("runs/0001-xy", names) == "runs/0001-xy"
    assert run_of("compiled:slots", names) is None


def test_an_import_is_a_model_of_the_runs_folder(tmp_path: Path) -> None:
    torch.save(published_state(SortTask()), tmp_path / "theirs.pth")
    data = (tmp_path / "theirs.pth").read_bytes()
    folder = write_import(data, "theirs", Told(True), tmp_path / "runs")
    assert folder == tmp_path / "runs" / "theirs"
    opened = open_model(Places((tmp_path / "runs",)), str(folder))
    assert opened.task == SortTask()
    with pytest.raises(UserError, match="is there already"):
        write_import(data, "theirs", Told(True), tmp_path / "runs")
    for name in ("../x", "", "a/b", ".hidden", "a b"):
        with pytest.raises(UserError, match="a name is letters"):
            write_import(data, name, Told(True), tmp_path / "runs")
    with pytest.raises(UserError, match="the file"):
        write_import(b"nothing", "other", Told(True), tmp_path / "runs")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["theirs"]


@shipped
def test_a_page_that_others_see_offers_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    import streamlit

    option = streamlit.get_option

    def served_at(address: str) -> bool:
        def told(name: str) -> object:
            return address if name == "server.address" else option(name)

        monkeypatch.setattr("explorer.parts.importing.st.get_option", told)
        return "Import" in [one.label for one in open_page("sort", list="3,1").button]

    assert served_at("localhost")
    assert not served_at("0.0.0.0")


@shipped
def test_a_first_page_does_not_wait_for_what_imports_need() -> None:
    """TransformerLens takes seconds to load, and no page needs it to open a shipped model."""
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        "page = AppTest.from_file('app.py', default_timeout=120).run(); "
        "assert not page.exception and len(page.subheader) == 3; "
        "print('transformer_lens' in sys.modules, 'interp.imports' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["False", "False"], done.stderr
