"""Adapters: small trainable parts that stand beside modules of a frozen model, whatever model it is.

An adapter's config names modules by pattern and builds a `Branch` for each, which sees what enters the module and
changes what leaves it. `Adapted` takes the module's place in the model and keeps the branches of all adapters by
name, so that several live in one model, switched without loading anything. No model class knows of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allyouneed.blocks.initial import named_generator
from allyouneed.models.stack import Stack


@runtime_checkable
class Branch(Protocol):
    """What stands beside one module."""

    def forward(self, x: Tensor, y: Float[Tensor, "*batch out"]) -> Float[Tensor, "*batch out"]:
        """What leaves the module with the branch, given what entered the module and what left it alone."""
        ...

    def fold(self, weight: Float[Tensor, "..."], sign: int) -> None:
        """Change the module's weight, in place, to give with the branch's share (sign 1) or again without (-1)."""
        ...

    def share(self, first: Any) -> None:
        """Use those parameters of another branch which modules that read the same vectors may have in common."""
        ...


@runtime_checkable
class Adapter(Protocol):
    """A config: which modules it is for, and the branch of one."""

    @property
    def targets(self) -> Sequence[str]:
        """Patterns of module names, as the shell's: `*.mixer.q`."""
        ...

    def fits(self, module: nn.Module) -> bool:
        """Whether there is a branch for a module of this kind."""
        ...

    def build(self, module: nn.Module) -> Any:
        """The branch of one module: a module itself, whose `init_parameters(generator_for)` draws its start."""
        ...


class Adapted(nn.Module):
    """A module with the branches of adapters by name; what it has besides is found on it as on the module itself.

    active: the adapters that take part, in their order. merged: those that are in the weight already.
    """

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.branches = nn.ModuleDict()
        self.active: tuple[str, ...] = ()
        self.merged: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base"), name)

    def forward(self, x: Tensor) -> Float[Tensor, "*batch out"]:
        """The module's output, changed by each active branch; in the module's precision."""
        y = plain = self.base(x)
        if not self.merged:
            for name in self.active:
                if name in self.branches:
                    y = self.branches[name](x, y)
        return y.to(plain.dtype)


def add_adapter(
    model: nn.Module, adapter: Adapter, name: str = "default", seed: int = 0, share: Iterable[Sequence[str]] = ()
) -> list[str]:
    """Put an adapter into `model`, freeze all else and make it the only active one; returns the modules it is at.

    seed: of its start, which each parameter draws by its own name.
    share: names of modules that read the same vectors; those of one group that are adapted have parameters in common
        (LoRA: A). peft does so where a format has them as one matrix: `fused(model)`.

    Raises ValueError if the name is taken or is none, or a pattern names no module that can be adapted; the model is
    then as it was.
    """
    places = find_targets(model, adapter)
    groups = {place: group for group in map(tuple, share) for place in group}
    firsts: dict[Sequence[str], Any] = {}
    built: dict[str, Any] = {}
    for place, module in places.items():
        built[place] = branch = adapter.build(module)
        branch.init_parameters(lambda own, place=place: named_generator(seed, f"{place}.branches.{name}.{own}"))
        if place in groups:
            branch.share(firsts.setdefault(groups[place], branch))
    put_branches(model, built, name)
    return list(places)


def put_branches(model: nn.Module, built: Mapping[str, Any], name: str) -> None:
    """As `add_adapter`, with branches that are built, by the names of their modules."""
    if not name or "." in name:
        raise ValueError(f"an adapter's name must not be empty or contain a dot, got {name!r}")
    if name in adapters(model):
        raise ValueError(f"the model has an adapter {name!r} already; it has {', '.join(adapters(model))}")
    _refuse_merged(model)
    for place, branch in built.items():
        adapted = _adapted(model, place)
        adapted.branches[name] = branch.train(adapted.training)
    activate(model, name)


def find_targets(model: nn.Module, adapter: Adapter) -> dict[str, nn.Module]:
    """The modules that an adapter is for, by name. Raises ValueError for a pattern that names none."""
    modules = plain_modules(model)
    for pattern in adapter.targets:
        named = [place for place in modules if fnmatchcase(place, pattern)]
        if not any(adapter.fits(modules[place]) for place in named):
            why = f"they are no modules that {type(adapter).__name__} fits" if named else "there is none of that name"
            fit = sorted({place.rpartition(".")[2] for place, module in modules.items() if adapter.fits(module)})
            raise ValueError(f"{pattern!r} names nothing to adapt: {why}; names end in {', '.join(fit)}")
    return {
        place: module
        for place, module in modules.items()
        if adapter.fits(module) and any(fnmatchcase(place, pattern) for pattern in adapter.targets)
    }


