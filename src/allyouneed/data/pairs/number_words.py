"""Numbers below a million in words, from one language to another, by num2words (extra "translation").

A language of its own that is translated without ambiguity, and not word by word: German says the units before the
tens and joins thousands into one word. Which numbers are in which split is the same for all languages and on every
machine; the words are the same wherever num2words has the recorded version.
"""

import copy
from collections.abc import Callable

import numpy as np

from allyouneed.data.pairs.pairs import Pairs
from allyouneed.data.pinned import kept_lines
from allyouneed.errors import UserError, require

# How many numbers of each count of digits are in train, tune and test; all that have one or two are in train.
SIZES = {3: (600, 50, 100), 4: (6_000, 150, 300), 5: (16_000, 300, 600), 6: (30_000, 500, 1_000)}
N_PAIRS = 100 + sum(map(sum, SIZES.values()))

# The sha256 of all numbers in words, one a line, under the pinned version of num2words (constraints.txt).
PINNED = {
    "de": "2cc01094cf0dc8165420211646ee797973af714dac0c272565563c1bf069d19e",
    "en": "e9a5b67540dcdac30064c03d40db37fe4a1573d6829910420776a3298ac5fbf8",
    "fr": "60101fadf8369de91705b5392f1684134338fd3f7917dd2782a07f493436636c",
}

_RULES = 1  # raise when a change of this module changes the words or their order
_SEED = 20170612
_UNABLE = {"am"}  # num2words fails on most of these numbers


def number_words(source: str = "en", target: str = "de") -> Pairs:
    """The same numbers in two languages: 52,700 pairs to train on, 1,000 to tune, 2,000 to test.

    No number is in two splits. Groups are the counts of digits ("5 digits"); every beginning of a split has them in
    the proportions of the whole. Words are in lower case and otherwise as num2words gives them. Made once for a
    language, in a second or two, and read from the cache afterwards. Raises UserError for a language that num2words
    cannot do, MissingExtra without num2words.
    """
    splits = _values()
    values = [value for split in splits.values() for value in split]
    pairs = iter(zip(_words(source, values), _words(target, values), strict=True))
    taken = {name: [next(pairs) for _ in split] for name, split in splits.items()}
    groups = {name: [_label(value) for value in split] for name, split in splits.items()}
    return Pairs(f"number_words:{source}-{target}", **taken, groups=groups)


def _values() -> dict[str, list[int]]:
    """The numbers of each split in their order, drawn without repeats."""
    random = np.random.RandomState(_SEED)  # the one generator whose numbers no version of numpy changes
    parts: dict[str, list[list[int]]] = {"train": [random.permutation(100).tolist()], "tune": [], "test": []}
    for n_digits, sizes in SIZES.items():
        drawn = 10 ** (n_digits - 1) + random.permutation(9 * 10 ** (n_digits - 1))
        for part, values in zip(parts.values(), np.split(drawn, np.cumsum(sizes))):
            part.append(values.tolist())
    return {name: _mixed(part) for name, part in parts.items()}


def _mixed(lists: list[list[int]]) -> list[int]:
    """All values, each list spread evenly over the whole."""
    places = [((i + 0.5) / len(values), value) for values in lists for i, value in enumerate(values)]
    return [value for _, value in sorted(places)]


def _words(language: str, values: list[int]) -> list[str]:
    known = require("num2words", "translation").CONVERTER_CLASSES.keys() - _UNABLE
    if language not in known:
        raise UserError(f"number_words has no language {language!r}; it has {', '.join(sorted(known))}")
    return kept_lines(
        f"number_words-{language}",
        "num2words",
        _RULES,
        PINNED.get(language),
        lambda: map(str.lower, map(_speller(language), values)),
    )


def _speller(language: str) -> Callable[[int], str]:
    """num2words' own function from a number to its words.

    Many languages look for each part of a number through all the number words they have, of which a hundred or so
    are for numbers of more than six digits. Without these the words are the same, ten times as fast.
    """
    speller = copy.copy(require("num2words", "translation").CONVERTER_CLASSES[language])
    if hasattr(speller, "cards"):
        speller.cards = {number: word for number, word in speller.cards.items() if number < 10**6}
    return speller.to_cardinal


def _label(value: int) -> str:
    n_digits = len(str(value))
    return f"{n_digits} digit" + "s" * (n_digits > 1)
