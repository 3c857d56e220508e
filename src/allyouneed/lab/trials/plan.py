"""What each trial's result depends on, as a digest: the plan of a run.

A trial is identified by the sources it reaches, its arm's value, its seed, the scale's values, the
tuned values, the data's content, the versions of the packages it uses and the kind of device. Nothing
else: not the claims, not the figures, not who runs it or when.
"""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab.scales import scale_values
from allyouneed.lab.study import Claim, Study, Trial
from allyouneed.lab.trials import source
from allyouneed.lab.trials.jobs import Job, Setting, arm_digest_value
from allyouneed.lab.trials.machine import machine
from allyouneed.lab.trials.store import TrialStore


class Digests:
    """What a study's trials and claims reach in code, each read once."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._functions: dict[str, source.Digest] = {}
        self._arms: dict[tuple[str, str], source.Digest] = {}
        self._trials: dict[str, source.Digest] = {}
        self._claims: dict[str, str] = {}

    def arm(self, trial: Trial, arm: str) -> source.Digest:
        """What one arm of a trial reaches."""
        key = (trial.name, arm)
        if key not in self._arms:
            value = source.value_digest(arm_digest_value(trial.arms[arm]))
            self._arms[key] = _joined([self._function(trial), value])
        return self._arms[key]

    def trial(self, trial: Trial) -> source.Digest:
        """What all arms of a trial reach, and their names, by which claims speak of them."""
        if trial.name not in self._trials:
            values = [source.value_digest((arm.name, arm_digest_value(arm))) for arm in trial.arms.values()]
            self._trials[trial.name] = _joined([self._function(trial), *values])
        return self._trials[trial.name]

    def claim(self, id: str) -> str:
        """The digest of a claim: its wording, its predicate, the trials it reads and the gates before it.

        Modules that the trials reach as well do not count here: what they do shows in the trials' behaviour.
        """
        if id not in self._claims:
            self._claims[id] = self._of_claim(self.study.claims[id])
        return self._claims[id]

    def _of_claim(self, claim: Claim) -> str:
        shown = {module for name in claim.trials for module in self.trial(self.study.trials[name]).modules}
        parts = [claim.statement, claim.paper, str(claim.weaker_form), str(claim.not_run), *claim.trials]
        if claim.function:
            parts.append(source.trial_digest(claim.function, apart_from=shown).sha256)
        for gate in self.study.gates:
            if gate.trial in claim.trials:
                parts += [gate.trial, source.trial_digest(gate.function, apart_from=shown).sha256]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _function(self, trial: Trial) -> source.Digest:
        if trial.name not in self._functions:
            self._functions[trial.name] = source.trial_digest(trial.function)
        return self._functions[trial.name]


class Plan:
    """Makes the jobs of one run."""

    def __init__(self, digests: Digests, setting: Setting, scale: Any, data_version: str | None) -> None:
        self.digests = digests
        self.study = digests.study
        self.setting = setting
        self.scale = scale
        self.data_version = data_version
        self.inputs = {name: content_sha256(Path(path)) for name, path in setting.inputs.items()}

    def job(self, trial: Trial, arm: str, seed: int, tuned: dict[str, Any]) -> Job:
        """One trial of one arm with one seed."""
        return self._job(trial, arm, seed, tuned, {})

    def exclusive(self, trial: Trial) -> Job:
        """The one job that times all arms of a trial; its results depend on the machine, too."""
        digests = {arm: self.digests.arm(trial, arm) for arm in trial.arms}
        arms = {arm: [digest.sha256, digest.packages] for arm, digest in digests.items()}
        extra = {"contenders": arms, "machine": _hardware(), "rounds": trial.rounds}
        return self._job(trial, next(iter(trial.arms)), self.setting.first_seed, {}, extra)

    def share(self, job: Job, arm: str) -> Job:
        """One arm's share of an exclusive job."""
        spec = job.spec | {"arm": arm}
        return replace(job, arm=arm, spec=spec, key=TrialStore.key(spec))

    def memory(self, trial: Trial, arm: str) -> list[Job]:
        """The jobs that read one contender's memory, a round each."""
        rounds = range(trial.rounds)
        seed = self.setting.first_seed
        return [self._job(trial, arm, seed, {}, {"memory round": n, "machine": _hardware()}) for n in rounds]

    def _job(self, trial: Trial, arm: str, seed: int, tuned: dict[str, Any], extra: dict[str, Any]) -> Job:
        digest = self.digests.arm(trial, arm)
        if trial.shared_artifacts and self.setting.first_seed:
            extra = extra | {"artifact seed": self.setting.first_seed}
        spec = {
            "paper": self.study.paper,
            "trial": trial.name,
            "arm": arm,
            "seed": seed,
            "scale": scale_values(self.scale),
            "tuned": tuned,
            "source": digest.sha256,
            "packages": digest.packages,
            "data": self.data_version,
            "device": self.setting.device,
            "shared artifacts": trial.shared_artifacts,
            **({"inputs": self.inputs} if self.inputs else {}),
            **extra,
        }
        return Job(self.setting, trial.name, arm, seed, TrialStore.key(spec), spec, tuned, trial.patience)


def device_type(asked: str) -> str:
    """The device trials run on: "auto" is a GPU where a study uses torch and there is one.

    Raises UserError for a device that this machine or this torch has not got.
    """
    torch = sys.modules.get("torch")
    has_gpu = torch is not None and torch.cuda.is_available()
    if asked == "auto":
        return "cuda" if has_gpu else "cpu"
    if asked not in ("cpu", "cuda"):
        raise UserError(f"--device {asked}: expected auto, cpu or cuda")
    if asked == "cuda" and not has_gpu:
        raise UserError("--device cuda: no GPU that torch can use was found; --device cpu runs anywhere")
    return asked


def _joined(digests: list[source.Digest]) -> source.Digest:
    text = "\0".join(digest.sha256 for digest in digests)
    return source.Digest(
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        modules=sorted({module for digest in digests for module in digest.modules}),
        packages={name: version for digest in digests for name, version in sorted(digest.packages.items())},
    )


def content_sha256(path: Path) -> str:
    """The digest (hex) of a file, or of the names and contents of all files in a folder."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as opened:
                content = hashlib.file_digest(opened, "sha256").hexdigest()
            digest.update(f"{file.relative_to(path).as_posix()}\0{content}\0".encode())
    return digest.hexdigest()


def _hardware() -> dict[str, Any]:
    here = machine()
    return {name: here.get(name) for name in ("cpu", "gpu", "cores", "threads")}
