"""What trials share of earlier training: a folder that a recipe fills once, named by what it depends on."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from allyouneed.data.cache import atomic_write, make_folder
from allyouneed.errors import UserError
from allyouneed.lab.trials.locks import held
from allyouneed.lab.trials.source import Digest, trial_digest, value_digest

Recipe = Callable[..., None]
MADE_BY = "artifact.json"  # Written last, beside what the recipe wrote: what was made, from what, in how long.


def artifact(
    root: Path,
    recipe: Recipe,
    make_run: Callable[[Path], Any],
    *,
    args: Mapping[str, Any],
    given: Mapping[str, str | int | None],
    while_waiting: Callable[[], None] = lambda: None,
) -> Path:
    """The folder that `recipe(run, **args)` filled, made by the first who asks for it.

    `make_run(folder)` gives the recipe its `run`, whose `dir` is that folder; `given` says what of the run
    the artifact depends on (its seed, device and data). It is found again while the sources that the recipe
    reaches, the versions of the packages these import, what is given and the arguments (see
    `source.value_digest`) stay the same. Whoever asks while it is being made waits, and calls
    `while_waiting` every second. A recipe that fails or
    is killed leaves no folder, and the next to ask starts it afresh.

    Raises UserError for arguments without a digest or a folder that cannot be written, and whatever the
    recipe raises.
    """
    made_from = _made_from(recipe, args, given)
    name = f"{recipe.__name__}-{hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]}"
    folder = root / name
    if folder.is_dir():
        return folder
    with held(root / ".locks" / f"{name}.lock", while_waiting):
        if not folder.is_dir():
            _make(folder, root / ".making" / name, recipe, make_run, args, made_from)
    return folder


def _make(
    folder: Path,
    draft: Path,
    recipe: Recipe,
    make_run: Callable[[Path], Any],
    args: Mapping[str, Any],
    made_from: dict[str, Any],
) -> None:
    """Fill `draft` and rename it to `folder`. The caller holds the lock, so a draft found is a dead process's."""
    shutil.rmtree(draft, ignore_errors=True)
    make_folder(draft)
    start = time.perf_counter()
    try:
        recipe(make_run(draft), **args)
        if not any(draft.iterdir()):
            raise UserError(f"the recipe {recipe.__name__!r} wrote nothing into the folder that it was given")
        made = made_from | {"seconds": round(time.perf_counter() - start, 3)}
        atomic_write(draft / MADE_BY, json.dumps(made, indent=1).encode())
        os.replace(draft, folder)
    except BaseException:  # Ctrl-C too: what is half made must not look like a checkpoint.
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _made_from(recipe: Recipe, args: Mapping[str, Any], given: Mapping[str, str | int | None]) -> dict[str, Any]:
    """All that an artifact depends on, as JSON."""
    source = trial_digest(recipe)
    values: dict[str, Digest] = {name: value_digest(value) for name, value in args.items()}
    packages = source.packages
    for value in values.values():
        packages = packages | value.packages
    return {
        "recipe": recipe.__name__,
        "given": dict(given),
        "args": {name: repr(value) for name, value in args.items()},
        "args_sha256": {name: value.sha256 for name, value in values.items()},
        "source_sha256": source.sha256,
        "packages": packages,
    }
