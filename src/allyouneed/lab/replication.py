"""A replication: a recorded study run again as it is now, with seeds that its record did not use.

Everything drawn at random is drawn anew: the seeds of the trials, those of the tuning, artifacts that all
seeds share, the rounds of timings. A replication that was recorded counts as used, so the next one draws
others; without one the same command finds its finished trials again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab.engine import run_study
from allyouneed.lab.judging.replication import Comparison, compare
from allyouneed.lab.loading import load_study
from allyouneed.lab.options import TUNING_SEED, Draw, Options
from allyouneed.lab.outcome import Outcome
from allyouneed.lab.reports import records, replications
from allyouneed.lab.reports.records import Record
from allyouneed.lab.trials.executor import Display
from allyouneed.lab.trials.worker import open_data

TUNING_BLOCK = 1000  # How far apart the tuning seeds of a record and of its replications begin.


@dataclass(frozen=True)
class Replication:
    """A finished replication: the record it repeats, its own run, and a comparison for every claim that was asked for.

    `status` says whether the record is of the study as it is here: `current`, or `not comparable: ...` on
    another torch, say, which a replication may well want to know of.
    """

    record: Record
    status: str
    outcome: Outcome
    comparisons: list[Comparison]

    @property
    def stands(self) -> bool:
        """Whether every verdict that the record has stands."""
        return all(c.outcome == "stands" for c in self.comparisons if c.was_judged)


def replicate(options: Options, display: Display | None = None) -> Replication:
    """Run a recorded study with new seeds, as many as the record has unless the options say, and compare.

    Raises UserError if there is no record, if it no longer counts, is of other data or judged none of the claims, and
    as `run_study` does.
    """
    record = find_record(options)
    said = records.status(record)
    if said.startswith(records.FAILING):
        raise UserError(f"the record of {record.paper} {record.where} no longer counts: {said}: {record.command}")
    _check_data(options, record)
    judged = {judgement.id for judgement in record.judgements if judgement.word != "not run"}
    if not judged & set(options.claims or judged):
        raise UserError(
            f"the record of {record.paper} {record.where} judged none of {', '.join(options.claims) or 'its claims'}: "
            "there is nothing to replicate"
        )
    if options.seeds is None and options.budget is None:
        options = replace(options, seeds=len(record.values["seeds"]))
    # Trends are not compared; and a recorded tuning was on the record's own tuning seeds.
    draw = fresh_draw(record.values["seeds"], replications.read(record))
    outcome = run_study(replace(options, retune=True, trend=False), display, draw)
    recorded = {judgement.id: judgement for judgement in record.judgements}
    comparisons = [compare(recorded[new.id], new) for new in outcome.judgements]
    return Replication(record, said, outcome, comparisons)


def find_record(options: Options) -> Record:
    """The record of what the options name. Raises UserError, with the command that makes one, if there is none."""
    study = load_study(options.reference)
    data = None if options.data == study.data else options.data
    record = records.find(study.paper, options.scale, data)
    if record is None:
        on = f" --data {data}" if data else ""
        raise UserError(
            f"there is no record of {study.paper} at {options.scale} scale to replicate: "
            f"allyouneed run {options.reference} --scale {options.scale}{on} --record"
        )
    # A user's study may have been recorded from another folder: what counts is the file that is named now.
    return Record(record.file, record.values | {"reference": options.reference})


def _check_data(options: Options, record: Record) -> None:
    """Refuse data other than the record's: what differs would be the seeds and the data at once."""
    study = load_study(options.reference)
    name = options.data or study.data
    data = open_data(name, study)
    recorded = record.values["data"]
    if data is not None and data.version != (recorded and recorded["version"]):
        raise UserError(
            f"{name} is not what the record of {record.paper} {record.where} was made on, and seeds on other data "
            f"replicate nothing: {record.command}"
        )


def fresh_draw(recorded: Iterable[int], earlier: list[dict[str, Any]]) -> Draw:
    """Seeds behind those of a record and of its replications so far, for trials and for tuning."""
    used = [*recorded, *(seed for replication in earlier for seed in replication["seeds"])]
    return Draw(first=max(used) + 1, tuning=TUNING_SEED + TUNING_BLOCK * (len(earlier) + 1))
