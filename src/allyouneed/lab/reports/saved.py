"""An `Outcome` as files: all of it as measurements.json, which can be read back, and the numbers as CSV."""

import csv
import dataclasses
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from allyouneed.data.cache import atomic_write
from allyouneed.errors import UserError
from allyouneed.lab.judging.claims import Judgement
from allyouneed.lab.judging.evidence import GateResult
from allyouneed.lab.judging.measurements import Measurements
from allyouneed.lab.outcome import Failure, Outcome, Tuned
from allyouneed.lab.reports.summary import reference
from allyouneed.lab.study import Study
from allyouneed.lab.trials.result import TrialResult, from_json, to_json

FILE = "measurements.json"
_PLAIN = ("scale_name", "overrides", "seeds", "extended_from", "device", "digests", "claim_digests", "packages")
_ALSO_PLAIN = ("machine", "ran", "reused", "minutes", "core_minutes", "notes", "inputs")


def to_dict(outcome: Outcome) -> dict[str, Any]:
    """Everything but the study itself, as plain values for strict JSON."""
    results = {id(r): r for m in outcome.measurements.values() for r in m.results if r.trial == m.trial}
    plain = {name: to_json(getattr(outcome, name)) for name in (*_PLAIN, *_ALSO_PLAIN)}
    identity = {"paper": outcome.study.paper, "reference": reference(outcome.study)}
    return (
        identity
        | plain
        | {
            "scale": to_json(vars(outcome.scale)),
            "data": list(outcome.data) if outcome.data else None,
            "judgements": [judgement.to_dict() for judgement in outcome.judgements],
            "gates": {name: to_json(dataclasses.asdict(gate)) for name, gate in outcome.gates.items()},
            "failures": [dataclasses.asdict(failure) for failure in outcome.failures],
            "tuned": [to_json(dataclasses.asdict(tuned)) for tuned in outcome.tuned],
            "sample": list(outcome.sample) if outcome.sample else None,
            "arms": {trial: m.arms for trial, m in outcome.measurements.items()},
            "results": [result.to_dict() for result in results.values()],
            "smaller": {size: [result.to_dict() for result in at] for size, at in outcome.smaller.items()},
        }
    )


def from_dict(values: dict[str, Any], study: Study, folder: Path, data: Any = None) -> Outcome:
    """The outcome that `to_dict` described; `data` is the corpus for figures that read it."""
    scale = SimpleNamespace(**from_json(values["scale"]))
    results = [TrialResult.from_dict(result) for result in values["results"]]
    return Outcome(
        study=study,
        scale=scale,
        data=tuple(values["data"]) if values["data"] else None,
        judgements=[Judgement.from_dict(judgement) for judgement in values["judgements"]],
        gates={name: _gate(from_json(gate)) for name, gate in values["gates"].items()},
        measurements={
            trial: Measurements(results, trial=trial, arms=arms, data=data, scale=scale)
            for trial, arms in values["arms"].items()
        },
        failures=[Failure(**failure) for failure in values["failures"]],
        tuned=[_tuned(from_json(tuned)) for tuned in values["tuned"]],
        sample=tuple(values["sample"]) if values["sample"] else None,
        folder=folder,
        smaller={
            size: [TrialResult.from_dict(result) for result in at] for size, at in values.get("smaller", {}).items()
        },
        **{name: from_json(values[name]) for name in (*_PLAIN, *_ALSO_PLAIN)},
    )


def write(outcome: Outcome) -> None:
    """Write measurements.json and measurements.csv into the outcome's folder, each whole or not at all."""
    text = json.dumps(to_dict(outcome), indent=1, allow_nan=False)
    atomic_write(outcome.folder / FILE, text.encode())
    atomic_write(outcome.folder / "measurements.csv", _table(outcome).encode())


def read(folder: Path) -> Outcome:
    """The outcome in a run's folder. Raises UserError if there is none, or its study or data are gone."""
    from allyouneed.lab.loading import load_study
    from allyouneed.lab.trials.worker import open_data

    try:
        values = json.loads((folder / FILE).read_text())
    except FileNotFoundError:
        raise UserError(f"{folder} holds no finished run: there is no {FILE}") from None
    except ValueError as error:
        raise UserError(
            f"{folder / FILE} is damaged ({error}): run the study again, finished trials are reused"
        ) from error
    study = load_study(values["reference"])
    data = open_data(values["data"][0], study) if values["data"] else None
    return from_dict(values, study, folder, data)


def _tuned(values: dict[str, Any]) -> Tuned:
    tried = tuple((tried, loss) for tried, loss in values["tried"])
    return Tuned(**values | {"warnings": tuple(values["warnings"]), "tried": tried})


def _table(outcome: Outcome) -> str:
    """One row a number: trial, arm, seed, measurement, index within a vector (empty for a scalar), value, and
    the size, if smaller than the scale's."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["trial", "arm", "seed", "measurement", "index", "value", "size"])
    own = [result for m in outcome.measurements.values() for result in m.results if result.trial == m.trial]
    for size, results in {"": own, **outcome.smaller}.items():
        for result in results:
            for name, value in result.measurements.items():
                numbers = enumerate(value) if isinstance(value, list) else [("", value)]
                rows.writerows([result.trial, result.arm, result.seed, name, *pair, size] for pair in numbers)
    return text.getvalue()


def _gate(values: dict[str, Any]) -> GateResult:
    return GateResult(**values | {"worst": tuple(values["worst"]) if values["worst"] else None})
