"""The page "Training" and what is behind it: runs, curves, checkpoints, and their commands."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analyses import crash
from analyses.experiment import main as run_command
from analyses.one_list import glance
from analyses.one_list.glance.figure import glance_figure
from analyses.one_list.glance.result import AnswerRows, answer_rows
from analyses.one_list.subject import NOTHING, ListSubject
from analyses.runs import checkpoint_sweep, training_curves, variance_shift
from analyses.runs.checkpoint_sweep.body import Sweep, measure
from analyses.runs.checkpoint_sweep.body import figure as sweep_figure
from analyses.runs.checkpoint_sweep.body import rows as sweep_rows
from analyses.runs.training_curves.body import arm_words, run_rows
from analyses.runs.training_curves.figure import arms_figure, runs_figure, short_name
from analyses.runs.training_curves.result import RunCurves, read_folder, read_run
from analyses.ship.shipped import course_subject, run_subject
from analyses.ship.shipped import shipped as shipped_result
from explorer.pages.training.checkpoint import shipped_sweep
from explorer.server import results
from explorer.server.models import open_model
from explorer.server.places import STUDIES, Places
from explorer.server.store import store
from interp import checkpoints
from interp.answers.ablation import published_mask
from interp.answers.decode import greedy_decode, score
from interp.answers.treatment import Treatment
from interp.checkpoints import (
    METRICS,
    PRETRAINED,
    checkpoint_step,
    load_bare,
    load_model,
    run_checkpoints,
    shipped_runs,
)
from interp.stats import wilson
from interp.support.errors import UserError
from interp.task import Region, SortTask
from tests.models import small_model, trained_run
from tests.pages import address, button, captions, errors, open_page, run_job, scored, small_models
from training.curves import Curve
from training.recipes import STABLE

DIGITS = (3, 1, 2, 1)
LIST = "3,1,2,1"


TINY = replace(
    STABLE,
    max_len=4,
    d_mlp=16,
    batch_size=16,
    micro_batch=16,
    steps=6,
    warmup_steps=1,
    checkpoint_every=2,
    log_every=1,
    eval_every=3,
    eval_lists=20,
    threads=1,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three checkpoints, at steps 2, 4 and 6."""
    return trained_run(tmp_path_factory.mktemp("runs"), TINY)


