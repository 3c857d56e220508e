"""Passages and the questions that are asked of them, with what was judged relevant."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar


@dataclass(frozen=True)
class Questions:
    """The questions of a split, and for each what was judged: grades by the passage's number, above 0 is relevant.

    groups: the kind of each question, where there are kinds.
    """

    texts: list[str] = field(default_factory=list)
    judged: list[dict[int, int]] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def group(self, name: str) -> "Questions":
        """Those of one kind."""
        places = [place for place, group in enumerate(self.groups) if group == name]
        judged = [self.judged[place] for place in places]
        return Questions([self.texts[place] for place in places], judged, [name] * len(places))

    def first(self, n: int) -> "Questions":
        """The first n of them."""
        return Questions(self.texts[:n], self.judged[:n], self.groups[:n])

    def renumbered(self, place: dict[int, int]) -> "Questions":
        """The same, of passages that have other numbers now."""
        judged = [{place[number]: grade for number, grade in of.items()} for of in self.judged]
        return Questions(self.texts, judged, self.groups)

    @classmethod
    def joined(cls, parts: "list[Questions]") -> "Questions":
        """All of the parts, one behind the other."""
        columns = ("texts", "judged", "groups")
        return cls(*([row for part in parts for row in getattr(part, column)] for column in columns))


@dataclass(frozen=True, eq=False)
class Passages:
    """A named collection and its questions in three splits; a published one may have questions to test on alone.

    places: where each passage comes from, such as "guide.md:12"; a name that questions may give.
    documents: the number of the document that each passage is of, where documents were judged in place of passages;
        the numbers in `judged` are then theirs.
    """

    unit: ClassVar[str] = "questions"  # what the length of a split counts
    least: ClassVar[int] = 0

    name: str
    passages: list[str]
    train: Questions = field(default_factory=Questions)
    tune: Questions = field(default_factory=Questions)
    test: Questions = field(default_factory=Questions)
    places: list[str] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)

    @cached_property
    def version(self) -> str:
        """The sha256 (hex) of the content."""
        splits = [[split.texts, [sorted(of.items()) for of in split.judged], split.groups] for split in self.splits]
        content = json.dumps([self.passages, splits, self.places, self.documents])
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()

    def part(self, n_train: int, n_tune: int, n_test: int) -> "Passages":
        """The first so many questions of each split (of test, of each of its groups), and the passages that were judged
        for them: a small collection to try something on. One without questions stays whole."""
        if not any(len(split) for split in self.splits):
            return self
        train, tune = self.train.first(n_train), self.tune.first(n_tune)
        groups = [self.test.group(name).first(n_test) for name in dict.fromkeys(self.test.groups)]
        test = Questions.joined(groups) if groups else self.test.first(n_test)
        judged = sorted({number for split in (train, tune, test) for of in split.judged for number in of})
        place = {number: at for at, number in enumerate(judged)}
        train, tune, test = (split.renumbered(place) for split in (train, tune, test))
        places = [self.places[number] for number in judged] if self.places else []
        return Passages(self.name, [self.passages[number] for number in judged], train, tune, test, places)

    @property
    def splits(self) -> tuple[Questions, Questions, Questions]:
        """Train, tune and test."""
        return self.train, self.tune, self.test
