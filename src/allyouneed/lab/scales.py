"""What a study's scales say beyond their numbers: which entry a run takes, and the smaller sizes of a scale.

A scale may list `smaller=({"d_model": 16}, {"d_model": 32})`: which of its values make its smaller models,
smallest first. A claim is judged at the scale itself; over these sizes its trend is told. With `claims=("C1", "C2")`
only these are judged at the scale, unless the user asks for others. An entry `laptop-multi30k` takes the place of
`laptop` on multi30k, and one `laptop-*` on whatever data are neither the study's own nor have such an entry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

# What a scale says of itself that changes no single trial.
NOT_IN_TRIALS = ("minutes", "seeds", "smaller", "claims")


def check(name: str, scale: Any) -> None:
    """Refuse, with ValueError, what is no scale, and smaller sizes that change what the scale has not got."""
    if not is_dataclass(scale) or not hasattr(scale, "minutes"):
        raise ValueError(f"scale {name!r} must be a dataclass with `minutes`, got {scale!r}")
    known = scale_values(scale)
    for changes in getattr(scale, "smaller", ()):
        unknown = [key for key in changes if key not in known]
        if unknown or not changes:
            raise ValueError(
                f"a smaller size of scale {name!r} changes some of {', '.join(known)}; got {', '.join(unknown) or '{}'}"
            )


def askable(scales: Iterable[str]) -> list[str]:
    """The scales that can be asked for: `laptop-multi30k` and `laptop-*` only stand in for `laptop` on other data."""
    scales = list(scales)
    return [name for name in scales if not any(name.startswith(f"{other}-") for other in scales)]


def find(scales: Mapping[str, Any], name: str, data: str | None, own: str | None = None) -> Any:
    """The scale `name` as it is for that data: the entry `name-data` if there is one; else, for data that are not
    the study's `own`, the entry `name-*`; else the entry `name`.

    What follows a colon in the data's name, such as the languages of `multi30k:de-en`, may be left out
    of the entry's, and makes of the study's own data no others.
    """
    plain = {_plain(entry): scale for entry, scale in scales.items()}
    whole = data or own or ""
    on_others = ["*"] if _plain(_base(whole)) != _plain(_base(own or "")) else []
    stand_ins = [_plain(f"{name}-{on}") for on in (whole, _base(whole), *on_others)]
    return next((plain[entry] for entry in stand_ins if entry in plain), scales[name])


def names(scales: Iterable[str], data: str) -> bool:
    """Whether a scale stands in for another on these very data."""
    endings = tuple(f"-{_plain(on)}" for on in (data, _base(data)))
    return any(_plain(name).endswith(endings) for name in scales)


def scale_values(scale: Any) -> dict[str, Any]:
    """What of a scale a trial may depend on."""
    return {f.name: getattr(scale, f.name) for f in fields(scale) if f.name not in NOT_IN_TRIALS}


def smaller_sizes(scale: Any) -> list[Any]:
    """The smaller scales that a scale lists, smallest first; none of them lists any itself."""
    return [replace(scale, smaller=(), **changes) for changes in getattr(scale, "smaller", ())]


def size_axis(scale: Any) -> list[str]:
    """The names of the values by which a scale's sizes differ."""
    return list(dict.fromkeys(key for changes in getattr(scale, "smaller", ()) for key in changes))


def size_name(size: Any, axis: Iterable[str]) -> str:
    """How a size is named on its axis: `32`, or `32/1` where two values make it."""
    return "/".join(str(getattr(size, name)) for name in axis)


def _base(name: str) -> str:
    """A name of data without its languages."""
    return name.partition(":")[0]


def _plain(name: str) -> str:
    """A name as data are asked for by: `-` equals `_`."""
    return name.replace("_", "-")
