"""What a Python file says, read from its syntax tree without running it.

A file becomes a list of top-level statements; each knows its normalised text, the names it binds, the
names of the file that it uses, and what it imports. `source` follows these from file to file.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

# The decorators of a study: they say how a function is run and judged, not what it does.
STUDY_DECORATORS = {"trial", "timing", "gate", "claim", "figure"}


@dataclass(frozen=True)
class Import:
    """One name that an import statement binds: `attribute` of `module`, or the module itself.

    `level` counts the leading dots. `attribute` is "*" for a star import. `dotted` marks the plain
    `import a.b.c`, which binds `a`.
    """

    bound: str
    module: str
    attribute: str | None
    level: int
    line: int
    dotted: bool = False


@dataclass(frozen=True)
class Use:
    """A name of the file's top level, with the attributes taken from it: `ayn.models.Decoder`."""

    root: str
    attributes: tuple[str, ...]
    line: int


class Statement:
    """A top-level statement after normalisation."""

    def __init__(self, node: ast.stmt) -> None:
        self.node = node
        self.imports = tuple(_imports([node]))
        self.only_imports = isinstance(node, ast.Import | ast.ImportFrom)
        self.binds = set() if self.only_imports else _bound([node])
        if not isinstance(node, _OWN_SCOPE) and not self.only_imports:
            # `try: import fast` in a statement of its own kind binds the name as an assignment would.
            self.binds |= {imported.bound for imported in self.imports}

    @cached_property
    def text(self) -> str:
        """The statement without what cannot change a run; "" for an import, which counts by what it leads to.

        `ast.unparse`, because `ast.dump` shows fields that come and go with the Python version.
        """
        return "" if self.only_imports else ast.unparse(self.node)

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """The names that are looked up at the file's top level when this statement, or a function in it, runs."""
        if self.only_imports:
            return ()
        visitor = _Uses()
        visitor.visit(self.node)
        return tuple(dict.fromkeys(visitor.uses))

    @cached_property
    def acts_on(self) -> set[str]:
        """What it changes, or calls for its effect, at the top level: `torch` in `torch.set_num_threads(1)`."""
        return set(_acts_on([self.node]))

    @cached_property
    def decorators(self) -> set[str]:
        """The names its decorators begin with."""
        return {_root(decorator) for decorator in getattr(self.node, "decorator_list", ())}

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """The names in `PACKAGES = (...)`: packages whose content, not only whose code, the module uses."""
        if "PACKAGES" not in self.binds or not isinstance(self.node, ast.Assign | ast.AnnAssign):
            return ()
        value = self.node.value
        items = value.elts if isinstance(value, ast.Tuple | ast.List) else []
        return tuple(item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str))


class Source:
    """One file: its statements, what its names stand for, and the imports that only type checkers see."""

    def __init__(self, tree: ast.Module) -> None:
        type_only = [node for node in tree.body if isinstance(node, ast.If) and _is_type_only(node.test)]
        self.type_imports = tuple(_imports(statement for node in type_only for statement in node.body))
        self.is_study = any(
            STUDY_DECORATORS & {_study_decorator(d) for d in getattr(node, "decorator_list", ())} for node in tree.body
        )
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.decorator_list = [d for d in node.decorator_list if not _study_decorator(d)]
        self.statements = tuple(Statement(node) for node in _Normal().visit(tree).body)
        self.imports: dict[str, list[Import]] = defaultdict(list)
        self.bindings: dict[str, list[int]] = defaultdict(list)
        for index, statement in enumerate(self.statements):
            for name in statement.binds:
                self.bindings[name].append(index)
            if statement.only_imports:
                for imported in statement.imports:
                    self.imports[imported.bound].append(imported)

    @cached_property
    def changes(self) -> dict[str, list[int]]:
        """The statements that change a variable of the file: `ARMS["mine"] = ...`, by its name."""
        changes: dict[str, list[int]] = defaultdict(list)
        for index, statement in enumerate(self.statements):
            for name in statement.acts_on:
                changes[name].append(index)
        return changes

    @cached_property
    def always(self) -> tuple[int, ...]:
        """The statements that may change what any function of the file does, whoever reaches it.

        Calls for their effect and changes of what is not a variable of the file (`torch.manual_seed(0)`),
        what a function of the file decorates (it may register it), and star imports.
        """
        kinds = {name: self.statements[i].node for name, indexes in self.bindings.items() for i in indexes}
        functions = {name for name, node in kinds.items() if isinstance(node, ast.FunctionDef)}
        variables = {name for name in kinds.keys() - functions if not isinstance(kinds[name], ast.ClassDef)}
        return tuple(
            index
            for index, s in enumerate(self.statements)
            if s.acts_on - variables
            or s.decorators & functions
            or (s.only_imports and any(imported.attribute == "*" for imported in s.imports))
        )


