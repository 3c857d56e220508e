"""What a trial's result depends on in code: the digest that says whether a stored result still counts.

Files are read, never run. From the trial function, names are followed to whatever it reaches: in its own
file only the definitions reached, so that claims, gates, figures and other trials do not count; elsewhere
whole modules with what they import. An `__init__` is only the way to a name, unless the name is defined in
it. Comments, docstrings, formatting and imports for type checkers do not count, nor do `allyouneed.lab` and
`allyouneed.errors`. Installed packages count by their version.

Not seen: what is looked up by a text (`importlib.import_module(name)`, `getattr(module, name)` of something
that the module does not itself import), and what the `__init__` of a package does besides naming things. A
package that is handed around as a value counts with everything that its `__init__` names.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import allyouneed
from allyouneed.errors import UserError
from allyouneed.lab.trials.modules import Finder, Module, Place, Roots, is_installed
from allyouneed.lab.trials.syntax import Import, Statement, Use

# They print, lock and annotate: no number depends on their version.
BYSTANDERS = {"filelock", "jaxtyping", "rich"}

OUR_ROOTS: Roots = {"allyouneed": Path(allyouneed.__file__).parent}


@dataclass(frozen=True)
class Digest:
    """What was reached: `sha256` of sources and values, the names of the modules, and the versions of the
    installed packages that they import ("absent" if missing). Versions are not in `sha256`: a key needs both."""

    sha256: str
    modules: list[str]
    packages: dict[str, str]


def trial_digest(
    function: Callable[..., Any],
    extra_values: Iterable[Any] = (),
    *,
    roots: Roots = OUR_ROOTS,
    apart_from: Collection[str] = (),
) -> Digest:
    """The digest of a trial function, recipe or claim, and of the values it is called with.

    apart_from: names of modules that do not count where they would count as a whole.

    Raises UserError if the function is not at the top of a file, if an import of a local module leads
    nowhere (with file and line), or for a value that `value_digest` refuses.
    """
    reach = _Reach(roots)
    reach.start(function)
    return reach.digest([_described(value, reach) for value in extra_values], apart_from)


def value_digest(value: Any, *, roots: Roots = OUR_ROOTS) -> Digest:
    """The digest of an arm: a string, number, bool, None, a tuple of such, a frozen dataclass, or a function
    or class at the top of a module. Objects count with the module that defines their class.

    Raises UserError for anything else: what cannot be described cannot be recognised in the next process.
    """
    reach = _Reach(roots)
    return reach.digest([_described(value, reach)])


class _Reach:
    """Collects what is reached, statement by statement."""

    def __init__(self, roots: Roots) -> None:
        self.finder = Finder(roots)
        self.counted: dict[Module, set[int]] = defaultdict(set)
        self.ways: dict[Module, set[tuple[str, Place | Import]]] = defaultdict(set)
        self.packages: set[str] = set()
        self.pending: list[tuple[Module, int]] = []

    def start(self, function: Callable[..., Any]) -> None:
        """Count a function, and of its file only what it reaches."""
        function = inspect.unwrap(function)
        if not inspect.isfunction(function):
            raise UserError(f"expected a function written with def, got {function!r}")
        name, path = function.__name__, Path(function.__code__.co_filename)
        if not path.is_file():
            raise UserError(f"the function {name!r} is in {path.name}, which is not a file: save it in one")
        module = self.finder.start(path)
        if function.__qualname__ != name or name not in module.source.bindings:
            raise UserError(f"{path}: {function.__qualname__!r} must be defined with def at the top of its file")
        self._count_name(module, name)

    def count(self, place: Place, *, as_value: bool) -> None:
        """Count a place. A package as such counts only where it is used as a value."""
        module, name = place
        if not module.counts:
            return
        if module.by_name and name not in (None, "*"):
            self._count_name(module, str(name))
        elif not module.by_name or name == "*" or as_value:
            self._include(module, range(len(module.source.statements)))
            for imported in module.source.type_imports if module.by_name else ():
                self._follow(module, imported, None)

    def digest(self, values: list[Any], apart_from: Collection[str] = ()) -> Digest:
        """The digest of values and of all that was counted, once there is nothing left to follow."""
        while self.pending:
            module, index = self.pending.pop()
            statement = module.source.statements[index]
            self.packages.update(statement.packages)
            for imported in statement.imports:
                self._follow(module, imported, None)
            for use in statement.uses:
                self._follow_use(module, statement, use)
        counted = [m for m in self.counted if m.by_name or m.name not in apart_from]
        texts = sorted((module.name, self._text(module, apart_from)) for module in counted)
        return Digest(
            sha256=hashlib.sha256(json.dumps([texts, values]).encode()).hexdigest(),
            modules=sorted({name for name, _ in texts}),
            packages={name: _version(name) for name in sorted((self.packages | self.finder.installed) - BYSTANDERS)},
        )

    def _count_name(self, module: Module, name: str) -> None:
        """Count what binds or changes a name, and what may change anything in its file."""
        source = module.source
        self._include(module, (*source.bindings.get(name, ()), *source.changes.get(name, ()), *source.always))

    def _include(self, module: Module, indexes: Iterable[int]) -> None:
        new = set(indexes) - self.counted[module]
        self.counted[module] |= new
        self.pending.extend((module, index) for index in new)

    def _follow_use(self, module: Module, statement: Statement, use: Use) -> None:
        source = module.source
        for imported in (*(i for i in statement.imports if i.bound == use.root), *source.imports.get(use.root, ())):
            self._follow(module, imported, use)
        if use.root in source.bindings:
            self._count_name(module, use.root)

    def _follow(self, module: Module, imported: Import, use: Use | None) -> None:
        """Count what an import leads to, on through the attributes of a use; without one, the import itself."""
        attributes = list(use.attributes) if use else []
        way = imported.bound
        place = self.finder.follow(module, imported, dotted_top=use is not None)
        while use and attributes and place and place.name is None and place.module.counts and place.module.by_name:
            if attributes[0].startswith("__"):
                return  # Every module has a `__name__`; it leads nowhere.
            way += f".{attributes[0]}"
            place = self.finder.attribute(place.module, attributes.pop(0), f"{module.path}:{use.line}")
        # Where names lead is part of a module's text: swapping two imports changes it.
        self.ways[module].add((way, place or imported))
        if place:
            self.count(place, as_value=use is not None)

    def _text(self, module: Module, apart_from: Collection[str]) -> str:
        statements = module.source.statements
        ways = sorted({f"{way} = {_end(place, apart_from)}" for way, place in self.ways[module]})
        return "\n".join([*(statements[i].text for i in sorted(self.counted[module])), *ways])


def _end(place: Place | Import, apart_from: Collection[str]) -> str:
    """Where a way ends, in words; of a module that does not count only the name in it, so that it may be moved."""
    if isinstance(place, Import):
        return str((place.module, place.attribute))
    moves = place.module.name in apart_from and not place.module.by_name
    return str(place.name) if moves else str(place)


def _described(value: Any, reach: _Reach) -> Any:
    """A value as JSON that differs where values differ; counts the modules it comes from."""
    if value is None or type(value) in (bool, int, float, str):
        return [type(value).__name__, repr(value)]
    if type(value) is tuple:
        return ["tuple", *(_described(inner, reach) for inner in value)]
    if inspect.isclass(value) or inspect.isfunction(value):
        return ["definition", _definition(value, reach)]
    if getattr(getattr(type(value), "__dataclass_params__", None), "frozen", False):
        fields = {field.name: _described(getattr(value, field.name), reach) for field in dataclasses.fields(value)}
        return ["object", _definition(type(value), reach), fields]
    raise UserError(
        f"an arm may be a string, a number, a bool, None, a tuple of these, a frozen dataclass, or a function or "
        f"class at the top of a module; got {value!r:.200} ({type(value).__name__})"
    )


def _definition(definition: Any, reach: _Reach) -> str:
    """The full name of a function or class, whose module is counted."""
    definition = inspect.unwrap(definition) if inspect.isfunction(definition) else definition
    name, module_name = definition.__qualname__, definition.__module__
    if "<" in name:
        raise UserError(f"an arm must be defined at the top of a module, not inside a function: {name}")
    module = reach.finder.find(module_name) or _loaded(module_name, reach.finder)
    if module is None:
        reach.packages.update({module_name.split(".")[0]} - sys.stdlib_module_names)
        return f"{module_name}:{name}"
    module = reach.finder.start(module.path)
    top = name.split(".")[0]
    reach.count(Place(module, top if top in module.source.bindings else "*"), as_value=True)
    return f"{module.name}:{name}"


def _loaded(name: str, finder: Finder) -> Module | None:
    """The module of that name if it was loaded from a file that no import finds, as a script is."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or name.split(".")[0] in sys.stdlib_module_names or is_installed(Path(file)):
        return None
    return finder.at(Path(file).resolve())


def _version(package: str) -> str:
    """The installed version of the distribution that brings a package, "absent" if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        distributions = _distributions().get(package, [])
        return importlib.metadata.version(distributions[0]) if distributions else "absent"


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    # Slow (it reads every distribution): asked only for packages that are not named after theirs.
    return importlib.metadata.packages_distributions()