def adapters(model: nn.Module) -> list[str]:
    """The names of the adapters in a model."""
    return list(dict.fromkeys(name for module in _all_adapted(model).values() for name in module.branches))


def branches(model: nn.Module, name: str) -> dict[str, Any]:
    """The branches of one adapter, by the name of their module. Raises ValueError if there is no such adapter."""
    _check(model, [name])
    return {place: m.branches[name] for place, m in _all_adapted(model).items() if name in m.branches}


def activate(model: nn.Module, *names: str) -> None:
    """From now on these adapters take part, and they alone are trained; what each adds, adds up.

    Without names the model is its frozen self. Raises ValueError for an unknown name, or while adapters are merged.
    """
    _check(model, names)
    _refuse_merged(model)
    model.requires_grad_(False)
    for module in _all_adapted(model).values():
        module.active = names
        for name in names:
            if name in module.branches:
                module.branches[name].requires_grad_(True)


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Within the block the model is as it was without adapters: the reference that it is compared with, at no memory.

    Raises ValueError while adapters are merged.
    """
    _refuse_merged(model)
    before = {module: module.active for module in _all_adapted(model).values()}
    try:
        for module in before:
            module.active = ()
        yield
    finally:
        for module, active in before.items():
            module.active = active


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Put the active adapters into the weights: no more work than without them. `unmerge` takes them out again.

    Raises ValueError if they are merged, if a value of theirs is not finite, or at an embedding that the head has for
    its matrix, which would change as well; the weights are then as they were.
    """
    _refuse_merged(model)
    modules = _all_adapted(model)
    for place, module in modules.items():
        active = [name for name in module.active if name in module.branches]
        if active and any(module is stack.embedding and _is_tied(stack) for stack in _stacks(model)):
            raise ValueError(f"{place} cannot be merged: it is the head's matrix too, which the adapter leaves alone")
        for name in active:
            if not all(torch.isfinite(parameter).all() for parameter in module.branches[name].parameters()):
                raise ValueError(f"the adapter {name!r} at {place} has values that are not finite")
    for module in modules.values():
        _fold(module, 1)
        module.merged = module.active


@torch.no_grad()
def unmerge(model: nn.Module) -> None:
    """Take merged adapters out of the weights; in bfloat16 and float16 not to the last bit, as both steps round."""
    for module in _all_adapted(model).values():
        if module.merged:
            _fold(module, -1)
            module.merged = ()


def remove_adapters(model: nn.Module) -> None:
    """Give back plain modules, with what was merged in their weights; without branches, and all to be trained."""
    for place, module in _all_adapted(model).items():
        _replace(model, place, module, module.base)
    model.requires_grad_(True)


def _fold(module: Adapted, sign: int) -> None:
    for name in module.active:
        if name in module.branches:
            branch: Any = module.branches[name]
            branch.fold(module.base.weight, sign)


def _all_adapted(model: nn.Module) -> dict[str, Adapted]:
    return {place: module for place, module in model.named_modules() if isinstance(module, Adapted)}


def plain_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules by the names that they have without adapters."""
    adapted = _all_adapted(model)
    inside = tuple(f"{place}." for place in adapted)
    modules = {place: module for place, module in model.named_modules() if not place.startswith(inside)}
    return {place: module.base if isinstance(module, Adapted) else module for place, module in modules.items()}


def _adapted(model: nn.Module, place: str) -> Adapted:
    """The module of that name, which can have branches from now on."""
    module = model.get_submodule(place)
    if isinstance(module, Adapted):
        return module
    adapted = Adapted(module).train(module.training)
    _replace(model, place, module, adapted)
    return adapted


def _replace(model: nn.Module, place: str, old: nn.Module, new: nn.Module) -> None:
    parent, _, name = place.rpartition(".")
    setattr(model.get_submodule(parent), name, new)
    for stack in _stacks(model):  # one that reads with another's embedding has it beside its modules
        if vars(stack).get("embedding") is old:
            object.__setattr__(stack, "embedding", new)


def _stacks(model: nn.Module) -> list[Stack]:
    return [module for module in model.modules() if isinstance(module, Stack)]


def _is_tied(stack: Stack) -> bool:
    return stack.config.has_head and stack.unembedding is None


def _check(model: nn.Module, names: Iterable[str]) -> None:
    known = adapters(model)
    for name in names:
        if name not in known:
            raise ValueError(f"the model has no adapter {name!r}; it has {', '.join(known) or 'none'}")


def _refuse_merged(model: nn.Module) -> None:
    merged: Mapping[str, None] = dict.fromkeys(n for module in _all_adapted(model).values() for n in module.merged)
    if merged:
        raise ValueError(f"adapters are merged into the weights ({', '.join(merged)}): call unmerge(model) first")