def read(path: Path) -> Source:
    """The file at `path`, parsed once for each of its states in this process.

    Raises SyntaxError or OSError as reading and parsing do.
    """
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2048)
def _read(path: Path, mtime_ns: int, size: int) -> Source:
    return Source(ast.parse(path.read_bytes(), str(path)))


class _Normal(ast.NodeTransformer):
    """Takes out what cannot change a run: docstrings and other bare constants, `pass`, blocks for type
    checkers, and the block that runs a file as a script."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        return None

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if _is_type_only(node.test) or _is_main(node.test):
            return [kept for statement in node.orelse for kept in _as_list(self.visit(statement))]
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """An f-string as a tuple of its parts, since Python versions differ in how they quote one."""
        parts = [self.visit(part) for part in node.values]
        return ast.Tuple([ast.Constant("f-string"), *parts], ast.Load())

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        spec = self.visit(node.format_spec) if node.format_spec else ast.Constant(None)
        return ast.Tuple([self.visit(node.value), ast.Constant(node.conversion), spec], ast.Load())


class _Uses(ast.NodeVisitor):
    """Collects the names that no function around them binds. A name bound by an import inside a function
    is collected too: its attributes lead into what was imported."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self.hidden: list[set[str]] = []

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Store):
            self._note(node, ())

    def visit_Attribute(self, node: ast.Attribute) -> None:
        attributes: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            attributes.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            self._note(inner, tuple(reversed(attributes)))
        else:
            self.visit(inner)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, node.args, node.returns):
            if part is not None:
                self.visit(part)
        self._visit_hiding(_parameters(node.args) | _bound(node.body), node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        self._visit_hiding(_parameters(node.args), [node.body])

    def _visit_comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)  # Runs outside: `[x for x in x]` reads the outer x.
        targets = _bound([generator.target for generator in node.generators])
        self._visit_hiding(targets, ast.iter_child_nodes(node))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension

    def _visit_hiding(self, names: set[str], nodes: Iterable[ast.AST]) -> None:
        self.hidden.append(names)
        for node in nodes:
            self.visit(node)
        self.hidden.pop()

    def _note(self, node: ast.Name, attributes: tuple[str, ...]) -> None:
        if not any(node.id in names for names in self.hidden):
            self.uses.append(Use(node.id, attributes, node.lineno))


def _bound(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that these nodes bind in their own scope, other than by imports."""
    names: set[str] = set()
    elsewhere: set[str] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Global):
            elsewhere.update(node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
        if not isinstance(node, _OWN_SCOPE):
            pending.extend(ast.iter_child_nodes(node))
    return names - elsewhere


_OWN_SCOPE = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


def _acts_on(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The names at the root of calls for effect, and of assignments to attributes and items, outside functions."""
    for node in nodes:
        if isinstance(node, ast.Expr):
            yield _root(node.value)
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield _root(node)
        elif not isinstance(node, _OWN_SCOPE):
            yield from _acts_on(ast.iter_child_nodes(node))


def _root(node: ast.expr) -> str:
    """The name an expression begins with, "" if with none: `f` in `f(1).g[2]`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _imports(nodes: Iterable[ast.AST]) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                yield Import(bound, alias.name, None, 0, node.lineno, dotted=not alias.asname and "." in alias.name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                bound = alias.asname or alias.name
                yield Import(bound, node.module or "", alias.name, node.level, node.lineno)
        elif not isinstance(node, ast.expr):
            yield from _imports(ast.iter_child_nodes(node))


def _parameters(args: ast.arguments) -> set[str]:
    return {arg.arg for arg in ast.walk(args) if isinstance(arg, ast.arg)}


def _study_decorator(node: ast.expr) -> str:
    """ "trial" for `@study.trial(...)`, and so on; "" for any other decorator."""
    function = node.func if isinstance(node, ast.Call) else node
    named = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
    return function.attr if named and function.attr in STUDY_DECORATORS else ""  # type: ignore[attr-defined]


def _is_type_only(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _is_main(test: ast.expr) -> bool:
    return ast.unparse(test) == "__name__ == '__main__'"


def _as_list(visited: ast.AST | list[ast.stmt] | None) -> list[ast.stmt]:
    if visited is None:
        return []
    return visited if isinstance(visited, list) else [visited]  # type: ignore[list-item]
