"""Plans: the shipped ones against the issue's list, and every mistake in one line."""

from dataclasses import replace

import pytest

from interp.support.errors import UserError
from interp.task import SortTask
from training.recipes import ORIGINAL, STABLE
from training.studies.plans import load_plan, parse_plan, shipped_plans

MEASURES = """
[measures]
convergent_at = 0.9
convergent_steps = 10
last_share = 0.1
reached = 0.95
crash_drop = 0.2
final_lists = 30
"""
PLAN = f"""
name = "tiny"
description = "Two arms."
[base]
max_len = 3
lr = 0.01
[[arm]]
name = "blanks"
words = "with"
[[arm]]
name = "no-blanks"
no_blanks = true
lr = 0.02
{MEASURES}
"""


def test_a_plan_is_read_as_it_is_written():
    plan = parse_plan(PLAN)
    assert (plan.name, plan.description, plan.text) == ("tiny", "Two arms.", PLAN)
    blanks, none = plan.arms
    assert (blanks.name, blanks.words, blanks.against) == ("blanks", "with", ())
    assert blanks.config == replace(STABLE, max_len=3, lr=0.01)
    assert none.config == replace(STABLE, max_len=3, lr=0.02, no_blanks=True)
    assert none.against == ("blanks",)
    assert none.seeded(7) == replace(none.config, seed=7)
    assert vars(plan.measures) == {
        "convergent_at": 0.9,
        "convergent_steps": 10,
        "last_share": 0.1,
        "reached": 0.95,
        "crash_drop": 0.2,
        "final_lists": 30,
    }


def test_a_plan_says_task_and_older_ones_said_rule():
    """Also when the arm's word is not the one of what holds for every arm."""
    for base, own in (("task", "task"), ("rule", "rule"), ("task", "rule"), ("rule", "task")):
        text = PLAN.replace("[base]", f'[base]\n{base} = "reverse"')
        text = text.replace("no_blanks = true", f'no_blanks = true\n{own} = "unique"')
        assert [arm.config.task for arm in parse_plan(text).arms] == ["reverse", "unique"]
    both = PLAN.replace("[base]", '[base]\ntask = "sort"\nrule = "sort"')
    with pytest.raises(UserError, match="rule is an older word for task"):
        parse_plan(both)


# -- what ships ---------------------------------------------------------------------------------


def test_original_is_the_published_experiment():
    plan = load_plan("original")
    assert {arm.name: arm.config for arm in plan.arms} == {
        "blanks": ORIGINAL,
        "no-blanks": replace(ORIGINAL, no_blanks=True),
        "pos-offset": replace(ORIGINAL, no_blanks=True, pos_offset=True),
    }
    assert plan.measures.convergent_steps == 1000
    assert plan.measures.convergent_at == 0.9


def test_stable_has_the_same_arms():
    published = load_plan("original").arms
    for arm, other in zip(load_plan("stable").arms, published, strict=True):
        assert (arm.name, arm.config.sort_task()) == (other.name, other.config.sort_task())
        assert arm.config == replace(
            STABLE, no_blanks=other.config.no_blanks, pos_offset=other.config.pos_offset
        )


def test_why_changes_one_thing_at_a_time():
    """Each arm differs from one it is compared with in the one field that it is about."""
    plan = load_plan("why")
    changed = {}
    for arm in plan.arms:
        ours = arm.config.learned()
        differences = [
            {key for key, value in plan.arm(name).config.learned().items() if value != ours[key]}
            for name in arm.against
        ]
        changed[arm.name] = min(differences, key=len, default=set())
    stability = {
        "decay": "schedule",
        "warmup": "warmup_steps",
        "clipping": "clip_norm",
        "pre-norm": "norm",
        "no-dropout": "dropout",
    }
    expected = {f"blanks-{name}": {field} for name, field in stability.items()}
    expected |= {f"no-blanks-{name}": {field} for name, field in stability.items()}
    expected |= {
        "blanks": set(),
        "no-blanks": {"no_blanks"},
        "no-blanks-no-mlp-dropout": {"drop_mlp_out"},
        "blanks-masked": {"sight"},
        "sink-only": {"sight"},
        "bottleneck": {"sight"},
        "1-blank": {"n_blanks"},
        "4-blanks": {"n_blanks"},
        "10-blanks": {"n_blanks"},
        "24-blanks": {"n_blanks"},
        "no-blank-loss": {"blank_loss"},
        "no-blanks-compute": {"batch_size"},
    }
    assert changed == expected
    assert plan.arm("blanks").config == ORIGINAL
    blanks = [
        plan.arm(f"{n}-blank{'s' * (n > 1)}").config.sort_task().n_blanks for n in (1, 4, 10, 24)
    ]
    assert blanks == [1, 4, 10, 24]
    sights = [plan.arm(name).config.sight for name in ("blanks-masked", "sink-only", "bottleneck")]
    assert sights == ["outputs-not-blanks", "blanks-not-digits", "outputs-not-digits"]


def test_matched_compute_is_matched():
    plan = load_plan("why")
    batches = [plan.arm(name).config.batch_size for name in ("no-blanks-compute", "blanks")]
    positions = [SortTask(48, n).n_ctx for n in (0, 49)]
    work = [batch * n for batch, n in zip(batches, positions, strict=True)]
    assert work[0] == pytest.approx(work[1], rel=0.002)


