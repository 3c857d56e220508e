"""Biographies of people who do not exist: facts, each told in one passage, and questions that are asked of them.

What a passage says can be known from that passage alone, so that a model which answers has found it. Passages and
questions share no word but names and those that every sentence has ("the", "of", "who"): words alone lead to the
person and not to the fact. How facts are told and asked stands in `biography_sentences`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from allyouneed.data.passages import Passages, Questions
from allyouneed.data.tasks.biography_sentences import ATTRIBUTES, FIRST_NAMES, SURNAMES, SYLLABLES, Attribute

TRAIN_ASKS, TUNE_ASKS, TEST_ASKS = slice(0, 3), slice(3, 4), slice(4, 6)  # which ways of asking each split has
FAMILIAR, NEW = "familiar people", "new people"


@dataclass(frozen=True)
class Fact:
    """`person` and `attribute` by number; `value` as it stands in the passage. stale: it was true once."""

    person: int
    attribute: int
    value: str
    stale: bool = False


@dataclass(frozen=True)
class Biographies:
    """A law by which people and their facts are drawn; all of it follows from `seed`.

    n_people: whose names are made of common first names and surnames, no two the same.
    n_new: people besides, with made-up names, whom no training question asks about.
    n_namesakes: about how many people there are of each surname; more where surnames run out (there are 100).
    world: facts are drawn anew for each, people are not: what is true in world 1 is false in world 0.
    stale_share: of the facts, how many have an older value in a passage of its own ("In 2009 ...").
    aliases: questions call people by their nickname.

    Raises ValueError for more people than there are names.
    """

    n_people: int = 500
    n_new: int = 50
    seed: int = 0
    world: int = 0
    n_namesakes: int = 1
    stale_share: float = 0.0
    aliases: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.n_people <= len(FIRST_NAMES) * self._n_surnames:
            raise ValueError(f"{self.n_people} people, but {len(FIRST_NAMES) * self._n_surnames} names")
        if not 0 <= self.stale_share <= 1:
            raise ValueError(f"stale_share must lie in [0, 1], got {self.stale_share}")

    @property
    def _n_surnames(self) -> int:
        return min(len(SURNAMES), max(1, self.n_people // self.n_namesakes))

    @cached_property
    def names(self) -> list[str]:
        """Of all people, the new ones last."""
        random = np.random.default_rng((self.seed, 0))
        pairs = [f"{first} {last}" for first in FIRST_NAMES for last in SURNAMES[: self._n_surnames]]
        familiar = [pairs[place] for place in random.permutation(len(pairs))[: self.n_people]]
        made_up: dict[str, None] = {}
        while len(made_up) < self.n_new:
            first, last = ("".join(random.choice(SYLLABLES, size=3)).capitalize() for _ in range(2))
            made_up[f"{first} {last}"] = None
        return familiar + list(made_up)

    @cached_property
    def facts(self) -> list[Fact]:
        """One for each person and attribute, in this order; then the stale ones."""
        random = np.random.default_rng((self.seed, 1, self.world))
        people = range(len(self.names))
        facts = [Fact(p, a, self._value(ATTRIBUTES[a], p, random)) for p in people for a in range(len(ATTRIBUTES))]
        old = random.permutation(len(facts))[: round(self.stale_share * len(facts))]
        for fact in [facts[place] for place in sorted(old)]:
            value = fact.value
            while value == fact.value:
                value = self._value(ATTRIBUTES[fact.attribute], fact.person, random)
            facts.append(Fact(fact.person, fact.attribute, value, stale=True))
        return facts

    @cached_property
    def passages(self) -> list[str]:
        """The passage of each fact, in one of its attribute's ways of telling."""
        random = np.random.default_rng((self.seed, 2, self.world))
        return [self._tell(fact, random) for fact in self.facts]

    def ask(self, place: int, way: int) -> str:
        """The question whose answer is fact number `place`, in one of its attribute's six ways."""
        fact = self.facts[place]
        name = self.names[fact.person]
        if self.aliases and fact.person < self.n_people:
            first, _, last = name.partition(" ")
            name = f"{FIRST_NAMES[first]} {last}"
        return ATTRIBUTES[fact.attribute].asked[way].format(name=name)

    def collection(self, n_train: int, n_tune: int, n_test: int) -> Passages:
        """Questions about facts that no other question of the collection asks for, in ways that no other split has.

        The test split has two groups of `n_test` each: "familiar people", about whom train asks for other facts, and
        "new people". Raises ValueError if there are fewer facts than questions.
        """
        n_true, n_facts = len(self.names) * len(ATTRIBUTES), self.n_people * len(ATTRIBUTES)
        if n_train + n_tune + n_test > n_facts or n_test > n_true - n_facts:
            raise ValueError(f"{n_facts} facts of familiar and {n_true - n_facts} of new people: too few to ask for")
        random = np.random.default_rng((self.seed, 3))
        order = random.permutation(n_facts)
        new = n_facts + random.permutation(n_true - n_facts)[:n_test]
        cuts = np.split(order, np.cumsum([n_train, n_tune, n_test]))

        def asked(places: np.ndarray, ways: slice, group: str) -> Questions:
            numbers = range(6)[ways]
            texts = [self.ask(place, random.choice(numbers)) for place in places]
            return Questions(texts, [{int(place): 1} for place in places], [group] * len(texts))

        test = Questions.joined([asked(cuts[2], TEST_ASKS, FAMILIAR), asked(new, TEST_ASKS, NEW)])
        train, tune = asked(cuts[0], TRAIN_ASKS, FAMILIAR), asked(cuts[1], TUNE_ASKS, FAMILIAR)
        return Passages("biographies", self.passages, train, tune, test)

    def _value(self, attribute: Attribute, person: int, random: np.random.Generator) -> str:
        if attribute.values:
            return str(random.choice(attribute.values))
        other = int(random.integers(self.n_people - 1)) if self.n_people > 1 else person
        return self.names[other + (other >= person)]  # somebody else

    def _tell(self, fact: Fact, random: np.random.Generator) -> str:
        sentence = str(random.choice(ATTRIBUTES[fact.attribute].told))
        said = sentence.format(name=self.names[fact.person], value=fact.value)
        return f"As of {random.integers(1990, 2010)}: {said}" if fact.stale else said


def biographies() -> Passages:
    """550 people with 12 facts each; 5,000 questions to train on, 300 to tune, 300 and 300 to test."""
    return Biographies().collection(n_train=5000, n_tune=300, n_test=300)
