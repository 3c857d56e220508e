"""From what a user types to objects: studies by slug or file, and a user's own arm from a file."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab.study import Study

_USERS_FOLDERS: set[Path] = set()


def is_file_reference(reference: str) -> bool:
    """Whether a reference means a user's own file rather than a paper's slug."""
    return reference.endswith(".py") or "/" in reference or "\\" in reference


def load_study(reference: str) -> Study:
    """The study of a paper (`rope`, `pre-ln`) or of a file (`./my_study.py`).

    Raises UserError if there is no such paper or file, or the file defines no study.
    """
    forget_users_modules()
    if is_file_reference(reference):
        module = load_file(Path(reference))
    else:
        from allyouneed.lab import papers

        module = importlib.import_module(f"allyouneed.papers.{papers.find(reference).slug}.study")
    studies = [value for value in vars(module).values() if isinstance(value, Study)]
    if not studies:
        raise UserError(f"{reference} defines no study: it needs `study = Study(...)` at its top level")
    study = studies[0]
    study.file = Path(str(module.__file__)).resolve()
    return study


def load_object(spec: str) -> Any:
    """What `file.py:Name` names.

    Raises UserError if the file or the name in it does not exist.
    """
    path, colon, name = spec.rpartition(":")
    if not colon or not name.isidentifier():
        raise UserError(f"expected file.py:Name, got {spec!r}")
    module = load_file(Path(path))
    if not hasattr(module, name):
        raise UserError(f"{path} defines no {name!r}")
    return getattr(module, name)


def load_file(path: Path) -> ModuleType:
    """Import a user's file, under a name that no other file has; the files beside it can be imported too.

    Raises UserError if the file does not exist, has the name of a module in use, or fails while it is imported.
    """
    path = path.resolve()
    if not path.is_file():
        raise UserError(f"{path} is a folder; name the file in it" if path.is_dir() else f"there is no file {path}")
    _refuse_taken_name(path)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _USERS_FOLDERS.add(path.parent)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"{path} could not be imported: {type(error).__name__}: {error}") from error
    return module


def _refuse_taken_name(path: Path) -> None:
    """A folder with a `random.py` in it would hide the module of that name from everything else."""
    try:
        known = importlib.util.find_spec(path.stem)
    except (ImportError, ValueError):
        known = None
    elsewhere = known is not None and known.origin is not None and Path(known.origin).parent != path.parent
    is_users = known is not None and known.origin is not None and Path(known.origin).parent in _USERS_FOLDERS
    if path.stem in sys.stdlib_module_names or (elsewhere and not is_users):
        raise UserError(f"{path} has the name of a module already in use ({path.stem}): rename the file")


def forget_users_modules() -> None:
    """Drop what was imported from users' folders before, so that an edited file counts at once."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and file and Path(file).parent in _USERS_FOLDERS:
            del sys.modules[name]