@pytest.fixture
def shipped(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same run, as one that is shipped under the name ``tiny``."""
    shutil.copytree(run, tmp_path / "tiny")
    monkeypatch.setattr(checkpoints, "SHIPPED_RUNS", tmp_path)
    return tmp_path / "tiny"


@pytest.fixture
def start(run: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Open the page on a server that may open the run."""
    monkeypatch.setenv("SORTSCOPE_MODELS", str(run.parent))

    def opened(**link: str) -> AppTest:
        link = {"model": str(run), "list": LIST, "run": str(run), "curves": str(run), **link}
        return open_page("training", **link)

    return opened


def spec(page: AppTest, number: int) -> dict[str, Any]:
    """The figure of that number on the page."""
    return json.loads(page.get("plotly_chart")[number].proto.spec)


def values(found: Any) -> list[float]:
    """Numbers of a trace, which plotly may pack."""
    if isinstance(found, dict):
        import base64

        return np.frombuffer(base64.b64decode(found["bdata"]), found["dtype"]).tolist()
    return list(found)


def command(page: AppTest, module: str) -> list[str]:
    """The flags of the command that the page shows for a figure of that module."""
    line = next(code.value for code in page.code if f"-m analyses.{module}" in code.value)
    return shlex.split(line)[3:]


# -- which runs there are -----------------------------------------------------------------------


def test_shipped_runs_come_first_and_their_checkpoints_have_names(shipped: Path, run: Path) -> None:
    places = Places((run.parent,))
    assert places.runs()[0] == "tiny"
    assert str(run) in places.runs()
    assert places.checkpoints("tiny") == {2: "tiny@2", 4: "tiny@4", 6: "tiny@6"}
    folder = shipped / "checkpoints" / "step-000004"
    assert places.find("tiny@4") == folder
    assert load_bare("tiny@4").hash == load_bare(folder).hash != load_bare("tiny@2").hash
    assert places.checkpoints(str(run))[4] == str(run / "checkpoints" / "step-000004")
    for name in ("tiny@5", "tiny@", "tiny@4/..", "other@4", "@4"):
        with pytest.raises(UserError):
            places.find(name)


def test_no_run_or_study_outside_the_folders_is_read(run: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    linked = inside / "linked"
    linked.mkdir(parents=True)
    (linked / "metrics.jsonl").symlink_to(run / "metrics.jsonl")
    (inside / "whole").symlink_to(run)
    study = inside / "study"
    study.mkdir()
    shutil.copy(STUDIES / "quick" / "plan.toml", study)
    (study / "blanks.jsonl").symlink_to(STUDIES / "quick" / "blanks.jsonl")
    places = Places((inside,))
    for name in (linked, inside / "whole", run, inside / ".." / run.name, "", "x\0y", "a" * 5000):
        with pytest.raises(UserError, match="no run that this page may open"):
            places.find_run(str(name))
    # Results of the project's own studies may be read; what else a study links to may not.
    assert places.find_study(str(STUDIES / "quick")) == STUDIES / "quick"
    (study / "no-blanks.jsonl").symlink_to(run / "metrics.jsonl")
    for name in (study, STUDIES, run):
        with pytest.raises(UserError, match="no study that this page may open"):
            places.find_study(str(name))


# -- curves -------------------------------------------------------------------------------------


def test_curves_are_what_was_logged(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 0, "loss": 2.0, "accuracy": 0.0}\n'
        '{"step": 10, "loss": 1.5, "accuracy": 0.25}\n'
        '{"step": 10, "eval/exact_match": 0.5}\n'
        '{"step": 20, "loss": 0.5, "accu'
    )
    found = read_folder(tmp_path, "mine")
    assert found == RunCurves(
        "mine", Curve((0, 10), (0.0, 0.25)), Curve((10,), (0.5,)), Curve((0, 10), (2.0, 1.5))
    )
    drawn = runs_figure([found], at=10)
    assert [list(t.y) for t in drawn.data[:3]] == [[0.0, 25.0], [50.0], [2.0, 1.5]]
    assert {shape.x0 for shape in drawn.layout.shapes} == {10}
    assert not runs_figure([found], log=True, at=0).layout.shapes  # there is no 0 on such an axis
    assert run_rows([found])[1] == {
        "run": "mine",
        "curve": "batch",
        "step": 10,
        "value": 0.25,
    }
    (tmp_path / "metrics.jsonl").write_text('["no", "log"]\n')
    with pytest.raises(UserError, match="not the log of a run"):
        read_folder(tmp_path, "mine")


def test_a_run_of_an_export_is_named_by_the_folder_that_it_had() -> None:
    from training.studies.results import load_results

    wanted = load_results(STUDIES / "quick").of("no-blanks")[1]
    found = read_run(str(STUDIES / "quick" / "no-blanks" / "seed-0001"))
    assert (found.batch, found.held_out) == (wanted.curves.batch, wanted.curves.held_out)
    assert not found.loss.steps
    assert short_name(found.name) == "quick: no-blanks, seed 1"
    with pytest.raises(UserError, match="no run no-blanks, seed 77"):
        read_run(str(STUDIES / "quick" / "no-blanks" / "seed-0077"))
    with pytest.raises(UserError, match="no learning curve of 'nowhere'"):
        read_run("nowhere")


@pytest.mark.parametrize(("at", "side"), [(100, "top right"), (2500, "top left")])
def test_a_step_is_named_on_the_side_where_there_is_room(at: int, side: str) -> None:
    """At the end of a run its name was cut by the figure's edge."""
    drawn = runs_figure([read_folder(PRETRAINED / "blanks", "blanks")], False, at)
    assert [t.textposition for t in drawn.data if t.mode == "text"] == [side]


def test_arms_show_every_run_and_mark_convergent_ones_without_colour() -> None:
    from training.studies.results import load_results

    study = load_results(STUDIES / "quick")
    ended = study.runs[0].summary or {}
    below = {**ended["batch"], "median_window": 0.89}
    lost = replace(study.runs[0], summary={**ended, "convergent": False, "batch": below})
    study = replace(study, runs=(lost, *study.runs[1:]))
    drawn = arms_figure(study)
    assert len(drawn.data) == len(study.runs)
    for trace, result in zip(drawn.data, study.runs, strict=True):
        assert list(trace.y) == [100 * v for v in result.curves.batch.values]  # every point
    assert (drawn.data[0].mode, drawn.data[0].line.dash) == ("lines", "dot")
    assert (drawn.data[1].mode, drawn.data[1].line.dash) == ("lines+markers", "solid")
    n = sum(result.arm == "blanks" for result in study.runs)
    rate = wilson(n - 1, n)
    interval = f"[{100 * rate.low:.0f}, {100 * rate.high:.0f}]"
    shown = f"{n - 1} of {n} {interval} %"
    assert drawn.layout.annotations[0].text == f"<b>blanks</b><br>✓ {shown}"
    said = f"blanks: {n - 1} of {n} convergent = {100 * rate.value:.0f} % {interval}"
    assert arm_words(study)[0] == said


# -- checkpoints --------------------------------------------------------------------------------


def test_the_sweep_measures_each_checkpoint_by_itself(run: Path) -> None:
    config = checkpoint_sweep.SweepConfig(lists=40, pairs=8)
    folders = run_checkpoints(run)
    loads = {2 * (i + 1): (lambda f=folder: load_bare(f)) for i, folder in enumerate(folders)}
    found = measure(loads, config)
    assert [c.step for c in found] == [2, 4, 6]
    for checkpoint, folder in zip(found, folders, strict=True):
        model = load_bare(folder).model
        batch = model.task.held_out(40)
        for rate, done in ((checkpoint.exact, []), (checkpoint.masked, published_mask(model.task))):
            right = int(score(model, batch, interventions=done).exact.sum())
            assert rate is not None
            assert (rate.value, rate.n) == (right / 40, 40)
    assert [c.dropped for c in found] == [None] * 3  # trained without
    rows = sweep_rows(Sweep("it", found))
    assert [r["value"] for r in rows if r["rate"] == "exact"] == [c.exact.value for c in found]
    drawn = sweep_figure(Sweep("it", found))
    assert list(drawn.data[0].y) == [100 * c.exact.value for c in found]


def test_the_sweep_has_the_dropout_that_a_run_was_trained_with(tmp_path: Path) -> None:
    """Shipped: a recipe that gives the loss as it is with dropout, and not as it is measured."""
    names = {step: f"original-blanks@{step}" for step in (1000, 6000)}
    loads = {step: (lambda n=name: load_model(n)) for step, name in names.items()}
    first, last = measure(loads, checkpoint_sweep.SweepConfig(60, 4))
    assert first.dropped.high < first.exact.low  # learned without, not yet with
    assert last.dropped.low > last.exact.value  # and the other way round
    assert "with dropout, as trained" in sweep_figure(Sweep("it", (first, last))).data[1].name


def test_a_model_without_blanks_has_exact_match_alone(tmp_path: Path) -> None:
    small_models(tmp_path)
    loads = {7: lambda: load_bare(tmp_path / "without")}
    (found,) = measure(loads, checkpoint_sweep.SweepConfig(20, 4))
    assert (found.masked, found.follows) == (None, None)
    assert len(sweep_figure(Sweep("it", (found,))).data) == 1


# -- attention at a glance ----------------------------------------------------------------------


def glanced(model: Any, treatment: Treatment = NOTHING) -> AnswerRows:
    run = ListSubject(model, DIGITS, treatment).run()
    return answer_rows(run.attention, model.task)


@pytest.mark.parametrize("do", ["", "published", "zero:0-2"])
def test_a_glance_is_the_attention_that_the_other_pages_show(run: Path, do: str) -> None:
    places, treatment = Places((run.parent,)), Treatment.parse(do)
    opened = open_model(places, str(run))
    whole = results.attention(opened, DIGITS, treatment)
    seen = glanced(opened.model, treatment)
    np.testing.assert_allclose(seen.pattern, whole.pattern[:, :, -4:], atol=1e-6)
    assert list(seen.rows) == whole.row_labels
    assert seen.keys == whole.labels


def test_shares_add_up_region_by_region() -> None:
    model = small_model()
    seen = glanced(model)
    task, start = model.task, model.task.max_len - 4
    np.testing.assert_allclose(seen.shares.sum(-1), 1, atol=1e-5)
    for number, region in enumerate(seen.regions):
        total = 0.0
        for row in range(4):
            for position in task.region(region, 4):
                if position - start < len(seen.keys):
                    total += float(seen.pattern[1, 1, row, position - start])
        assert seen.shares[1, 1, number] == pytest.approx(total / 4, abs=1e-6)
    assert Region.LAST_BLANK in seen.regions
    with pytest.raises(UserError, match="no head 2 in layer 1"):
        glance_figure(seen, 1, 2)


# -- the page -----------------------------------------------------------------------------------


def test_the_slider_moves_the_answer_the_rates_and_the_line(
    start: Callable[..., AppTest], run: Path
) -> None:
    page = start(step="2")
    for step in (2, 6):
        scored(page.select_slider("training_step").set_value(step).run())
        model = load_bare(run / "checkpoints" / f"step-{step:06d}").model
        said = greedy_decode(model, [DIGITS]).lists[0]
        assert page.code[1].value.split() == [SortTask().token_name(token) for token in said]
        assert {shape["x0"] for shape in spec(page, 0)["layout"]["shapes"]} == {step}
        weights = glanced(model).pattern[1, 0]
        drawn = values(spec(page, 1)["data"][1]["z"])
        np.testing.assert_allclose(drawn, weights.flatten(), atol=1e-6)
        exact = score(model, model.task.held_out(results.SAMPLE)).exact.double().mean()
        assert page.metric[0].value == f"{100 * float(exact):.1f} %"
        assert address(page)["step"] == str(step)
    assert len(page.metric) == 2


def test_a_link_opens_the_same_view(start: Callable[..., AppTest], run: Path) -> None:
    page = start(step="4", steps="log", study="docs/studies/quick", layer="0", head="3")
    again = open_page("training", **address(page))
    for one in (page, again):
        assert one.select_slider("training_step").value == 4
        assert one.radio("training_scale").value == "log"
        assert one.multiselect("training_curves").value == [str(run)]
        assert spec(one, 0)["layout"]["xaxis"]["type"] == "log"
    assert spec(page, 1) == spec(again, 1)
    assert address(page) == address(again)


def test_the_nearest_checkpoint_is_opened_and_what_is_no_run_is_said(
    start: Callable[..., AppTest],
) -> None:
    assert start(step="5000").select_slider("training_step").value == 6
    page = start(step="-", run="/etc", curves="/etc/passwd|blanks", study="/etc")
    found = "\n".join(errors(page))
    for words in ("'/etc' is no run with", "'/etc/passwd' is no run whose", "'/etc' is no study"):
        assert words in found
    # The first run of the list stands in, at its last checkpoint: a shipped one, if there is one.
    first = [run_checkpoints(folder)[-1] for folder in shipped_runs().values()][:1]
    last = checkpoint_step(first[0]) if first else 6
    assert page.select_slider("training_step").value == last
    assert page.multiselect("training_curves").value == ["blanks"]


def test_a_checkpoint_opens_in_every_page(start: Callable[..., AppTest], run: Path) -> None:
    page = start(step="4")
    button(page, "Open this checkpoint in every page").click().run()
    wanted = str(run / "checkpoints" / "step-000004")
    assert address(page)["model"] == wanted
    assert "after 4 updates" in page.sidebar.caption[0].value
    assert not page.error


@pytest.mark.slow
def test_all_checkpoints_are_measured_at_the_press_of_a_button(
    start: Callable[..., AppTest], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.clear()
    page = start(step="4")
    assert [chart.key for chart in page.get("plotly_chart")] == [
        *("curves", "checkpoint_attention", "arms", "crash"),
    ]
    run_job(page, "measure checkpoints")
    flags = command(page, "runs.checkpoint_sweep")
    run_command(checkpoint_sweep.EXPERIMENT, [*flags, "--out", str(tmp_path), "--json"])
    table = json.loads(capsys.readouterr().out)["rows"]
    drawn = spec(page, 2)["data"]
    for trace, name in zip(drawn, ("exact", "masked", "follows"), strict=True):
        wanted = [100 * row["value"] for row in table if row["rate"] == name]
        assert values(trace["y"]) == pytest.approx(wanted)
    assert not [b for b in start(step="4").button if b.label.startswith("Measure all 3")]


def test_the_commands_beside_the_figures_make_them_again(
    start: Callable[..., AppTest], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = start(step="2", do="zero:1", layer="1", head="2", study="docs/studies/quick")
    run_command(
        glance.EXPERIMENT, [*command(page, "one_list.glance"), "--out", str(tmp_path), "--json"]
    )
    table = json.loads(capsys.readouterr().out)["rows"]
    weights = [row["value"] for row in table if row["what"] == "attention"]
    assert values(spec(page, 1)["data"][1]["z"]) == pytest.approx(weights)
    run_command(
        training_curves.EXPERIMENT,
        [*command(page, "runs.training_curves"), "--out", str(tmp_path), "--json"],
    )
    table = json.loads(capsys.readouterr().out)["rows"]
    batch = [100 * row["value"] for row in table if row["curve"] == "batch"]
    assert values(spec(page, 0)["data"][0]["y"]) == pytest.approx(batch)
    assert "Intervened on: blank 1: keys and values zero" in "".join(
        m.value.replace("\\", "") for m in page.markdown
    )


def test_without_runs_or_with_another_list_the_page_says_so(
    start: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = start(model="blanks", list="1,2,3,4,5,6")
    assert any("this model takes 1 to 4" in words for words in errors(page))
    page = start(do="zero:4", model="blanks")
    assert not page.error  # this run has as many blanks
    page = start(do="zero:30", model="blanks")
    assert any("Shown as it is: blank 30" in words for words in errors(page))
    monkeypatch.setenv("SORTSCOPE_MODELS", "")
    monkeypatch.chdir(tmp_path)
    page = open_page("training", list=LIST)
    assert not page.error
    if not checkpoints.shipped_runs():
        assert any("No run with checkpoints here" in info.value for info in page.info)
    assert "every point that was logged" in captions(page)


def test_a_shipped_run_is_slid_through_by_its_name(
    shipped: Path, start: Callable[..., AppTest], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = start(run="tiny", curves="tiny", step="4")
    assert not page.error
    flags = command(page, "one_list.glance")
    assert flags[flags.index("--model") + 1] == "tiny@4"
    run_command(glance.EXPERIMENT, [*flags, "--out", str(tmp_path / "out"), "--json"])
    assert json.loads(capsys.readouterr().out)["model_hash"] == load_bare("tiny@4").hash
    button(page, "Open this checkpoint in every page").click().run()
    assert address(page)["model"] == "tiny@4"
    assert "after 4 updates" in page.sidebar.caption[0].value


def test_the_checkpoints_of_the_shipped_run_are_measured_beforehand(
    start: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # away from runs of one's own
    name = "original-blanks"
    page = start(part="sweep", run=name)
    there = shipped_result(checkpoint_sweep.EXPERIMENT, course_subject(name))
    assert there is not None and there.is_current
    folders = run_checkpoints(shipped_runs()[name])
    assert len(folders) == 10 and len({row["hash"] for row in there.rows}) == 10
    drawn = spec(page, 0)["data"]
    for trace, rate in zip(drawn, ("exact", "dropped", "masked", "follows"), strict=True):
        wanted = [100 * row["value"] for row in there.rows if row["rate"] == rate]
        assert values(trace["y"]) == pytest.approx(wanted)
    assert "Computed beforehand" in captions(page)
    assert not [b for b in page.button if b.label.startswith("Measure all")] and not page.error
    sweep = Sweep.of_rows(name, there.rows)
    assert sweep_rows(sweep) == there.rows
    weights = tuple((one.step, one.hash) for one in sweep.checkpoints)
    assert shipped_sweep(name, weights) is not None
    assert shipped_sweep(name, weights[:-1]) is None  # of other checkpoints, not
    assert shipped_sweep("another", weights) is None


# -- a drop -------------------------------------------------------------------------------------


@pytest.fixture
def fallen(run: Path, tmp_path: Path) -> Path:
    """The same run, with a log in which accuracy falls by 60 points at step 5."""
    folder = tmp_path / "fallen"
    shutil.copytree(run, folder)
    log = {1: 0.5, 2: 0.97, 3: 0.96, 5: 0.36, 6: 0.4}
    lines = (json.dumps({"step": step, "accuracy": share}) for step, share in log.items())
    (folder / METRICS).write_text("".join(f"{line}\n" for line in lines))
    return folder


def test_the_drop_that_comes_with_the_package_is_there_at_once(
    start: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # away from runs of one's own
    page = start(part="drop")
    there = shipped_result(crash.EXPERIMENT, run_subject(*crash.SHIPPED))
    assert there is not None and there.is_current
    told = [m.value.replace("\\", "") for m in page.markdown]
    assert f"**{there.words[-1]}**" in told
    assert len(page.get("plotly_chart")) == 1 and not page.error
    # The run that may be opened has no drop, so there is nothing to choose.
    assert "training_drop" not in [box.key for box in page.selectbox]
    assert any(code.value == there.record["command"] for code in page.code)


@pytest.mark.slow
def test_the_drop_of_a_run_of_ones_own_is_taken_apart(
    start: Callable[..., AppTest], fallen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SORTSCOPE_MODELS", str(fallen.parent))
    store.clear()
    page = start(part="drop", drop=str(fallen), model=str(fallen))
    assert page.selectbox(key="training_drop").value == str(fallen)
    assert not page.get("plotly_chart")
    run_job(page, "run crash")
    assert len(page.get("plotly_chart")) == 1 and not page.error
    found = crash.EXPERIMENT.compute(fallen, crash.EXPERIMENT.settings, 0)
    words = crash.EXPERIMENT.outcome(found).words
    assert f"**{words[-1]}**" in [m.value.replace("\\", "") for m in page.markdown]
    refused = start(part="drop", drop="/etc", model=str(fallen))
    assert refused.selectbox(key="training_drop").value != "/etc"


# -- LayerNorms that expect dropout -------------------------------------------------------------


def test_what_dropout_does_to_the_shipped_run_is_there_at_once(
    start: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    there = shipped_result(variance_shift.EXPERIMENT, course_subject("original-blanks"))
    page = start(part="shift", run="original-blanks")
    assert there is not None and not page.error
    assert f"**{there.words[-1]}**" in [m.value.replace("\\", "") for m in page.markdown]
    assert len(page.get("plotly_chart")) == 1 and "Computed beforehand" in captions(page)
    for scale, step in (("linear", 6000), ("log", 1000)):
        layout = spec(start(part="shift", run="original-blanks", steps=scale, step=str(step)), 0)[
            "layout"
        ]
        assert layout["xaxis"].get("type", "linear") == scale
        assert any(
            shape["x0"] == step and shape["yref"] == "y domain" for shape in layout["shapes"]
        )
    assert any(code.value == there.record["command"] for code in page.code)


def test_a_run_without_dropout_says_so(start: Callable[..., AppTest]) -> None:
    page = start(part="shift")
    assert any("Nothing to show here" in one.value for one in page.info)
    assert not page.get("plotly_chart") and not page.error


@pytest.mark.slow
def test_a_run_of_ones_own_is_measured_at_the_press_of_a_button(
    start: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained_run(tmp_path, replace(TINY, norm="post", dropout=0.3))
    monkeypatch.setenv("SORTSCOPE_MODELS", str(tmp_path))
    store.clear()
    page = start(part="shift", run=str(folder), model=str(folder))
    assert not page.get("plotly_chart") and not page.error
    run_job(page, "run runs.variance_shift")
    assert len(page.get("plotly_chart")) == 1 and not page.error
    assert "of 3 checkpoints" in " ".join(m.value for m in page.markdown)
