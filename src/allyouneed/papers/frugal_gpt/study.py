"""Is asking cheap models first all that is needed to pay less?

Everything is worked out on logs: what each of several models answers to the same questions, what that costs, and
whether it is right. A policy sees one part of the questions with all answers (the known), and is judged on others
(the new), at two settings: `saving`, as cheap as can be at the accuracy of the best single model, and `best`, as
accurate as can be at that model's cost. Both are set on the known questions.

The models are three calculators of 0.03, 0.2 and 1.2 million weights, trained once and shared; a seed draws the
questions, known and new, and the folds. Prices are floating-point operations. On other data (`--data`) it is the logs
that they hold, one seed, and the unit is the question.

Expected before the first recorded run, from trials on three seeds that no claim uses: the models get 0.40, 0.36 and
0.59 of the new questions right. Set to save, the cascade costs 0.70 of the largest model (deviation of the
logarithm 0.11) and is 0.033 less accurate (0.018); at equal cost it is 0.014 less accurate (0.013): C1a to C2 are
expected to fail, because the smaller models settle too little. C4 holds with 0.059 (0.006), C6 with 0.027 (0.006),
C8 with 0.046 (0.013), C9 with 0.16 (0.02). The models' own probabilities rank better than the scorer, by 0.016
(0.004), and cost about as much, so C5 and C7 are expected to fail, and C10 by far: half of the hits are wrong.
Eight seeds show 1.2 deviations of a difference with 80 % power. On RouteLLM one look at every policy was taken
while it was built: at half of the cost the router gains 0.009 over a coin and the subjects alone 0.02, where 3,929
questions show about 0.018, so R4 and R5 may stay open. On HEADLINES only the single models were looked at (0.75,
0.84, 0.868 and 0.873 right); to reach: 0.856, the best model of the authors' table, and 0.875, their cascade; most
frequent answer: 0.42.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from allyouneed.agents.bounds import chord, oracle
from allyouneed.agents.budget import Logged, Paths, frontier
from allyouneed.agents.cache import SemanticCache
from allyouneed.agents.calibration import choose_ngrams, cross_fitted_log, fit_model
from allyouneed.agents.routing import price_reaching, price_within, route
from allyouneed.agents.scorer import auc, folds_of
from allyouneed.agents.text_classifier import NGrams
from allyouneed.clients.client import Completion, Request, Usage
from allyouneed.lab import Study
from allyouneed.recipes import headline_answers as headline_models
from allyouneed.recipes.arithmetic_organisms import ORGANISMS, organism_answers, read_answers, shortened
from allyouneed.recipes.headline_answers import headline_answers


@dataclass(frozen=True)
class Scale:
    training: float  # share of the organisms' steps
    n_known: int
    n_new: int
    n_asked: int  # questions to the cache
    minutes: float  # expected, on the hardware the scale is meant for
    seeds: int
    claims: tuple[str, ...] = ()


ORGANISMS_CLAIMS = ("C1a", "C1b", "C2", "C4", "C5", "C6", "C7", "C8", "C9", "C10")
LOGS_CLAIMS = ("R1", "R2", "R3")

study = Study(
    paper="frugal_gpt",
    kind="answers",
    scales={
        "smoke": Scale(0.002, 60, 60, 60, minutes=0.1, seeds=2, claims=ORGANISMS_CLAIMS),
        "laptop": Scale(1.0, 1000, 1000, 1000, minutes=5.0, seeds=8, claims=ORGANISMS_CLAIMS),
        "laptop-routellm": Scale(1.0, 0, 0, 0, minutes=5.0, seeds=1, claims=(*LOGS_CLAIMS, "R4", "R5")),
        "laptop-*": Scale(1.0, 0, 0, 0, minutes=5.0, seeds=1, claims=LOGS_CLAIMS),
        "gpu": Scale(10.0, 4000, 10_000, 4000, minutes=20.0, seeds=8, claims=ORGANISMS_CLAIMS),
    },
)

FEATURES = NGrams(words=2, chars=3, n_features=1 << 12)
N_FOLDS = 5
POINTS = 12  # of a curve of accuracy over cost


# Policies: each makes scores of the known and the new questions; how they are used is below


def cross(known, new, folds):
    """The paper's scorer g(q, a), thresholds chosen on scores of answers that it has not seen."""
    fit = choose_ngrams(known, folds, FEATURES)
    scored = cross_fitted_log(known, fit, folds)
    scorers = [fit_model(known, k, fit) for k in range(len(known.models))]
    return with_scoring(scored, known, scorers), with_scoring(logged(new, of_scorers(scorers, new)), known, scorers)


