"""Numbers in words: which are where, that the words are num2words' own, that they are kept and checked."""

import importlib.metadata
import sys
import warnings
from collections import Counter

import pytest

from allyouneed.data import open_data
from allyouneed.data.pairs import number_words as home
from allyouneed.data.pairs.number_words import SIZES, _speller, _values, number_words
from allyouneed.errors import MissingExtra, UserError

num2words = pytest.importorskip("num2words")

pytestmark = pytest.mark.filterwarnings("ignore:the text of number_words")  # another num2words is no fault of the code
EN_DE = "d622ee9da3da895d7167adc7fc4fd1430d23528bc73e55a4c1f483858f692e1b"


@pytest.fixture
def few(monkeypatch):
    """The same with fewer numbers, where their count does not matter."""
    monkeypatch.setattr(home, "SIZES", {3: (9, 3, 3), 4: (20, 6, 6)})
    monkeypatch.setattr(home, "PINNED", {})


def test_every_number_is_in_one_split_and_the_shortest_are_in_train():
    values = _values()
    every = [value for split in values.values() for value in split]
    assert len(set(every)) == len(every) == home.N_PAIRS
    assert set(range(100)) <= set(values["train"])
    for place, name in enumerate(values):
        digits = Counter(len(str(value)) for value in values[name] if value >= 100)
        assert digits == {n_digits: sizes[place] for n_digits, sizes in SIZES.items()}


def test_every_beginning_of_a_split_is_a_fair_mix():
    for split in ("tune", "test"):
        values = _values()[split]
        for n in (20, 133, 700):
            for n_digits in SIZES:
                share = sum(len(str(value)) == n_digits for value in values[:n])
                whole = sum(len(str(value)) == n_digits for value in values)
                assert share == pytest.approx(n * whole / len(values), abs=1)


def test_the_pairs_are_the_recorded_ones_and_say_their_digits():
    pairs = number_words()
    assert (len(pairs.train), len(pairs.tune), len(pairs.test)) == (52_700, 1_000, 2_000)
    assert {name: len(labels) for name, labels in pairs.groups.items()} == {
        "train": 52_700,
        "tune": 1_000,
        "test": 2_000,
    }
    german = {spelled: value for value in range(10_000) for spelled in [num2words.num2words(value, lang="de")]}
    for (source, target), label in zip(pairs.test, pairs.groups["test"]):
        if label in ("3 digits", "4 digits"):
            value = german[target]
            assert (label, source) == (f"{len(str(value))} digits", num2words.num2words(value, lang="en"))
    assert ("one", "eins") in pairs.train
    assert pairs.groups["train"][pairs.train.index(("one", "eins"))] == "1 digit"
    if importlib.metadata.version("num2words") == "0.5.14":
        assert pairs.version == EN_DE


def test_no_sentence_is_in_two_splits():
    pairs = open_data("number_words:de-en", "pairs")
    sources = [{source for source, _ in split} for split in (pairs.train, pairs.tune, pairs.test)]
    assert len(set().union(*sources)) == home.N_PAIRS


@pytest.mark.parametrize("language", sorted(num2words.CONVERTER_CLASSES.keys() - home._UNABLE))
def test_the_quick_way_gives_num2words_own_words(language):
    speller = _speller(language)
    for value in [*range(25), 60, 71, 99, 100, 101, 180, 999, 1000, 1001, 2100, 9999, 10_000, 21_021, 100_000, 999_999]:
        assert speller(value) == num2words.num2words(value, lang=language)


def test_words_are_in_lower_case(few):
    assert all(source == source.lower() for source, _ in open_data("number_words:ar-lt", "pairs").train)


def test_words_are_made_once_and_again_when_their_file_is_damaged(few, cache, monkeypatch):
    first = number_words("fr", "de")
    made = []
    speller = home._speller
    monkeypatch.setattr(home, "_speller", lambda language: made.append(language) or speller(language))
    assert number_words("de", "fr").train == [(b, a) for a, b in first.train]
    assert made == []
    (file,) = (cache / "pairs").glob("number_words-de-*.txt")
    file.write_bytes(file.read_bytes().replace(b"hundert", b"hundred", 1))
    assert number_words("fr", "de").version == first.version
    assert made == ["de"]


def test_other_words_than_the_recorded_ones_are_said(few, monkeypatch):
    monkeypatch.setattr(home, "PINNED", {"de": "0" * 64})
    with pytest.warns(UserWarning, match=r"the text of number_words-de differs here .*\(num2words 0") as caught:
        number_words("en", "de")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        number_words("en", "fr")


def test_an_unknown_language_names_the_known_ones():
    with pytest.raises(UserError, match=r"no language 'xx'; it has ar, .*, de, .*, vi$"):
        number_words("en", "xx")
    with pytest.raises(UserError, match="no language 'am'"):
        number_words("am", "en")


def test_without_num2words_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "num2words", None)
    with pytest.raises(MissingExtra, match=r"allyouneed\[translation\]"):
        number_words()
