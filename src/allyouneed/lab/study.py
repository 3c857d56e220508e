"""A study: the experiment of one paper as trials, gates, claims and figures.

A study file makes one `Study`, hangs functions on it by decorators, and nothing else happens until
`allyouneed run` (or `allyouneed.run`) asks the engine for it. This module holds declarations only.
"""

import copy
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from allyouneed.errors import UserError
from allyouneed.lab import scales as sizes

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_SEEDS = {"smoke": 2}


@dataclass(frozen=True)
class Arm:
    """One thing that is compared: its name in claims and tables, and the value a trial receives."""

    name: str
    value: Any
    factors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """Every combination of some named factors; made by `grid`."""

    factors: dict[str, dict[str, Any]]

    def arms(self) -> list[Arm]:
        """One arm a combination; the trial receives an object with one attribute a factor."""
        names = list(self.factors)
        return [
            Arm(
                name=", ".join(f"{factor}={label}" for factor, (label, _) in zip(names, choice)),
                value=SimpleNamespace(**{factor: value for factor, (_, value) in zip(names, choice)}),
                factors={factor: label for factor, (label, _) in zip(names, choice)},
            )
            for choice in itertools.product(*(options.items() for options in self.factors.values()))
        ]


def grid(**factors: Sequence[Any] | Mapping[str, Any]) -> Grid:
    """Arms that are all combinations of named factors: `grid(norm=["pre", "post"], lr=[1e-3, 1e-2])`.

    A factor is a list (each value is its own name) or a mapping from names to values.
    """
    return Grid({name: _named(values) for name, values in factors.items()})


