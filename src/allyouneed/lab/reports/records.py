"""Recorded verdicts: one JSON file a paper, scale and data set, in results/, and whether it still counts.

A record stays valid while the sources it reached are the same, or, after a refactoring, while the
study's behaviour at smoke scale is (see `fingerprint`). Light, because the command line reads records
before anything else is imported: no numpy here.
"""

import datetime
import json
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab.judging.claims import Judgement
from allyouneed.lab.outcome import Outcome
from allyouneed.lab.papers import PACKAGE
from allyouneed.lab.reports.summary import reference
from allyouneed.lab.study import Study
from allyouneed.lab.trials.machine import machine
from allyouneed.lab.trials.result import TrialResult, from_json, to_json

FORMAT = 1
FAILING = ("stale", "claim changed")  # how the status of a record begins that no longer counts
_JUDGED = ("claims", "smaller")  # what a scale says of verdicts, not of trials
_SCALES = ("laptop", "gpu")  # the order to show them in; others follow


@dataclass(frozen=True)
class Record:
    """One recorded run: the file and what it holds."""

    file: Path
    values: dict[str, Any]

    @property
    def paper(self) -> str:
        """The slug, or the name of a user's own study."""
        return str(self.values["paper"])

    @property
    def scale(self) -> str:
        """The name of the scale."""
        return str(self.values["scale_name"])

    @property
    def data(self) -> str | None:
        """The name of the data, None where the study makes its own."""
        return self.values["data"]["name"] if self.values["data"] else None

    @property
    def on_default_data(self) -> bool:
        """Whether the data are the study's own choice."""
        return self.values["data"] is None or self.values["data"]["default"]

    @property
    def where(self) -> str:
        """What every verdict here is bound to: `at laptop scale`, `at laptop scale, on tinyshakespeare`."""
        return f"at {self.scale} scale" + ("" if self.on_default_data else f", on {self.data}")

    @property
    def command(self) -> str:
        """The command that records it anew."""
        data = "" if self.on_default_data else f" --data {self.data}"
        return f"allyouneed run {self.values['reference']} --scale {self.scale}{data} --record"

    @property
    def judgements(self) -> list[Judgement]:
        """The verdicts, in the study's order."""
        return [Judgement.from_dict(judgement) for judgement in self.values["judgements"]]


@dataclass(frozen=True)
class Now:
    """What a record is held against: the scale, versions and digests as they are, and the behaviour, if needed.

    `scale` has what trials may depend on, and which claims and smaller sizes it lists, if it can list any.
    `data` is the content version of the record's data here, None where it makes its own.
    """

    scale: dict[str, Any]
    data: str | None
    cpu: str
    packages: dict[str, str]
    digests: dict[str, str]
    claim_digests: dict[str, str]
    fingerprint: Callable[[], dict[str, Any]]


def results_root() -> Path:
    """The records that belong to this copy of the project: the checkout's results/, else those in the package."""
    checkout = find_checkout()
    return checkout / "results" if checkout else PACKAGE / "_results"


def find_checkout() -> Path | None:
    """The checkout that this package is imported from; None if it is installed."""
    root = PACKAGE.parents[1]
    return root if PACKAGE.parent.name == "src" and (root / "pyproject.toml").is_file() else None


def record(outcome: Outcome, fingerprint: dict[str, Any] | None, root: Path | None = None) -> Path:
    """Write a record, and beside it the figures that the run's report has drawn; returns the JSON file.

    A paper's goes to `results_root()` in a checkout; all others to results/ in the current folder.
    Raises UserError for a scale that --set has changed: it is no longer the scale of that name.
    """
    from allyouneed.data.cache import atomic_write

    if outcome.overrides:
        raise UserError("a record is of a scale as the study gives it: leave out --set")
    folder = (root or _writing_root(outcome)) / outcome.study.paper
    stem = _stem(outcome.scale_name, None if _default_data(outcome) else outcome.data and outcome.data[0])
    for name in outcome.study.figures:
        drawn = outcome.folder / f"{name}.png"
        if drawn.is_file():
            atomic_write(folder / f"{stem}-{name}.png", drawn.read_bytes())
    text = json.dumps(_to_dict(outcome, fingerprint), indent=1, allow_nan=False)
    file = folder / f"{stem}.json"
    atomic_write(file, (numbers_on_one_line(text) + "\n").encode())
    return file