def in_sample(known, new, folds):
    """The same scorer, thresholds chosen on the very answers that it was fitted on, as the released code does."""
    fit = choose_ngrams(known, folds, FEATURES)
    scorers = [fit_model(known, k, fit) for k in range(len(known.models))]
    return tuple(with_scoring(logged(log, of_scorers(scorers, log)), known, scorers) for log in (known, new))


def max_prob(known, new, folds):
    """No scorer: the probability that the model itself gives to its answer; 0 where logs do not tell it."""
    return tuple(logged(log, np.zeros(log.costs.shape) if log.scores is None else log.scores) for log in (known, new))


def question_only(known, new, folds):
    """Scores of the question alone, for a router."""
    known, new = (replace(log, texts=(("",) * len(log.models),) * len(log)) for log in (known, new))
    return cross(known, new, folds)


def prior(known, new, folds):
    """What is known of the question's group: how often each model was right in it (and one question as in all)."""
    scored = np.empty(known.costs.shape)
    for fold in np.unique(folds):
        scored[folds == fold] = shares(
            known.rows(np.flatnonzero(folds != fold)), known.rows(np.flatnonzero(folds == fold))
        )
    return logged(known, scored), logged(new, shares(known, new))


def shares(of, at):
    whole = of.correct.mean(axis=0)
    right = {group: [whole] for group in at.groups or ("",)}
    for group, correct in zip(of.groups or ("",) * len(of), of.correct):
        right.setdefault(group, [whole]).append(correct)
    return np.stack([np.mean(right[group], axis=0) for group in at.groups or ("",) * len(at)])


def logged(log, scores):
    return Logged(np.asarray(scores, dtype=float), log.correct, log.costs)


def of_scorers(scorers, log):
    return np.stack([scorer(log.queries, log.of_model(k)) for k, scorer in enumerate(scorers)], axis=1)


