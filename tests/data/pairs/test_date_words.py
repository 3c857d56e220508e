"""Dates in words: splits, forms, languages."""

import datetime
import importlib.metadata
import sys

import pytest

from allyouneed.data.pairs import date_words as home
from allyouneed.data.pairs.date_words import date_words
from allyouneed.errors import MissingExtra, UserError

dates = pytest.importorskip("babel.dates")

pytestmark = pytest.mark.filterwarnings("ignore:the text of date_words")  # another babel is no fault of the code
EN_DE = "36286ddfdd02c8ccbe03030751270ff224735ff35692471ce64c2127cc114fb7"


def test_the_pairs_are_the_recorded_ones_and_no_date_is_in_two_splits():
    pairs = date_words()
    splits = [pairs.train, pairs.tune, pairs.test]
    assert [len(split) for split in splits] == [20_000, 1_000, 1_000]
    assert len({target for split in splits for _, target in split}) == home.N_PAIRS  # the full form tells the date
    assert len({source for split in splits for source, _ in split}) == home.N_PAIRS
    if importlib.metadata.version("babel") == "2.18.0":
        assert pairs.version == EN_DE


def test_a_pair_is_one_date_in_the_form_that_its_group_says():
    full = {}
    day = home._FIRST
    while day <= home._LAST:
        full[dates.format_date(day, "full", locale="de")] = day
        day += datetime.timedelta(1)
    pairs = date_words()
    write = {
        "full": lambda day: dates.format_date(day, "full", locale="en"),
        "short": lambda day: f"{day:%a}, {day:%b} {day.day}, {day.year}",
        "numbers": lambda day: f"{day:%a}, {day.month}/{day.day}/{day.year}",
    }
    for split in ("tune", "test"):
        labels = pairs.groups[split]
        assert sorted(labels.count(form) for form in write) == [333, 333, 334]
        for (source, target), form in zip(getattr(pairs, split), labels, strict=True):
            assert source == write[form](full[target])


def test_every_form_is_there_in_other_languages(monkeypatch):
    monkeypatch.setattr(home, "SIZES", {"train": 3, "tune": 3, "test": 3})
    monkeypatch.setattr(home, "N_PAIRS", 9)
    monkeypatch.setattr(home, "PINNED", {})
    for language in ("ja", "zh_Hant", "pt_BR", "ar"):
        assert len(set(date_words(language, "en").train)) == 3


def test_an_unknown_language_is_an_error():
    with pytest.raises(UserError, match=r"no language 'xx'; it has those of Unicode's CLDR, such as ar, de"):
        date_words("xx", "de")


def test_without_babel_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "babel", None)
    with pytest.raises(MissingExtra, match=r"allyouneed\[translation\]"):
        date_words()
