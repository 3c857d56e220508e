"""Text that installed packages give: whether it is the recorded one, and keeping what takes a while to make."""

import hashlib
import importlib.metadata
import warnings
from collections.abc import Callable, Iterable

from allyouneed.data.cache import cache_dir, cached_text


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package."""
    return {package: importlib.metadata.version(package) for package in packages}


def warn_unless_pinned(name: str, version: str, pinned: str, packages: Iterable[str]) -> None:
    """Say that the text `name`, which comes from `packages`, is another here than the one that was recorded."""
    if version != pinned:
        installed = ", ".join(f"{package} {version}" for package, version in versions(packages).items())
        warnings.warn(
            f"the text of {name} differs here from the recorded one ({installed}): "
            "compare numbers on it with each other only",
            stacklevel=4,
        )


def kept_lines(
    name: str, package: str, rules: int, pinned: str | None, write: Callable[[], Iterable[str]]
) -> list[str]:
    """The lines that `write()` gives by means of `package`: made once for each of its versions, then kept.

    `rules` goes up when the code behind `write` changes the lines. Warns if their sha256 is not the pinned one.
    """
    version = versions([package])[package]
    path = cache_dir() / "pairs" / f"{name}-{package}-{version}-{rules}.txt"
    text = cached_text(path, lambda: "\n".join(write()))
    if pinned is not None:
        warn_unless_pinned(name, hashlib.sha256(text.encode()).hexdigest(), pinned, [package])
    return text.split("\n")
