"""Where a name leads: from an import statement to the module that defines the name, without running either.

Looks where Python would: in the packages whose source always counts (the roots), beside the study, then on
the path. What lies there in a `site-packages` is installed and not followed; all else is the user's own.
"""

import ast
import dataclasses
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from allyouneed.errors import UserError
from allyouneed.lab.trials.syntax import Import, Source, read

Roots = Mapping[str, Path]  # package -> its folder

# No measurement can depend on how trials are run, stored and judged.
NEVER_COUNT = ("allyouneed.lab", "allyouneed.errors")


@dataclass(frozen=True)
class Module:
    """A Python file, or the folder of a package without `__init__`."""

    path: Path
    name: str = field(compare=False)

    @cached_property
    def source(self) -> Source:
        """What the file says."""
        return read(self.path) if self.path.suffix == ".py" else Source(ast.Module([], []))

    @property
    def folder(self) -> Path:
        """The package that the module is, or lies in."""
        return self.path if self.path.suffix != ".py" else self.path.parent

    @property
    def is_package(self) -> bool:
        return self.path.suffix != ".py" or self.path.name == "__init__.py"

    @property
    def counts(self) -> bool:
        return not any(self.name == name or self.name.startswith(f"{name}.") for name in NEVER_COUNT)

    @property
    def by_name(self) -> bool:
        """Whether only those of its definitions count that are reached: so in an `__init__`, and in a study."""
        return self.is_package or self.source.is_study


class Place(NamedTuple):
    """Where a name leads: to a name in a module, to the module itself (None), or to all of it ("*")."""

    module: Module
    name: str | None

    def __str__(self) -> str:
        return f"{self.module.name}:{self.name}" if self.name else self.module.name


class Finder:
    """Follows imports. `installed` collects the packages where a way ended because they are installed."""

    def __init__(self, roots: Roots) -> None:
        self.roots = {name: folder.resolve() for name, folder in roots.items()}
        self.beside: list[Path] = []
        self.installed: set[str] = set()
        self._homes: dict[str, Path | None] = {}
        self._modules: dict[Path, Module] = {}

    def start(self, path: Path) -> Module:
        """The module in a file from which names will be followed; the files beside it can be imported."""
        module = self.at(path.resolve())
        if module.name.split(".")[0] not in self.roots:
            self.beside = list(dict.fromkeys((*self.beside, module.folder, _import_folder(module.path))))
            self._homes.clear()
        return module

    def at(self, path: Path) -> Module:
        """The module in a file or folder, with the full name that its place gives it."""
        if path not in self._modules:
            above = next((folder.parent for folder in self.roots.values() if path.is_relative_to(folder)), None)
            parts = path.relative_to(above or _import_folder(path)).parts
            parts = parts[:-1] if parts[-1] == "__init__.py" else (*parts[:-1], parts[-1].removesuffix(".py"))
            self._modules[path] = Module(path, ".".join(parts))
        return self._modules[path]

    def find(self, dotted: str) -> Module | None:
        """The module of that name; None if there is none, or if it is installed."""
        home = self.home(dotted.split(".")[0])
        return self._inside(home, dotted) if home else None

    def home(self, top: str) -> Path | None:
        """The folder that holds the top-level module `top`, None if its source does not count."""
        if top not in self._homes:
            self._homes[top] = self._home(top)
        return self._homes[top]

    def follow(self, module: Module, imported: Import, *, dotted_top: bool = False) -> Place | None:
        """Where an import in `module` leads; None if into an installed package.

        `import a.b.c` leads to `a.b.c`, or with `dotted_top` to `a`, which is what the name stands for.
        Raises UserError, with file and line, for an import of a module or name that cannot be found.
        """
        if imported.dotted and dotted_top:
            imported = dataclasses.replace(imported, module=imported.bound)
        return self._follow(module, imported, frozenset())

    def attribute(self, module: Module, name: str, where: str) -> Place | None:
        """Where `name` in `module` leads: through an `__init__` to the module that defines it; None if
        into an installed package.

        Raises UserError, beginning with `where`, for a name that cannot be found by reading.
        """
        return self._attribute(module, name, where, frozenset())

    def _follow(self, module: Module, imported: Import, seen: frozenset[Place]) -> Place | None:
        where = f"{module.path}:{imported.line}"
        if imported.level:
            # One dot is the package that the file lies in; each further dot is one folder up.
            folder = (module.folder, *module.folder.parents)[imported.level - 1]
            found = self._inside(folder, imported.module)
        else:
            top = imported.module.split(".")[0]
            if self.home(top) is None:
                self.installed.update({top} - sys.stdlib_module_names)
                return None
            found = self.find(imported.module)
        if found is None:
            raise UserError(f"{where}: there is no module {'.' * imported.level}{imported.module} to import")
        if imported.attribute in (None, "*"):
            return Place(found, imported.attribute)
        return self._attribute(found, str(imported.attribute), where, seen)

    def _attribute(self, module: Module, name: str, where: str, seen: frozenset[Place]) -> Place | None:
        place = Place(module, name)
        if not module.counts or not module.by_name or name in module.source.bindings:
            return place
        source = module.source
        ways = source.imports.get(name) or [i for i in source.type_imports if i.bound == name]
        # Seen before: `from allyouneed.data import corpora` inside allyouneed/data/__init__.py.
        if ways and place not in seen:
            imported = dataclasses.replace(ways[-1], module=name) if ways[-1].dotted else ways[-1]
            return self._follow(module, imported, seen | {place})
        if module.is_package and (submodule := self._inside(module.folder, name)):
            return Place(submodule, None)
        if "*" in source.imports:
            return Place(module, "*")
        hint = ": name it there under `if TYPE_CHECKING:`" if "__getattr__" in source.bindings else ""
        raise UserError(f"{where}: {module.name} has no {name!r} that can be found by reading it{hint}")

    def _home(self, top: str) -> Path | None:
        if top in self.roots:
            return self.roots[top].parent
        if top in sys.stdlib_module_names:
            return None
        for folder in self.beside:
            if (folder / top / "__init__.py").is_file() or (folder / f"{top}.py").is_file():
                return folder
        if origin := _origin(top):
            return None if origin.suffix != ".py" or is_installed(origin) else _import_folder(origin)
        return next((folder for folder in self.beside if any((folder / top).rglob("*.py"))), None)

    def _inside(self, folder: Path, dotted: str) -> Module | None:
        """The module `dotted` below a folder: a package, a file, or a plain folder; "" is the folder itself."""
        path = folder.joinpath(*filter(None, dotted.split(".")))
        for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if candidate.is_file() and (dotted or candidate.parent == path):
                return self.at(candidate)
        return self.at(path) if path.is_dir() else None


def is_installed(path: Path) -> bool:
    """Whether a file belongs to an installed package, which counts by its version."""
    return bool({"site-packages", "dist-packages"} & set(path.parts))


def _import_folder(path: Path) -> Path:
    """The folder that must be on the path for the module in `path` to be imported by its full name."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _origin(top: str) -> Path | None:
    """The file that `import top` would run, if there is one."""
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # A module put together by hand has no spec.
        return None
    return Path(spec.origin).resolve() if spec and spec.has_location and spec.origin else None
