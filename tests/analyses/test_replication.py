"""The replication's verdicts on studies whose runs we made up, and its figure of the same runs."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from analyses.experiment import main as run_command
from analyses.replication import EXPERIMENT
from analyses.replication.body import figure, summary, to_json
from analyses.replication.figure import COLUMNS
from analyses.replication.ladder import ladder_words
from interp.stats import wilson
from interp.support.errors import UserError
from training.curves import Curve, Curves
from training.studies.comparison import fisher_exact
from training.studies.measures import is_convergent, measure, to_the_end
from training.studies.plans import Plan, load_plan
from training.studies.results import RunResult, StudyResults, export, load_with_others

ROOT = Path(__file__).parent.parent.parent
main = partial(run_command, EXPERIMENT)
PLAN = load_plan("original")


def a_run(
    arm: str,
    seed: int,
    level: float,
    plan: Plan = PLAN,
    diverged_at: int | None = None,
    follow: int | None = None,
) -> RunResult:
    """A run whose accuracy rises to 0.96, and from half-way on is ``level``."""
    config = plan.arm(arm).config
    steps = range(0, config.steps, config.log_every)
    held = range(config.eval_every, config.steps + 1, config.eval_every)

    def at(step: int) -> float:
        return 0.96 * min(1.0, step / 1000) if step < config.steps // 2 else level

    curves = Curves(
        Curve(tuple(steps), tuple(map(at, steps))), Curve(tuple(held), tuple(map(at, held)))
    )
    whole = to_the_end(curves, config, diverged_at)
    batch = measure(whole.batch, plan.measures, config.steps)
    right = wilson(round(level * 4800), 4800).to_dict()
    final = {"exact_match": right, "digit_accuracy": right}
    about = {
        "format": 1,
        "plan": plan.name,
        "arm": arm,
        "seed": seed,
        "thresholds": vars(plan.measures),
        "training": config.to_dict(),
        "model_hash": None,
        "blanks": None,
        "steps": config.steps,
        "diverged_at": diverged_at,
        "convergent": is_convergent(batch, plan.measures, diverged_at),
        "batch": batch.to_dict(),
        "held_out": measure(whole.held_out, plan.measures, config.steps).to_dict(),
        "final": None if diverged_at is not None else final,
        "cost": {"seconds": 1.0},
    }
    if follow is not None:
        about["blanks"] = {"follow_rate": wilson(follow, 100).to_dict(), "exact_match_under": {}}
    return RunResult(arm, seed, curves, about)


def a_study(**levels: list[float]) -> StudyResults:
    """Arms by name (``no_blanks`` for no-blanks), a run for each level."""
    runs = [
        a_run(name.replace("_", "-"), seed, level)
        for name, values in levels.items()
        for seed, level in enumerate(values)
    ]
    return StudyResults(PLAN, tuple(runs))


def published() -> StudyResults:
    return a_study(
        blanks=[0.96, 0.93, *[0.6] * 8], no_blanks=[0.5] * 10, pos_offset=[0.5] * 9 + [0.66]
    )


# -- verdicts -----------------------------------------------------------------------------------


def test_the_published_outcome_shows_no_difference():
    result = EXPERIMENT.compute(published())
    assert {name: o.convergent() for name, o in result.outcomes.items()} == {
        "blanks": 2,
        "no-blanks": 0,
        "pos-offset": 0,
    }
    named = [(c.arm, c.against) for c in result.contrasts]
    assert named == [
        ("no-blanks", "blanks"),
        ("pos-offset", "blanks"),
        ("pos-offset", "no-blanks"),
    ]
    first = result.contrasts[0]
    assert first.comparison.fisher_p == pytest.approx(0.4737, abs=1e-4)
    assert first.fisher_holm == 1.0  # three times 0.47
    assert {c.verdict for c in result.contrasts} == {"no difference shown"}
    lines = summary(result)
    assert "30 ended runs." in lines[0]
    assert "blanks: 2 of 10 convergent = 20.0 % [5.7, 51.0]" in lines[1]
    assert "10 of 10 runs reached 95 % (median at step 990), 8 of them crashed after it" in lines[1]
    assert "0 of 10 and 2 of 10 convergent, Fisher p = 0.474 (corrected 1): no diff" in lines[4]
    # Two runs fall by 46 and 43 points more than their pairs, eight by 10.
    assert "accuracy differs by -16.9 points" in lines[4]
    assert "over 10 common seeds, permutation p = 0.00195" in lines[4]
    assert lines[-1].startswith("At 5 %, 10 runs an arm, lists of up to 48 digits: no difference")


def test_enough_runs_show_what_ten_cannot():
    """The same shares, 20 % and none, of fifty runs an arm."""
    levels = [0.95] * 10 + [0.6] * 40
    result = EXPERIMENT.compute(a_study(blanks=levels, no_blanks=[0.5] * 50))
    (contrast,) = result.contrasts
    assert contrast.comparison.fisher_p == pytest.approx(fisher_exact(10, 50, 0, 50))
    assert contrast.fisher_holm < 0.01
    assert contrast.verdict == "fewer"
    assert "At 5 %, 50 runs an arm" in summary(result)[-1]
    assert "fewer converge: no-blanks against blanks." in summary(result)[-1]
    turned = EXPERIMENT.compute(a_study(blanks=[0.5] * 50, no_blanks=levels))
    assert turned.contrasts[0].verdict == "more"


def test_three_runs_can_show_nothing_whatever_comes_out():
    """The most extreme of outcomes has Fisher p = 2 / 20."""
    result = EXPERIMENT.compute(a_study(blanks=[0.99] * 3, no_blanks=[0.1] * 3))
    (contrast,) = result.contrasts
    assert contrast.comparison.fisher_p == pytest.approx(0.1)
    assert contrast.least_p == pytest.approx(0.1)
    assert contrast.verdict == "too few runs"
    assert "too few runs to show any difference: no-blanks against blanks" in summary(result)[-1]


def test_one_arm_alone_is_no_comparison():
    result = EXPERIMENT.compute(a_study(blanks=[0.99]))
    assert result.contrasts == ()
    assert summary(result)[-1].startswith("No two arms that the plan compares have ended runs")
    assert "1 of 1 convergent = 100.0 % [20.7, 100.0]" in summary(result)[1]
    assert figure(result).data


def test_a_study_without_runs_is_refused():
    with pytest.raises(UserError, match="study original has no runs yet"):
        EXPERIMENT.compute(StudyResults(PLAN, ()))


def test_runs_that_have_not_ended_are_drawn_and_not_counted():
    study = published()
    curves = Curves(Curve((0, 10), (0.0, 0.1)), Curve((), ()))
    more = StudyResults(PLAN, (*study.runs, RunResult("blanks", 10, curves, None)))
    result = EXPERIMENT.compute(more)
    assert result.outcomes["blanks"].n == 10
    assert (
        "30 ended runs; 1 more have not ended, and are drawn but not counted"
        in (summary(result)[0])
    )
    assert to_json(result)["runs"][-1] == {"arm": "blanks", "seed": 10, "ended": False, "step": 10}
    nothing = EXPERIMENT.compute(StudyResults(PLAN, more.runs[-1:]))
    assert nothing.outcomes == {}
    assert any("at step 10, not ended" in words for words in texts(nothing))


def test_a_run_that_diverged_counts_as_not_convergent():
    """Even where it was lost so late that its median is high."""
    runs = [a_run("blanks", 0, 0.99), a_run("blanks", 1, 0.99, diverged_at=5900)]
    assert runs[1].summary["batch"]["median_window"] == 0.99
    result = EXPERIMENT.compute(StudyResults(PLAN, tuple(runs)))
    assert result.outcomes["blanks"].medians == (0.99, 0.0)
    assert "1 of 2 convergent" in summary(result)[1]
    assert summary(result)[1].endswith("1 of them crashed after it; 1 diverged.")
    assert any("seed 1, diverged at step 5,900" in words for words in texts(result))


def test_the_verdict_at_other_thresholds():
    data = to_json(EXPERIMENT.compute(published()))
    counts = dict(
        zip(data["thresholds"], data["arms"]["blanks"]["convergent_by_threshold"], strict=True)
    )
    assert [counts[t] for t in (0.5, 0.6, 0.61, 0.9, 0.93, 0.94, 0.97)] == [10, 10, 2, 2, 2, 1, 0]
    p_values = dict(
        zip(data["thresholds"], data["comparisons"][0]["fisher_p_by_threshold"], strict=True)
    )
    assert p_values[0.55] == pytest.approx(fisher_exact(0, 10, 10, 10))
    assert p_values[0.9] == pytest.approx(0.4737, abs=1e-4)
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_do_convergent_runs_use_what_is_in_their_blanks():
    runs = [a_run("blanks", seed, 0.95, follow=40) for seed in range(4)]
    runs += [a_run("blanks", seed, 0.5, follow=2) for seed in range(4, 8)]
    result = EXPERIMENT.compute(StudyResults(PLAN, (*runs, a_run("no-blanks", 0, 0.9))))
    assert [(run.seed, rate.value) for run, rate in result.content()] == [
        *((seed, 0.4) for seed in range(4)),
        *((seed, 0.02) for seed in range(4, 8)),
    ]
    words = "\n".join(summary(result))
    assert "blanks in 40.0 % [40.0, 40.0] of cases, mean over 4 convergent runs" in words
    assert "blanks in 2.0 % [2.0, 2.0] of cases, mean over 4 other runs" in words
    points = [t for t in figure(result).data if t.name and t.name.startswith("blanks, seed ")]
    assert [(t.x[0], t.y[0]) for t in points[:1] + points[-1:]] == [(95.0, 40.0), (50.0, 2.0)]
    assert points[0].marker.symbol == "circle"  # filled: convergent
    assert points[-1].marker.symbol == "circle-open"


# -- figure -------------------------------------------------------------------------------------


def texts(result) -> list[str]:
    return [a.text for a in figure(result).layout.annotations]


def test_every_curve_is_drawn_raw():
    study = published()
    fig = figure(EXPERIMENT.compute(study))
    lines = [t for t in fig.data if t.mode == "lines" and len(t.x) == 600]
    assert len(lines) == 30
    for trace, run in zip(lines, study.runs, strict=True):
        assert tuple(trace.x) == run.curves.batch.steps
        assert tuple(trace.y) == run.curves.batch.values
    dots = [t for t in fig.data if t.mode == "markers" and len(t.x) == 60]
    assert [tuple(t.y) for t in dots] == [run.curves.held_out.values for run in study.runs]


def test_convergent_runs_are_marked_in_more_than_colour():
    study = published()
    words = texts(EXPERIMENT.compute(study))
    assert [t for t in words if "convergent:" in t] == [
        "<b>★ seed 0, convergent: 0.96</b>",
        "<b>★ seed 1, convergent: 0.93</b>",
    ]
    lines = [
        t for t in figure(EXPERIMENT.compute(study)).data if t.mode == "lines" and len(t.x) == 600
    ]
    widths = [t.line.width for t in lines]
    assert min(widths[:2]) > max(widths[2:])
    assert lines[0].line.color != lines[2].line.color


def test_curves_stand_two_by_five_and_no_more_than_ten():
    fig = figure(EXPERIMENT.compute(a_study(blanks=[0.5] * 13, no_blanks=[0.6] * 2)))
    lines = [t for t in fig.data if t.mode == "lines" and len(t.x) == 600]
    assert len(lines) == 12
    lefts = [fig.layout[t.xaxis.replace("x", "xaxis", 1)].domain[0] for t in lines]
    assert len({round(left, 6) for left in lefts}) == COLUMNS
    assert lefts[0] == lefts[5] == lefts[10]
    assert any("(the first 10 of 13 runs)" in t.text for t in fig.layout.annotations)


def test_shares_and_medians_are_those_of_the_arms():
    result = EXPERIMENT.compute(published())
    fig = figure(result)
    share = next(t for t in fig.data if t.text == ("2/10",))
    assert (share.y[0], share.customdata[0]) == (20.0, "20.0 % [5.7, 51.0]")
    medians = [t for t in fig.data if t.hovertemplate and ", seed %{customdata}" in t.hovertemplate]
    assert list(medians[0].y) == pytest.approx([96, 93, *[60] * 8])
    final = medians[-3]  # without the test of blanks: the last weights, arm by arm
    assert list(final.y) == pytest.approx([96, 93, *[60] * 8])


# -- the ladder ---------------------------------------------------------------------------------


def small() -> StudyResults:
    """The plan ``quick``, of whose arms three were published; six runs of each."""
    plan = load_plan("quick")
    levels = {"blanks": 0.95, "no-blanks": 0.85, "bottleneck": 0.5}
    runs = [
        a_run(arm, seed, level, plan=plan) for arm, level in levels.items() for seed in range(6)
    ]
    return StudyResults(plan, tuple(runs))


def test_the_ladder_has_the_published_arms_from_small_to_large():
    large = published()
    result = EXPERIMENT.compute(replace(large, beside=(small(),)))
    quick, original = result.rungs
    assert (quick.study, quick.digits, original.digits) == ("quick", 10, 48)
    assert list(quick.outcomes) == ["blanks", "no-blanks"]  # bottleneck was not published
    assert [o.convergent() for o in quick.outcomes.values()] == [6, 0]
    assert [o.convergent() for o in original.outcomes.values()] == [2, 0, 0]
    assert quick.crashes("blanks").value == 0
    words = "\n".join(ladder_words(result.rungs))
    p = fisher_exact(6, 6, 0, 6)
    assert f"up to 10 digits Fisher p = {p:.2g}, accuracy with blanks differs by 10.0" in words
    assert "up to 48 digits Fisher p = 0.47" in words
    assert to_json(result)["ladder"][0]["arms"]["blanks"]["convergent"] == 6
    shares = [
        t for t in figure(result).data if t.hovertemplate == "blanks: %{customdata}<extra></extra>"
    ]
    assert [list(t.y) for t in shares] == [[100.0, 20.0, 20.0]]  # quick, ours, published


def test_too_few_runs_extrapolate_nothing():
    few = a_study(blanks=[0.5], no_blanks=[0.5], pos_offset=[0.5])
    quick = small()
    fewer = StudyResults(quick.plan, tuple(run for run in quick.runs if run.seed < 4))
    words = ladder_words(EXPERIMENT.compute(replace(few, beside=(fewer,))).rungs)
    assert "nothing can be extrapolated" in words[-1]


def test_one_study_is_no_ladder():
    settings = replace(EXPERIMENT.settings, alone=True)
    assert EXPERIMENT.compute(published()).rungs == ()
    assert EXPERIMENT.compute(replace(published(), beside=(small(),)), settings).rungs == ()


def test_studies_in_the_same_folder_are_found_and_damaged_ones_passed_over(tmp_path, capsys):
    export(published(), tmp_path / "large")
    export(small(), tmp_path / "small")
    export(small(), tmp_path / "damaged")
    (tmp_path / "damaged" / "blanks.jsonl").write_text("{}\n")
    (tmp_path / "no study").mkdir()
    found = load_with_others(tmp_path / "large")
    assert [study.plan.name for study in found.beside] == ["quick"]
    main(["--study", str(tmp_path / "large"), "--out", str(tmp_path / "out")])
    assert "The ladder, from small to large" in capsys.readouterr().out


# -- command ------------------------------------------------------------------------------------


def test_the_command_redraws_from_the_compact_results(tmp_path, capsys):
    study = published()
    export(study, tmp_path / "small")
    argv = ["--study", str(tmp_path / "small"), "--out", str(tmp_path / "out")]
    main(argv)
    expected = summary(EXPERIMENT.compute(study))
    assert capsys.readouterr().out.splitlines() == expected
    folder = tmp_path / "out" / "replication" / "original"
    assert sorted(p.name for p in folder.iterdir()) == [
        "figure.html",
        "manifest.json",
        "result.json",
    ]
    main([*argv, "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "result.json").read_text())
    assert printed["finding"] == expected
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["study"] == str(tmp_path / "small")


def test_what_is_no_study_is_one_line(tmp_path, capsys, status):
    assert status(main, ["--study", str(tmp_path), "--out", str(tmp_path)]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1
    assert f"{tmp_path} is not the folder of a study: it holds no plan.toml" in err[0]
    export(published(), tmp_path)
    (tmp_path / "blanks.jsonl").write_text("{}\n")
    assert status(main, ["--study", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "blanks.jsonl, line 1 is not an exported run" in capsys.readouterr().err


def test_help_does_not_load_torch():
    code = (
        "import sys\nfrom analyses.experiment import main\n"
        "from analyses.replication import EXPERIMENT\n"
        "try:\n    main(EXPERIMENT, ['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
