"""Recorded replications: `results/<slug>/replications/<record>.json`, a list, the newest last.

Each belongs to one record, told by the record's own date, commit and numbers. When the study is recorded
anew, what replicated the record before is no longer shown. Light, like `records`: no numpy here.
"""

import datetime
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allyouneed.errors import UserError
from allyouneed.lab.judging.claims import Judgement
from allyouneed.lab.judging.evidence import Evidence
from allyouneed.lab.outcome import Outcome
from allyouneed.lab.papers import PACKAGE
from allyouneed.lab.reports import records
from allyouneed.lab.reports.records import Record
from allyouneed.lab.trials.result import to_json

if TYPE_CHECKING:
    from allyouneed.lab.judging.replication import Comparison

FOLDER = "replications"


def write(record: Record, status: str, outcome: Outcome, comparisons: Sequence["Comparison"]) -> Path:
    """Add a replication behind those there are, beside the record (or, if that is installed, in results/ here).

    Returns the file. Raises UserError if what is there cannot be read.
    """
    from allyouneed.data.cache import atomic_write

    is_installed = record.file.is_relative_to(PACKAGE)
    file = _files(record)[1 if is_installed else 0]
    text = json.dumps([*_read(file), to_dict(record, status, outcome, comparisons)], indent=1, allow_nan=False)
    atomic_write(file, (records.numbers_on_one_line(text) + "\n").encode())
    return file


def to_dict(record: Record, status: str, outcome: Outcome, comparisons: Sequence["Comparison"]) -> dict[str, Any]:
    """A replication as plain values for strict JSON."""
    return {
        "replicated": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": records.commit(),
        "of": _identity(record),
        "status": status,
        "seeds": outcome.seeds,
        "device": outcome.device,
        "machine": to_json(outcome.machine),
        "packages": outcome.packages,
        "tuned": [{"trial": t.trial, "arm": t.arm, "values": to_json(t.values)} for t in outcome.tuned],
        "core_minutes": outcome.core_minutes,
        "claims": [to_json(comparison.to_dict()) for comparison in comparisons],
    }


def read(record: Record) -> list[dict[str, Any]]:
    """The replications of this record, oldest first; those of an earlier one are left out.

    Raises UserError if a file of them is damaged.
    """
    found = [replication for file in dict.fromkeys(_files(record)) for replication in _read(file)]
    mine = [replication for replication in found if replication["of"] == _identity(record)]
    return sorted(mine, key=lambda replication: str(replication["replicated"]))


def short(record: Record) -> dict[str, list[str]]:
    """For a table, by claim: `["replicated: stands (6 new seeds)"]`, a text for each replication, the newest last."""
    said: dict[str, list[str]] = {}
    for replication in read(record):
        for claim in replication["claims"]:
            if not claim["recorded"]["verdict"].startswith("not run"):
                n = _how_many(Judgement.from_dict(claim["new"]).evidence, len(replication["seeds"]))
                said.setdefault(claim["id"], []).append(f"replicated: {claim['outcome']} ({n})")
    return said


def _how_many(evidence: Evidence | None, n_seeds: int) -> str:
    n, unit = (evidence.n, evidence.unit) if evidence else (n_seeds, "seeds")
    if unit == "items":
        return "a new seed"
    what = {"exact": "draws", "rounds": "rounds"}.get(unit, "seeds")
    return f"{n} new {what if n != 1 else what[:-1]}"


def _identity(record: Record) -> dict[str, Any]:
    """What tells a record from another of the same study: its date, its commit, and a digest of its numbers and of
    the trials, tuned values and claims that they belong to."""
    what = ("seeds", "results", "digests", "tuned", "claim_digests")
    numbers = json.dumps([record.values[name] for name in what], sort_keys=True)
    return {
        "recorded": record.values["recorded"],
        "commit": record.values["commit"] and record.values["commit"]["hash"],
        "sha256": hashlib.sha256(numbers.encode()).hexdigest(),
    }


def _files(record: Record) -> list[Path]:
    """Where replications of a record lie: beside it, and in results/ of the current folder."""
    folders = (record.file.parent, Path("results") / record.paper)
    return [folder.resolve() / FOLDER / record.file.name for folder in folders]


def _read(file: Path) -> list[dict[str, Any]]:
    """The list in a file; empty if there is none. Raises UserError for a file that holds anything else."""
    try:
        found = list(json.loads(file.read_text(encoding="utf-8")))
        for replication in found:
            _read_through(replication)
        return found
    except FileNotFoundError:
        return []
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{file} is damaged: it is no list of replications ({error})") from error


def _read_through(replication: dict[str, Any]) -> None:
    """Touch all that is shown of a replication, so that what is not there is missed now."""
    _ = replication["of"]["recorded"], replication["replicated"], max(replication["seeds"])
    for claim in replication["claims"]:
        _ = claim["id"], claim["outcome"], claim["recorded"]["verdict"], Judgement.from_dict(claim["new"])