def read_records(roots: Iterable[Path] | None = None) -> list[Record]:
    """All records, by paper, then scale (laptop first), then data (the study's own first)."""
    found: dict[tuple[str, str], Record] = {}
    for root in roots if roots is not None else _reading_roots():
        for file in root.glob("*/*.json"):
            record = _read(file)
            if record is not None:
                found.setdefault((record.paper, file.stem), record)
    return sorted(found.values(), key=_order)


def find(slug: str, scale: str, data: str | None, roots: Iterable[Path] | None = None) -> Record | None:
    """The record of a study at a scale; `data` is None for the study's default. None if there is none."""
    files = (root / slug / f"{_stem(scale, data)}.json" for root in (roots if roots is not None else _reading_roots()))
    return next((record for file in files if (record := _read(file)) is not None), None)


def recorded_tuning(
    slug: str, scale: str, data: str | None, roots: Iterable[Path] | None = None, size: str = ""
) -> dict[str, dict[str, dict[str, Any]]] | None:
    """The tuned values of a record, by trial and arm; `data` is None for the study's default.

    `size` names a smaller size of the scale, as `Tuned` does. None if there is no such record.
    """
    record = find(slug, scale, data, roots)
    if record is None:
        return None
    tuned: dict[str, dict[str, dict[str, Any]]] = {}
    for choice in record.values["tuned"]:
        if choice.get("size", "") == size:
            tuned.setdefault(choice["trial"], {})[choice["arm"]] = from_json(choice["values"])
    return tuned


def status(record: Record) -> str:
    """Whether a record still counts: `current`, `claim changed: ...`, `not comparable: ...` or `stale: ...`."""
    from allyouneed.lab.fingerprint import fingerprint
    from allyouneed.lab.loading import load_study
    from allyouneed.lab.scales import scale_values
    from allyouneed.lab.trials.plan import Digests

    where = str(record.values["reference"])
    try:
        study = load_study(where)
        here = study.scale(record.scale, data=record.data)
        scale = scale_values(here) | {name: getattr(here, name) for name in _JUDGED if hasattr(here, name)}
        of = Digests(study)
        digests = {name: of.trial(trial) for name, trial in study.trials.items()}
        data = _data_version_here(record, study)
    except UserError as error:
        return f"not comparable: {error}"
    now = Now(
        scale=to_json(scale),
        data=data,
        cpu=machine()["cpu"],
        packages={name: version for digest in digests.values() for name, version in digest.packages.items()},
        digests={name: digest.sha256 for name, digest in digests.items()},
        claim_digests={id: of.claim(id) for id in study.claims},
        fingerprint=lambda: fingerprint(where, record.data),
    )
    try:
        return status_against(record, now)
    except UserError as error:
        return f"not comparable: its sources changed, and it cannot run here: {error}"


def status_against(record: Record, now: Now) -> str:
    """As `status`, against a given present."""
    from allyouneed.lab.fingerprint import compare

    claims = record.values["claim_digests"]
    elsewhere = {judgement.id for judgement in record.judgements if judgement.elsewhere}
    here = [id for id in {**claims, **now.claim_digests} if id not in elsewhere]
    changed = [id for id in here if claims.get(id) != now.claim_digests.get(id)]
    if changed:
        return f"claim changed: {', '.join(changed)} differ from what was recorded"
    recorded_scale = record.values["scale"]
    asked = [name for name in now.scale if name not in _JUDGED or name in recorded_scale]  # Old records list none.
    moved = [name for name in asked if _differs(name, recorded_scale.get(name), now.scale[name])]
    if moved:
        return f"stale: the scale {record.scale} has another {', '.join(moved)} than was recorded"
    if record.values["data"] and record.values["data"]["version"] != now.data:
        return f"not comparable: the text of {record.data} is another than was recorded"
    other = _other_versions(record.values["packages"], now.packages)
    if other:
        return f"not comparable: {other}"
    if all(now.digests.get(trial) == digest for trial, digest in record.values["digests"].items()):
        return "current"
    if record.values["fingerprint"] is None:
        return "stale: its sources changed, and no behaviour was recorded to compare"
    said = compare(from_json(record.values["fingerprint"]), now.fingerprint())
    if said == "same":
        return "current"
    if record.values["machine"]["cpu"] != now.cpu:
        # Another processor rounds differently, and training makes that visible.
        return (
            f"not comparable: its sources changed, and its behaviour was recorded on {record.values['machine']['cpu']}"
        )
    return f"stale: {said.removeprefix('moved: ')}"


