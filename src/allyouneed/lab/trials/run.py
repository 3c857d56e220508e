"""What a trial is given of the world: where to log, to keep files, to find data and earlier trainings."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allyouneed.data.text.corpus import Corpus


class Run:
    """One trial's `run`.

    `seed` is the trial's; `device` is "cpu" or "cuda"; `dir` a folder for checkpoints, kept until the trial
    has ended and found again when it is resumed; `data` the study's corpus, or what the user named by `--data`;
    `inputs` holds the paths of what else the user gave, by the names that the study has for it.
    """

    def __init__(
        self,
        dir: Path,
        seed: int,
        device: str,
        data: "Corpus | None",
        artifacts: Path,
        artifact_seed: int | None = None,
        listener: Callable[[dict[str, Any]], None] = lambda row: None,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        self.dir = dir
        self.seed = seed
        self.device = device
        self.data = data
        self.inputs = {name: Path(path) for name, path in (inputs or {}).items()}
        self.shown: dict[str, str] = {}
        self._artifacts = artifacts
        self._artifact_seed = artifact_seed
        self._listener = listener
        self._file = dir / "log.jsonl"
        self._rows = _read_rows(self._file)
        if self._file.exists():  # Without what was cut, or the next row would be written behind half a line.
            self._file.write_text("".join(json.dumps(row) + "\n" for row in self._rows.values()))

    def log(self, **values: Any) -> None:
        """Note numbers of this moment: `run.log(step=100, loss=2.3)`.

        A resumed trial logs some steps again: of two rows with the same names, `step` and text
        values the later one counts. Two trainings in one trial must therefore differ in one of
        them: `functools.partial(run.log, phase="finetune")`.
        """
        row = {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}
        self._rows[_identity(row)] = row
        with self._file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._listener(row)

    def heartbeat(self) -> None:
        """Say that the trial is alive though it logs nothing."""
        self._listener({})

    def show(self, label: str, text: str) -> None:
        """Keep a text for the report, such as a sample of what the model writes."""
        self.shown[label] = text

    def artifact(self, recipe: Callable[..., None], **args: Any) -> Path:
        """The folder that `recipe(run, **args)` filled: made once, then shared by all trials that ask for it.

        The recipe has a `run` of its own, with this one's data and device, and writes into `run.dir`. Its
        seed follows the trial's, unless the study says that all its seeds share one artifact.
        """
        from allyouneed.lab.trials.artifacts import artifact

        seed = self.seed if self._artifact_seed is None else self._artifact_seed
        given: dict[str, str | int | None] = {
            "seed": seed,
            "device": self.device,
            "data": self.data.version if self.data else None,
        }

        def make_run(folder: Path) -> Run:
            return Run(folder, seed, self.device, self.data, self._artifacts, self._artifact_seed, self._listener)

        return artifact(self._artifacts, recipe, make_run, args=args, given=given, while_waiting=self.heartbeat)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All that was logged, in order."""
        return list(self._rows.values())


def _identity(row: dict[str, Any]) -> tuple[Any, ...]:
    texts = tuple((name, value) for name, value in row.items() if isinstance(value, str))
    return (row.get("step"), tuple(row), texts)


def _read_rows(file: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What an interrupted trial had logged; a last line cut by the interruption is left out."""
    rows = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            break
        rows[_identity(row)] = row
    return rows