@dataclass(frozen=True)
class Tune:
    """What the engine searches for each arm, on seeds that no claim uses: the least mean of `on`.

    `at` are values of the scale that a try takes in place of the study's own, such as fewer steps. What the
    user sets by `--set` goes before them.
    """

    on: str
    values: dict[str, list[Any]]
    seeds: int = 1
    at: dict[str, Any] = field(default_factory=dict)

    def candidates(self) -> list[dict[str, Any]]:
        """Every combination of the values to try."""
        return [dict(zip(self.values, choice)) for choice in itertools.product(*self.values.values())]

    def middle(self) -> dict[str, Any]:
        """The middle of the grid: what smoke runs take, where a search would cost more than it tells."""
        return {name: values[len(values) // 2] for name, values in self.values.items()}


@dataclass(frozen=True)
class Trial:
    """A trial function with its arms. `contenders` marks a timing: see `Study.timing`."""

    name: str
    function: Callable[..., Any]
    arms: dict[str, Arm]
    grid: Grid | None = None
    tune: Tune | None = None
    patience: float = 600.0
    shared_artifacts: bool = False
    rounds: int = 0
    memory: bool = False

    @property
    def exclusive(self) -> bool:
        """Whether nothing may run beside it."""
        return self.rounds > 0


@dataclass(frozen=True)
class Gate:
    """What must hold of a trial's arms before any claim on them is judged."""

    name: str
    function: Callable[..., Any]
    baseline: str
    trial: str


@dataclass(frozen=True)
class Claim:
    """One falsifiable statement, with the paper's own figure beside it."""

    id: str
    statement: str
    paper: str
    trials: tuple[str, ...] = ()
    function: Callable[..., Any] | None = None
    weaker_form: str | None = None
    not_run: str | None = None
    trend: bool = False


class Study:
    """The experiment of a paper.

    `paper` is the paper's slug; `scales` maps scale names to small frozen dataclasses with at least
    `minutes` (expected, on the hardware the scale is meant for) and, if not 5, `seeds`; `smaller` lists
    what makes smaller models, for trends. `data` names the corpus that `run.data` opens unless the user
    says `--data`; a scale `laptop-multi30k` takes the place of `laptop` where they name multi30k, `laptop-*`
    where they name any data that are not the study's own and have no scale of their own. Other data are of the kind
    of the study's own, unless `kind` names another (see `data.KINDS`). `inputs` names what else the user may give
    and says what it is: `inputs={"model": "a folder with a checkpoint"}` makes `--model` an option.
    """

    def __init__(
        self,
        paper: str,
        scales: Mapping[str, Any],
        data: str | None = None,
        kind: str | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", paper):
            raise ValueError(f"a study's name is made of letters, digits, '_', '-' and '.', got {paper!r}")
        self.paper = paper
        self.scales = dict(scales)
        self.data = data
        self.kind = kind
        self.inputs = dict(inputs or {})
        self.trials: dict[str, Trial] = {}
        self.gates: list[Gate] = []
        self.claims: dict[str, Claim] = {}
        self.figures: dict[str, Callable[..., Any]] = {}
        self.file: Path | None = None
        for name, scale in self.scales.items():
            sizes.check(name, scale)

    def trial(
        self,
        arm: Sequence[Any] | Mapping[str, Any] | Grid = ("run",),
        tune: Mapping[str, Any] | None = None,
        patience: float = 600.0,
        shared_artifacts: bool = False,
    ) -> Callable[[F], F]:
        """Declare `f(arm, seed, scale, run, **tuned) -> measurements`, run once for each arm and seed.

        `arm` is a list of names, a mapping from names to the values the function receives, or a
        `grid`. `tune={"lr": [...], "on": "tuning_loss"}` has the engine choose `lr` for every arm;
        `"at": {"max_steps": 100}` lets the tries take less time than the trials.
        A trial that logs nothing for `patience` seconds counts as hanging. With `shared_artifacts`
        all seeds share one copy of each artifact, and the report says so.
        """

        def declare(function: F) -> F:
            self._add(
                Trial(
                    name=function.__name__,
                    function=function,
                    arms=_arms(arm),
                    grid=arm if isinstance(arm, Grid) else None,
                    tune=_tune(tune) if tune else None,
                    patience=patience,
                    shared_artifacts=shared_artifacts,
                )
            )
            return function

        return declare

    def timing(
        self, arm: Sequence[Any] | Mapping[str, Any], rounds: int = 7, memory: bool = False, patience: float = 600.0
    ) -> Callable[[F], F]:
        """Declare `f(arm, scale, run) -> callable` whose calls are timed: one contender an arm.

        The engine builds every contender, then calls them in turn, `rounds` times after a warm-up,
        while nothing else of the study runs. Measurements: `seconds` for each round and, with
        `memory`, `peak_bytes`: what a fresh process a round needed beyond what it had before building.
        """
        if rounds < 7:
            raise ValueError(f"a timing needs at least 7 rounds to say anything, got {rounds}")

        def declare(function: F) -> F:
            self._add(Trial(function.__name__, function, _arms(arm), patience=patience, rounds=rounds, memory=memory))
            return function

        return declare

    def gate(self, baseline: str, trial: Callable[..., Any] | None = None) -> Callable[[F], F]:
        """Declare `f(m) -> m.below(...)` or `m.above(...)`: what every run of `trial` must beat.

        `baseline` says in words what the bar is: "a byte trigram model of the training text".
        """

        def declare(function: F) -> F:
            self.gates.append(Gate(function.__name__, function, baseline, self._names(trial)[0]))
            return function

        return declare

    def claim(
        self,
        id: str,
        paper: str,
        trial: Callable[..., Any] | tuple[Callable[..., Any], ...] | None = None,
        weaker_form: str | None = None,
        trend: bool = False,
    ) -> Callable[[F], F]:
        """Declare a claim: its docstring is the statement, its result the evidence (`m.less(...)`).

        `paper` is the paper's own figure, `trial` the trial function(s) it reads (default: the
        study's first), `weaker_form` why it compares something weaker than the paper does. With
        `trend` its effect is also measured at the scale's smaller sizes.
        """

        def declare(function: F) -> F:
            statement = " ".join((function.__doc__ or "").split())
            if not statement:
                raise ValueError(f"claim {id} of {self.paper!r} needs a docstring: it is the statement that is judged")
            names = self._names(trial)
            if trend and any(self.trials[name].exclusive for name in names):
                raise ValueError(f"claim {id} of {self.paper!r} reads a timing, and a trend pairs seeds")
            self._add_claim(Claim(id, statement, paper, names, function, weaker_form, trend=trend))
            return function

        return declare

    def not_run(self, id: str, statement: str, paper: str, reason: str) -> None:
        """List a claim of the paper that this study does not test, and why."""
        self._add_claim(Claim(id, statement, paper, not_run=reason))

    def figure(self, function: F) -> F:
        """Declare `f(m) -> matplotlib Figure`; its docstring is the caption. Drawn once light, once dark.

        `m` holds the study's first trial; `m.of("name")` the others.
        """
        self.figures[function.__name__] = function
        return function

    def scale(self, name: str, overrides: Mapping[str, str] | None = None, data: str | None = None) -> Any:
        """The named scale for that data, with values from `--set name=value`, read as the type they replace.

        Raises UserError for an unknown scale, an unknown name or a value of the wrong type.
        """
        askable = sizes.askable(self.scales)
        if name not in askable:
            raise UserError(f"{self.paper} has no scale {name!r}; it has {', '.join(askable)}")
        scale = sizes.find(self.scales, name, data, self.data)
        known = [f.name for f in fields(scale) if f.name != "smaller"]
        for key in overrides or {}:
            if key not in known:
                raise UserError(f"scale {name!r} of {self.paper} has no value {key!r}; it has {', '.join(known)}")
        return replace(scale, **{key: _read(getattr(scale, key), key, text) for key, text in (overrides or {}).items()})

    def with_arm(self, name: str, value: Any) -> "Study":
        """A copy of the study with a user's own arm in every trial whose arms are objects.

        Raises UserError if no trial of the study takes objects, or the name is taken.
        """
        widened = {trial.name: _with(trial, name, value) for trial in self.trials.values()}
        if not any(widened.values()):
            raise UserError(f"the arms of {self.paper} are not blocks that another could stand beside")
        study = copy.copy(self)
        study.trials = {
            trial: replace(self.trials[trial], arms=arms) if arms else self.trials[trial]
            for trial, arms in widened.items()
        }
        return study

    def _add(self, trial: Trial) -> None:
        if trial.name in self.trials:
            raise ValueError(f"{self.paper!r} declares the trial {trial.name!r} twice")
        for name, scale in self.scales.items():
            unknown = [
                value for value in (trial.tune.at if trial.tune else ()) if value not in sizes.scale_values(scale)
            ]
            if unknown:
                raise ValueError(
                    f"tries of {trial.name!r} are at another {unknown[0]!r}, which scale {name!r} has not got"
                )
        self.trials[trial.name] = trial

    def _add_claim(self, claim: Claim) -> None:
        if claim.id in self.claims:
            raise ValueError(f"{self.paper!r} declares the claim {claim.id!r} twice")
        self.claims[claim.id] = claim

    def _names(self, trial: Callable[..., Any] | tuple[Callable[..., Any], ...] | None) -> tuple[str, ...]:
        if trial is None:
            if not self.trials:
                raise ValueError(f"declare a trial of {self.paper!r} before its claims and gates")
            return (next(iter(self.trials)),)
        functions = trial if isinstance(trial, tuple) else (trial,)
        for function in functions:
            if function.__name__ not in self.trials:
                raise ValueError(f"{function.__name__!r} is not a trial of {self.paper!r}")
        return tuple(function.__name__ for function in functions)


def seeds_of(scale_name: str, scale: Any) -> int:
    """How many seeds a scale runs unless the user says otherwise: its own `seeds`, else 5 (smoke: 2)."""
    return getattr(scale, "seeds", DEFAULT_SEEDS.get(scale_name, 5))


def _named(values: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    return dict(values) if isinstance(values, Mapping) else {str(value): value for value in values}


def _arms(arm: Sequence[Any] | Mapping[str, Any] | Grid) -> dict[str, Arm]:
    arms = arm.arms() if isinstance(arm, Grid) else [Arm(name, value) for name, value in _named(arm).items()]
    if not arms:
        raise ValueError("a trial needs at least one arm")
    return {a.name: a for a in arms}


def _with(trial: Trial, name: str, value: Any) -> dict[str, Arm] | None:
    """The trial's arms and the new one, or None where arms are plain names and numbers."""
    if trial.grid is not None:
        for factor, options in trial.grid.factors.items():
            if _takes_objects(options):
                _refuse_unfit(name, value, options)
                return _arms(Grid(trial.grid.factors | {factor: options | {name: value}}))
        return None
    options = {arm.name: arm.value for arm in trial.arms.values()}
    if not _takes_objects(options):
        return None
    _refuse_unfit(name, value, options)
    return trial.arms | {name: Arm(name, value)}


def _takes_objects(options: Mapping[str, Any]) -> bool:
    return any(not isinstance(value, str | int | float | bool | None) for value in options.values())


def _refuse_unfit(name: str, value: Any, options: Mapping[str, Any]) -> None:
    """Refuse a name that is taken, and a value without the methods that all other arms have."""
    if name in options:
        raise UserError(f"there is an arm {name!r} already; the arms are {', '.join(options)}")
    methods = set.intersection(*(_methods(option) for option in options.values()))
    missing = sorted(methods - _methods(value))
    if missing:
        kind = type(value).__name__
        raise UserError(f"--arm {name}: {kind} has no {', '.join(missing)}, which all other arms have")


def _methods(value: Any) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_") and callable(getattr(value, name))}


def _tune(tune: Mapping[str, Any]) -> Tune:
    if "on" not in tune:
        raise ValueError('tune needs "on": the measurement on the tune split whose least value is best')
    values = {name: list(options) for name, options in tune.items() if name not in ("on", "seeds", "at")}
    return Tune(on=tune["on"], values=values, seeds=tune.get("seeds", 1), at=dict(tune.get("at", {})))


def _read(old: Any, name: str, text: str) -> Any:
    """A command line's text as the type of the value it replaces."""
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(old, tuple):
            kind = type(old[0]) if old else str
            return tuple(kind(part) for part in text.split(",") if part)
        return type(old)(text)
    except (KeyError, ValueError):
        raise UserError(f"--set {name}={text}: expected something like {old!r}") from None