def _differs(name: str, old: Any, new: Any) -> bool:
    """Whether a value of a scale is another; claims may come in any order."""
    return set(old) != set(new) if name == "claims" else bool(old != new)


def _to_dict(outcome: Outcome, fingerprint: dict[str, Any] | None) -> dict[str, Any]:
    from allyouneed.lab.reports import saved

    values = saved.to_dict(outcome)
    for name in ("ran", "reused", "overrides", "sample", "arms"):
        del values[name]
    return {
        "format": FORMAT,
        "recorded": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        **values,
        "data": _data(outcome),
        "results": _used_results(
            outcome, [r for m in outcome.measurements.values() for r in m.results if r.trial == m.trial]
        ),
        "smaller": {size: _used_results(outcome, results) for size, results in outcome.smaller.items()},
        "fingerprint": to_json(fingerprint),
    }


def _used_results(outcome: Outcome, results: Iterable[TrialResult]) -> list[dict[str, Any]]:
    """Every number of these runs, and of the vectors those that a claim reads."""
    used = {use for j in outcome.judgements if j.evidence for use in j.evidence.uses}
    return [
        {
            "trial": result.trial,
            "arm": result.arm,
            "seed": result.seed,
            "seconds": round(result.seconds, 1),
            "measurements": {
                name: to_json(value)
                for name, value in result.measurements.items()
                if not isinstance(value, list) or (result.arm, name) in used
            },
        }
        for result in results
    ]


def _data(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.data is None:
        return None
    return {"name": outcome.data[0], "version": outcome.data[1], "default": _default_data(outcome)}


def _default_data(outcome: Outcome) -> bool:
    return outcome.data is None or outcome.data[0] == outcome.study.data


def _stem(scale: str, data: str | None) -> str:
    return scale if data is None else f"{scale}-{re.sub(r'[^A-Za-z0-9_.]+', '-', data).strip('-.')}"


def _read(file: Path) -> Record | None:
    """The record in a file; None if there is none, since a user's results/ may hold anything."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_record = isinstance(values, dict) and values.get("format") == FORMAT and "judgements" in values
    return Record(file, values) if is_record else None


def _order(record: Record) -> tuple[Any, ...]:
    rank = _SCALES.index(record.scale) if record.scale in _SCALES else len(_SCALES)
    return record.paper, rank, record.scale, record.file.stem


def _writing_root(outcome: Outcome) -> Path:
    is_built_in = reference(outcome.study) == outcome.study.paper
    return results_root() if is_built_in and find_checkout() else Path("results")


def _reading_roots() -> list[Path]:
    """The user's own records first, then those of the project."""
    return list(dict.fromkeys(path.resolve() for path in (Path("results"), results_root())))


def _data_version_here(record: Record, study: Study) -> str | None:
    """The version of built-in data as this install has it, or of the user's file as it is. Public data are what
    their checksums say, and are not fetched for this."""
    from allyouneed.data import list_datasets
    from allyouneed.lab.trials.worker import open_data

    if record.data is None:
        return None
    public = {dataset.name.replace("_", "-") for dataset in list_datasets()}
    if record.data.partition(":")[0].replace("_", "-") in public:
        return str(record.values["data"]["version"])
    return open_data(record.data, study).version


def _other_versions(recorded: dict[str, str], now: dict[str, str]) -> str:
    """Which packages have another version; builds of one version (2.13.0+cpu) count as equal."""
    pairs = [(name, version, now[name]) for name, version in recorded.items() if name in now]
    return ", ".join(
        f"recorded with {name} {old}, here is {new}"
        for name, old, new in pairs
        if old.split("+")[0] != new.split("+")[0]
    )


def commit() -> dict[str, Any] | None:
    """The checkout's commit, and whether its sources differ from it; None outside a checkout or without git."""
    checkout = find_checkout()
    if checkout is None:
        return None
    try:
        commit = _git(checkout, "rev-parse", "HEAD")
        return {"hash": commit, "dirty": bool(_git(checkout, "status", "--porcelain", "--", "src"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def numbers_on_one_line(text: str) -> str:
    """JSON whose innermost lists take one line each. A string holds no bare line break, so none is touched."""
    return re.sub(r"\[\n\s*([^\[\]{}]*?)\n\s*\]", lambda match: "[" + re.sub(r"\n\s*", " ", match[1]) + "]", text)