def with_scoring(scored, known, scorers):
    """The same with what scoring an answer takes, where costs are operations: organisms' and local models' are."""
    if known.costs.mean() < 1:  # dollars, beside which a scorer's operations are nothing
        return scored
    some = range(0, len(known), max(1, len(known) // 100))
    flops = [[s.flops(known.queries[i], known.texts[i][k]) for i in some] for k, s in enumerate(scorers)]
    return Logged(scored.scores, scored.correct, scored.costs, np.mean(flops, axis=1))


CASCADES = {"cascade": cross, "in-sample": in_sample, "max-prob": max_prob}
ROUTERS = {"router": question_only, "group prior": prior}


@study.trial(arm=["best single", *CASCADES, *ROUTERS, "oracle"], shared_artifacts=True)
def policy(arm, seed, scale, run):
    """One way to choose whom to ask, set on the known questions and tried on the new ones."""
    known, new = logs(run, scale, seed)
    right, cost = known.correct.mean(axis=0), known.costs.mean(axis=0)
    best = int(np.lexsort((cost, -right))[0])
    folds = folds_of(len(known), N_FOLDS, seed)
    if arm == "best single":
        scored = (logged(known, known.costs), logged(new, new.costs))
        ways = dict.fromkeys(("saving", "best", "half"), (only(known, best), only(new, best)))
    elif arm == "oracle":
        scored = (logged(known, known.correct), logged(new, new.correct))
        ways = dict.fromkeys(("saving", "best", "half"), (oracle(scored[0]), oracle(scored[1])))
    elif arm in CASCADES:
        scored = CASCADES[arm](known, new, folds)
        ways = by_chain(scored, right[best], cost[best], (cost[best] + cost.min()) / 2)
    else:
        scored = ROUTERS[arm](known, new, folds)
        ways = by_route(scored, right[best], cost[best], (cost[best] + cost.min()) / 2)
    return measured(ways, known, new, best) | ranking(scored[1], best) | curve(arm, scored, cost)


def logs(run, scale, seed):
    """Known and new questions with all models' answers: the data's own, or those of the models of this study."""
    data = run.data
    if data is not None and data.train.models:
        return data.train, data.test
    if data is not None:
        asked = headline_models.read_answers(run.artifact(headline_answers))
        return asked.train, asked.test
    organisms = shortened(ORGANISMS, scale.training)
    splits = {"tune": scale.n_known, "test": scale.n_new}
    folders = [
        run.artifact(organism_answers, split=split, n=n, seed=seed, organisms=organisms) for split, n in splits.items()
    ]
    return tuple(map(read_answers, folders))


def only(log, model):
    everywhere = np.full(len(log), model)
    return Paths(everywhere, log.correct[:, model], log.costs[:, model])


def by_chain(scored, accuracy, cost, half):
    """The cascades of the three settings, on known and new questions."""
    found = frontier(scored[0])
    chains = {"saving": found.reaching(accuracy), "best": found.within(cost), "half": found.within(half)}
    return {name: tuple(log.follow(chain) for log in scored) for name, chain in chains.items()}


def by_route(scored, accuracy, cost, half):
    """The same for routers; one that never reaches the best model's accuracy asks whoever is likeliest right."""
    mean_cost = scored[0].costs.mean(axis=0)
    try:
        saving = price_reaching(scored[0], accuracy)
    except ValueError:
        saving = 0.0
    prices = {"saving": saving, "best": within(scored[0], cost), "half": within(scored[0], half)}
    return {name: tuple(route(log, price, mean_cost) for log in scored) for name, price in prices.items()}


def within(scored, budget):
    """The router's price at a budget, or at the least that routing can cost: the cheapest model and the scoring."""
    least = scored.costs.mean(axis=0).min() + (0 if scored.scoring is None else scored.scoring.sum())
    return price_within(scored, max(budget, least * (1 + 1e-9)))


def measured(ways, known, new, best):
    """Costs in those of the best single model; a coin is what the chord gives at the same cost."""
    costs = new.costs.mean(axis=0)
    unit = costs[best]
    found: dict[str, Any] = {}
    for name, (seen, paths) in ways.items():
        of_coin = chord(known.correct.mean(0), costs, max(paths.cost.mean(), costs.min()))
        found |= {
            f"{name}_right": paths.correct.astype(float),
            f"{name}_costs": paths.cost / unit,
            f"{name}_coin": new.correct @ of_coin,
            f"{name}_accuracy": paths.correct.mean(),
            f"{name}_cost": paths.cost.mean() / unit,
            f"{name}_over_coin": paths.correct.mean() - (new.correct @ of_coin).mean(),
            f"{name}_optimism": seen.correct.mean() - paths.correct.mean(),
        }
    worst = new.correct.mean(axis=0).min() if new.gold else found["best_accuracy"]
    return found | {"over_trivial": worst - trivial(known, new)}


def trivial(known, new):
    """The accuracy of who always gives the most frequent right answer; without these, of the cheapest model."""
    if not new.gold:
        return float(new.correct[:, int(known.costs.mean(0).argmin())].mean()) - 1e-9
    values, counts = np.unique(known.gold, return_counts=True)
    return float(np.mean(np.array(new.gold) == values[counts.argmax()]))


def ranking(scored, best):
    """How well scores tell right from wrong answers of all models but the best, and where these know better."""
    others = [k for k in range(scored.correct.shape[1]) if k != best]
    aucs = [auc(scored.scores[:, k], scored.correct[:, k]) for k in others]
    return {"auc": np.mean(aucs), "rescued": (scored.correct.any(axis=1) & ~scored.correct[:, best]).mean()}


def curve(arm, scored, cost):
    """Accuracy on the new questions over the cost there, from the cheapest model's budget to the dearest's."""
    known, new = scored
    budgets = np.geomspace(cost.min() * 1.001, cost.max(), POINTS)
    if arm in CASCADES:
        found = frontier(known)
        paths = [new.follow(found.within(budget)) for budget in budgets]
    elif arm in ROUTERS:
        mean_cost = known.costs.mean(axis=0)
        paths = [route(new, within(known, budget), mean_cost) for budget in budgets]
    else:
        paths = [only(new, k) for k in range(len(cost))] if arm == "best single" else [oracle(new)]
    return {"curve_cost": [p.cost.mean() for p in paths], "curve_accuracy": [p.correct.mean() for p in paths]}


# A cache, where questions come back in other words


@study.trial(arm={"exact": None, "0.95": 0.95, "0.9": 0.9, "0.8": 0.8, "0.7": 0.7})
def remember(arm, seed, scale, run):
    """Sums in three wordings, asked as often as words are used (Zipf's law), of a cache in front of who knows them."""
    random = np.random.default_rng(seed)
    sums = random.permutation(10_000)[: max(30, scale.n_asked // 4)]
    share = 1 / np.arange(1, len(sums) + 1)
    drawn = random.choice(len(sums), size=scale.n_asked or 1000, p=share / share.sum())
    worded = random.integers(len(WORDINGS), size=len(drawn))
    cache = SemanticCache(Knows(), lambda texts: VECTORS(texts).toarray()[:, :-1], arm)
    kept, wrong = 0, 0
    for number, wording in zip(sums[drawn].tolist(), worded):
        a, b = divmod(number, 100)
        answer = cache.complete(Request(WORDINGS[wording].format(a=a, b=b)))
        kept += answer.kept
        wrong += answer.kept and answer.text != str(a + b)
    return {"hits": kept / len(drawn), "wrong_hits": wrong / max(kept, 1)}


WORDINGS = ("{a}+{b}=", "What is {a} + {b}?", "What is the sum of {a} and {b}?")
VECTORS = NGrams(words=2, chars=3, n_features=1 << 12)


class Knows:
    """Adds the two numbers of a question."""

    name = "knows"

    def complete(self, request):
        numbers = [int(word) for word in "".join(c if c.isdigit() else " " for c in request.text).split()]
        return Completion(str(sum(numbers)), Usage(len(request.text), 1), cost=Decimal(1))


@study.gate(baseline="whoever always gives the most frequent right answer; on logs without those, the cheapest model")
def learned(m):
    """Every model of the study, or each policy on logs that others made, must do better."""
    return m.above("over_trivial", 0.0)


WEAKER = "three calculators and prices in operations instead of commercial models and dollars"


@study.claim("C1a", paper="up to 98 % lower cost at the best model's accuracy (abstract)", weaker_form=WEAKER)
def costs_less(m):
    """Set to the accuracy of the best single model, the cascade costs less than half as much on new questions."""
    return m.ratio("saving_cost", "cascade", to="best single", below=0.5)


@study.claim("C1b", paper="'can match the performance of the best individual LLM' (abstract)", weaker_form=WEAKER)
def is_no_worse(m):
    """So set, the cascade is no less accurate than the best single model (margin 0.01)."""
    return m.more("saving_accuracy", "cascade", than="best single", by=-0.01)


@study.claim("C2", paper="4 % more accurate than GPT-4 at the same cost (abstract)", weaker_form=WEAKER)
def is_better_at_equal_cost(m):
    """At the cost of the best single model the cascade is more accurate on new questions."""
    return m.more("best_accuracy", "cascade", than="best single")


study.not_run(
    "C3",
    statement="The prices of models differ by two orders of magnitude.",
    paper="$0.2 to $30 for ten million tokens of input (abstract: 'two orders of magnitude')",
    reason="a fact of price lists, not of an experiment: the authors' own list spans a factor of 800 for a token read",
)


@study.claim("C4", paper="cheap models are right where GPT-4 is not, on some 6 % of HEADLINES (from memory)")
def cheap_models_know_what_dear_ones_do_not(m):
    """On at least 2 % of new questions a smaller model is right where the best one is wrong."""
    return m.effect(lambda u: u["best single"]["rescued"], label="share of the questions").above(0.02)


@study.claim("C5", paper="a learned scorer g(q, a) decides, not the model's confidence (section 3)", weaker_form=WEAKER)
def the_scorer_ranks_better(m):
    """The scorer tells right from wrong answers better than the models' own probabilities (area under the curve)."""
    return m.more("auc", "cascade", than="max-prob")


@study.claim("C6", paper="the cascade lies above the line between any two models (Figure 1, from memory)")
def beats_a_coin(m):
    """Set to save, the cascade is more accurate than a coin between two models at the same cost."""
    return m.effect(lambda u: u["cascade"]["saving_over_coin"], label="cascade - coin").above(0)


@study.claim("C7", paper="none: what would make the scorer needless")
def is_cheaper_than_confidence(m):
    """Set to the best model's accuracy, the cascade costs less than one that goes by the models' own probabilities."""
    return m.ratio("saving_cost", "cascade", to="max-prob", below=1.0)


@study.claim("C8", paper="none: the released code fits scorers and thresholds on the same questions")
def in_sample_scores_promise_too_much(m):
    """Thresholds chosen on scores of answers that the scorer was fitted on lose more accuracy on new questions than
    those chosen on cross-fitted scores, by more than 0.01."""
    return m.more("saving_optimism", "in-sample", than="cascade", by=0.01)


CACHED = "sums in three wordings and vectors of n-grams instead of real questions and a sentence encoder"


@study.claim("C9", paper="a completion cache answers similar queries (section 3)", trial=remember, weaker_form=CACHED)
def a_semantic_cache_answers_more(m):
    """At a cosine of 0.8 a cache answers more of the questions than one that looks for the same text."""
    return m.more("hits", "0.8", than="exact")


@study.claim("C10", paper="none: the price of C9", trial=remember, weaker_form=CACHED)
def and_is_seldom_wrong(m):
    """At a cosine of 0.8 at most 1 of 100 answers from the cache is wrong."""
    return m.effect(lambda u: u["0.8"]["wrong_hits"], label="wrong among the hits").below(0.01)


study.not_run(
    "C11",
    statement="Shorter prompts (fewer examples) and several queries in one prompt cost less and answer as well.",
    paper="prompt adaptation: prompt selection and query concatenation (section 3; no figure)",
    reason="needs a model that learns from examples in its prompt; the calculators read one question and nothing else",
)
study.not_run(
    "C12",
    statement="A small model fine-tuned on an expensive one's answers replaces it.",
    paper="LLM approximation by fine-tuning (section 3; no figure)",
    reason="needs the expensive model's answers to unlabelled questions; the calculators' questions label themselves",
)


# On logs that others made: one seed, the unit is the question


@study.claim("R1", paper="HEADLINES: 98 % lower cost than GPT-4 (Table 3, from memory)")
def costs_less_on_logs(m):
    """Set to the accuracy of the best single model, the cascade costs less than half as much on new questions."""

    def more_than_half(u):
        return u["cascade"]["saving_costs"] - 0.5 * u["best single"]["saving_costs"]

    return m.effect(more_than_half, "items", "cost - half the best model's").below(0)


@study.claim("R2", paper="the accuracy of the best individual model (abstract)")
def is_no_worse_on_logs(m):
    """So set, the cascade is no less accurate than the best single model (margin 0.01)."""
    return m.effect(lambda u: u["cascade"]["saving_right"] - u["best single"]["saving_right"], "items").above(-0.01)


@study.claim("R3", paper="the cascade lies above the line between any two models (Figure 1, from memory)")
def beats_a_coin_on_logs(m):
    """At half of the best model's cost the cascade is more accurate than a coin between two models for as much."""
    return m.effect(lambda u: u["cascade"]["half_right"] - u["cascade"]["half_coin"], "items").above(0)


@study.claim(
    "R4", paper="RouteLLM: 0.60 of the gap recovered on MMLU on average, 0.50 by a coin (Table 2, from memory)"
)
def a_router_beats_a_coin(m):
    """Choosing by the question alone, at half of the best model's cost, is more accurate than a coin that costs as
    much."""
    return m.effect(lambda u: u["router"]["half_right"] - u["router"]["half_coin"], "items").above(0)


@study.claim("R5", paper="none: what would make reading the question needless")
def a_router_beats_its_groups(m):
    """At half of the best model's cost a router that reads the question is more accurate than one that knows its
    subject alone."""
    return m.effect(lambda u: u["router"]["half_right"] - u["group prior"]["half_right"], "items").above(0)


@study.figure
def accuracy_over_cost(m):
    """Accuracy on new questions over mean cost, means of the seeds: large dots are single models, the grey line a coin
    between two, the cross who knows the answers. A policy that can only take one model or another is left out."""
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    axes.set_xscale("log")
    cost, accuracy = (m.values(f"curve_{name}", "best single").mean(axis=0) for name in ("cost", "accuracy"))
    at = np.geomspace(cost.min(), cost.max(), 60)
    axes.plot(at, [chord(accuracy, cost, c) @ accuracy for c in at], color="0.6", linewidth=1.2, label="coin")
    for arm in ("cascade", "max-prob", "router"):
        points = [m.values(f"curve_{name}", arm).mean(axis=0) for name in ("cost", "accuracy")]
        if len(np.unique(points[0].round(12))) > 2:
            axes.plot(*points, "o-", markersize=4, linewidth=1.2, label=arm)
    axes.plot(cost, accuracy, "o", markersize=8, color="0.4", label="single models")
    axes.plot(
        *(m.values(f"curve_{name}", "oracle").mean() for name in ("cost", "accuracy")), "x", color="0.4", label="oracle"
    )
    axes.set_xlabel("mean cost of a question")
    axes.set_title("accuracy on new questions", loc="left", fontsize=10, pad=10)
    axes.legend(loc="upper left")
    return figure


@study.figure
def what_a_cache_gets_wrong(m):
    """The share of a cache's answers that are wrong, for how close a question must come."""
    return m.of("remember").bars("wrong_hits", y="wrong among the answers from the cache")