@pytest.mark.parametrize("name", shipped_plans())
def test_every_shipped_plan_can_be_trained(name):
    plan = load_plan(name)
    assert plan.name == name
    assert plan.description.strip()
    for arm in plan.arms:
        config = arm.seeded(3)
        assert config.steps % config.eval_every == 0
        assert plan.measures.convergent_steps <= config.steps
        assert plan.measures.final_lists % config.max_len == 0  # as many of every length
        assert arm.words.strip()
    assert plan.difference(load_plan(name)) is None


def test_quick_is_short():
    """Ten seeds of an arm in about ten minutes on two cores."""
    for arm in load_plan("quick").arms:
        assert arm.config.max_len == 10
        assert arm.config.batch_size * arm.config.steps <= 150_000
        assert arm.config.norm == "post"


# -- changes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("lr = 0.01", "lr = 0.03", "arm blanks: lr is 0.01, not 0.03"),
        ("lr = 0.02", "lr = 0.03", "arm no-blanks: lr is 0.02, not 0.03"),
        (
            "convergent_at = 0.9",
            "convergent_at = 0.8",
            "measures: convergent_at is 0.9, not 0.8",
        ),
        ('"tiny"', '"small"', "name is 'tiny', not 'small'"),
        (
            'name = "blanks"',
            'name = "more"',
            "arms are blanks, no-blanks, not more, no-blanks",
        ),
        (
            "no_blanks = true",
            "no_blanks = true\nagainst = []",
            "arm no-blanks: against is ('blanks',), not ()",
        ),
        ('"Two arms."', '"Two arms, no more."', None),
        ('words = "with"', 'words = "with blanks"', None),
        ("max_len = 3", "max_len = 3\nmicro_batch = 5", None),
    ],
)
def test_the_first_difference_is_named(old, new, difference):
    assert old in PLAN
    assert parse_plan(PLAN).difference(parse_plan(PLAN.replace(old, new))) == difference


# -- mistakes -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "lr = 0.01",
            "speed = 3",
            "arm blanks has an unknown key 'speed'; allowed: recipe, max_",
        ),
        ("lr = 0.02", "learning = 3", "arm no-blanks has an unknown key 'learning'; allowed: "),
        ('"Two arms."', '"a"\nseeds = 3', "a plan has an unknown key 'seeds'; allowed: name, "),
        ("lr = 0.01", "seed = 3", "seed is not part of a plan; it is set by --seeds"),
        ("lr = 0.01", "threads = 3", "threads is not part of a plan; it is set by --threads"),
        ("lr = 0.01", "lr = 0.0", "arm blanks: --lr must be above 0, not 0.0"),
        ("lr = 0.01", 'lr = "fast"', "arm blanks: lr must be of type float, not 'fast'"),
        ("max_len = 3", "max_len = 3.5", "arm blanks: max_len must be of type int, not 3.5"),
        ("max_len = 3", "max_len = true", "arm blanks: max_len must be of type int, not True"),
        ("no_blanks = true", "no_blanks = 1", "no_blanks must be of type bool, not 1"),
        ("max_len = 3", 'recipe = "secret"', "recipe must be one of stable, original"),
        ("lr = 0.01", 'norm = "middle"', "arm blanks: norm must be one of pre, post, none"),
        ("no_blanks = true", "pos_offset = true", "arm no-blanks: --pos-offset stands in for"),
        ('name = "no-blanks"', 'name = "blanks"', "two arms are called 'blanks'"),
        ('name = "blanks"', 'name = "My Arm"', "an arm needs a name of small letters"),
        ('name = "tiny"', 'name = "../tiny"', "a plan needs a name of small letters"),
        ('name = "tiny"', "", "a plan needs a name of small letters"),
        (
            "lr = 0.02",
            'against = ["others"]',
            "arm no-blanks: against must list arms above it (blanks), not ['others']",
        ),
        ("convergent_at = 0.9", "", "[measures] lacks convergent_at; it states convergent_at, "),
        ("convergent_at = 0.9", "convergent_at = 90", "convergent_at must be above 0 and at most"),
        ("final_lists = 30", "final_lists = 0", "final_lists must be at least 1, not 0"),
        (
            "final_lists = 30",
            "final_lists = 30\nlists = 3",
            "[measures] has an unknown key 'lists'",
        ),
        ("[[arm]]", "[arms]", "plan "),
        ("[[arm]]", "[[arm]]\nagainst = [[1]]", "against must list arms above it"),
        ("[[arm]]", "[[arm]]\nagainst = [{a = 1}]", "against must list arms above it"),
        ("[base]", "base = 3\n[other]", "a plan has an unknown key 'other'"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(old, new, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PLAN.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        load_plan(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plan_without_arms_or_that_is_not_there():
    with pytest.raises(UserError, match=r"at least one \[\[arm\]\]"):
        parse_plan('name = "a"')
    with pytest.raises(
        UserError, match=r"no plan 'fast': give a shipped one \(average, half, original"
    ):
        load_plan("fast")
    with pytest.raises(UserError, match="has no arm 'x'; it has blanks, no-blanks"):
        parse_plan(PLAN).arm("x")
