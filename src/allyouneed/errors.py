"""Failures that a user can mend, printed by the command line without a traceback."""

import importlib
from types import ModuleType


class UserError(Exception):
    """Something outside the program is not as it must be: an input, a file, the disk, the network."""


class MissingExtra(UserError):
    """An optional dependency is not installed; the message names the extra that brings it."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra of allyouneed brings it.

    Raises MissingExtra if `module` is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"this needs {module.split('.')[0]}, which is not installed: pip install 'allyouneed[{extra}]'"
        ) from None
