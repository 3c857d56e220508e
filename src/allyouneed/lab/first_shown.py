"""With how many seeds a verdict was first seen: more seeds after a verdict are said to be more."""

import hashlib
import json
from pathlib import Path
from typing import Any

from allyouneed.data.cache import atomic_write
from allyouneed.lab.scales import scale_values
from allyouneed.lab.study import Claim
from allyouneed.lab.trials.plan import Plan


class FirstShown:
    """With how many seeds each claim's verdict was first shown in an output folder.

    A claim is the same while its wording, its predicate, its trials, the scale and the data are; neither the
    number of seeds nor what else was judged beside it makes it another.
    """

    def __init__(self, out: Path, plan: Plan, digests: dict[str, str]) -> None:
        self.file = out / "first_shown.json"
        try:
            self.counts: dict[str, int] = json.loads(self.file.read_text())
        except (OSError, ValueError):  # None yet, or damaged: nothing is known to have been shown.
            self.counts = {}
        self.plan = plan
        self.digests = digests

    def extended_from(self, claim: Claim, n_seeds: int) -> int | None:
        """The number it was first shown with, if that were fewer."""
        first = self.counts.get(self._key(claim))
        return first if first is not None and first < n_seeds else None

    def note(self, ids: list[str], n_seeds: int) -> None:
        """These claims have a verdict now."""
        new = {self._key(self.plan.study.claims[id]): n_seeds for id in ids}
        atomic_write(self.file, json.dumps(new | self.counts, indent=1).encode())

    def _key(self, claim: Claim) -> str:
        study, plan = self.plan.study, self.plan
        trials = [self.digests[name] for name in claim.trials if name in self.digests]
        what: list[Any] = [study.paper, claim.id, plan.digests.claim(claim.id), scale_values(plan.scale)]
        what += [plan.data_version, trials]
        where = [plan.setting.device, *([plan.setting.first_seed] if plan.setting.first_seed else [])]
        where += [plan.inputs] if plan.inputs else []
        return hashlib.sha256(json.dumps([what, *where], default=str).encode()).hexdigest()
