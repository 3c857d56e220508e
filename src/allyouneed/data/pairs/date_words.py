"""Dates in the ways people write them, from one language to another, by babel (extra "translation").

The source is any of three usual forms, the target always the full one: names of days and months are translated,
their abbreviations and numbers spelled out, and the order is the other language's. All forms tell the day of the
week, without which nobody could translate into the full form but by a calendar.
"""

import datetime
from collections.abc import Iterator

import numpy as np

from allyouneed.data.pairs.pairs import Pairs
from allyouneed.data.pinned import kept_lines
from allyouneed.errors import UserError, require

SIZES = {"train": 20_000, "tune": 1_000, "test": 1_000}
N_PAIRS = sum(SIZES.values())

# The sha256 of all dates in a language, one a line, under the pinned version of babel (constraints.txt).
PINNED = {
    "de": "d87ad6e03e26eaba38b1a96f259666fcf2826bdd51a4e1ad3fc3f5ea34541834",
    "en": "caea94977cd444a80ced43929d1dbf750db4704c91892177f582c36988d9d1fa",
    "fr": "96ad01b6f61cc098cff502eecfb107e15d5c13653945ee1e1450a29b0acd7631",
}

_RULES = 1  # raise when a change of this module changes the dates or their order
_SEED = 20140901
_FIRST, _LAST = datetime.date(1800, 1, 1), datetime.date(2199, 12, 31)
# In English: Tuesday, March 3, 1998; Tue, Mar 3, 1998; Tue, 3/3/1998. The latter two by Unicode's names of patterns.
_FORMS = {"full": None, "short": "yMMMEd", "numbers": "yMEd"}


def date_words(source: str = "en", target: str = "de") -> Pairs:
    """Dates of the years 1800 to 2199 in two languages: 20,000 pairs to train on, 1,000 to tune, 1,000 to test.

    No date is in two splits. Groups are the forms of the source: "full", "short" and "numbers". Text is as babel
    gives it. Made once for a language, in a second, and read from the cache afterwards. Raises UserError for a
    language that babel does not know, MissingExtra without babel.
    """
    sources = [varied for varied, _ in _dates(source)]
    targets = [full for _, full in _dates(target)]
    pairs = iter(zip(sources, targets, strict=True))
    forms = iter(_forms())
    taken = {name: [next(pairs) for _ in range(size)] for name, size in SIZES.items()}
    groups = {name: [next(forms) for _ in range(size)] for name, size in SIZES.items()}
    return Pairs(f"date_words:{source}-{target}", **taken, groups=groups)


def _forms() -> list[str]:
    """The form of each source, all splits end to end; by turns, so that each split has as many of each."""
    return [list(_FORMS)[i % len(_FORMS)] for i in range(N_PAIRS)]


def _dates(language: str) -> list[list[str]]:
    """Each date in its form as a source, and in full."""
    if not require("babel", "translation").localedata.exists(language):
        raise UserError(
            f"date_words has no language {language!r}; it has those of Unicode's CLDR, such as ar, de, en, en_GB, es, "
            "fr, hi, it, ja, pl, pt, ru, sv, tr, zh"
        )
    lines = kept_lines(f"date_words-{language}", "babel", _RULES, PINNED.get(language), lambda: _written(language))
    return [line.split("\t") for line in lines]


def _written(language: str) -> Iterator[str]:
    """A line for each date: its form as a source, a tab, and the full form."""
    dates = require("babel.dates", "translation")
    random = np.random.RandomState(_SEED)  # the one generator whose numbers no version of numpy changes
    days = random.permutation((_LAST - _FIRST).days + 1)[:N_PAIRS]
    for form, day in zip(_forms(), days.tolist(), strict=True):
        date = _FIRST + datetime.timedelta(day)
        full = dates.format_date(date, "full", locale=language)
        pattern = _FORMS[form]
        yield f"{dates.format_skeleton(pattern, date, locale=language) if pattern else full}\t{full}"
