"""What a study may declare, and what it refuses."""

from dataclasses import dataclass

import pytest

from allyouneed.errors import UserError
from allyouneed.lab import Study, grid
from allyouneed.lab.study import seeds_of


@dataclass(frozen=True)
class Scale:
    steps: int = 10
    rate: float = 0.5
    lengths: tuple[int, ...] = (1, 2)
    fast: bool = False
    minutes: float = 1.0


@dataclass(frozen=True)
class Block:
    size: int = 1


def make_study(arm=("a", "b"), **options):
    study = Study(paper="p", scales={"smoke": Scale(), "laptop": Scale(steps=99)})

    @study.trial(arm=arm, **options)
    def train(arm, seed, scale, run):
        return {"x": 1.0}

    return study


def test_a_grid_is_every_combination_of_its_factors():
    study = make_study(grid(norm=["pre", "post"], block={"small": Block(1), "large": Block(9)}))
    arms = study.trials["train"].arms
    assert list(arms) == [
        "norm=pre, block=small",
        "norm=pre, block=large",
        "norm=post, block=small",
        "norm=post, block=large",
    ]
    assert arms["norm=post, block=large"].value.block == Block(9)
    assert arms["norm=post, block=large"].factors == {"norm": "post", "block": "large"}


def test_a_users_arm_joins_the_factor_that_holds_objects():
    study = make_study(grid(norm=["pre", "post"], block={"small": Block(1)})).with_arm("mine", Block(7))
    arms = study.trials["train"].arms
    assert len(arms) == 4
    assert arms["norm=post, block=mine"].value.block == Block(7)


def test_a_users_arm_leaves_the_study_itself_alone():
    study = make_study({"small": Block(1)})
    assert set(study.with_arm("mine", Block(2)).trials["train"].arms) == {"small", "mine"}
    assert set(study.trials["train"].arms) == {"small"}


@pytest.mark.parametrize(("arm", "message"), [(("a", "b"), "not blocks"), ({"mine": Block()}, "an arm 'mine' already")])
def test_a_users_arm_that_fits_nowhere_is_refused(arm, message):
    with pytest.raises(UserError, match=message):
        make_study(arm).with_arm("mine", Block())


def test_set_reads_values_as_the_type_they_replace():
    scale = make_study().scale("laptop", {"steps": "7", "rate": "0.25", "lengths": "3,4", "fast": "true"})
    assert scale == Scale(steps=7, rate=0.25, lengths=(3, 4), fast=True)
    with pytest.raises(UserError, match="--set fast=maybe"):
        make_study().scale("laptop", {"fast": "maybe"})


def test_seeds_are_five_unless_the_scale_says_otherwise():
    assert [seeds_of(name, Scale()) for name in ("smoke", "laptop", "gpu")] == [2, 5, 5]


def test_a_claim_without_words_or_trial_is_refused():
    study = make_study()
    with pytest.raises(ValueError, match="needs a docstring"):

        @study.claim("C1", paper="-")
        def silent(m):
            return m

    with pytest.raises(ValueError, match="is not a trial"):

        @study.claim("C1", paper="-", trial=make_study)
        def elsewhere(m):
            """Something."""

    with pytest.raises(ValueError, match="before its claims"):

        @Study(paper="q", scales={}).claim("C1", paper="-")
        def early(m):
            """Something."""


def test_names_may_not_be_declared_twice():
    study = make_study()
    study.not_run("C1", "Something.", "-", "no time")
    with pytest.raises(ValueError, match="declares the claim 'C1' twice"):
        study.not_run("C1", "Something.", "-", "no time")


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: make_study(arm=[]), "at least one arm"),
        (lambda: make_study(tune={"lr": [1, 2]}), 'needs "on"'),
        (lambda: Study(paper="p", scales={"laptop": 3}), "must be a dataclass with `minutes`"),
        (lambda: Study(paper="p", scales={}).timing(arm=["a"], rounds=3), "at least 7 rounds, *|got 3"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused_when_it_is_declared(declare, message):
    with pytest.raises(ValueError, match=message):
        declare()
