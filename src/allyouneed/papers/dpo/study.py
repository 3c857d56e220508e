"""Does a policy need a reward model and reinforcement learning to do what people prefer?

On a language of 46,656 sequences, with a reward that is known, all of it is exact: how far a policy has gone from its
reference (KL), what it earns, and the most that any policy can earn at that distance, the frontier. What is measured
is the gap between the two. The PPO arms get what PPO estimates, the policy gradient of reward minus beta KL, as a sum
over all sequences: one of the true reward, one of a reward model fitted to the same pairs as DPO. Each seed has a
language, a reference and preferences of its own. Every arm takes its best of four learning rates, judged by what all
of them are for: the true reward minus beta KL, which they do not see in training.

Expected before the first recorded run, from trials on seed 10000, which no claim uses: gaps of 0.02 to 0.03 for DPO
and for PPO on a learned reward, which leaves C1a well inside its margin, and of at most 0.01 for PPO on the true
reward, so that C1b comes out contradicted. With 1,000 pairs and the same updates the gap is 0.3 to 0.6 (C5), and
held-out pairs tell where to stop (C6).

On people's preferences between dialogues (hh-rlhf) a decoder of a million weights, made from the 1,600 train pairs
alone, stands in for a language model. It says of new pairs which answer is the better. The figure to reach is 0.55 of
them; always taking the shorter answer was right in about 0.55 of all pairs, too.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize

from allyouneed.alignment import (
    Preference,
    RewardModel,
    bradley_terry,
    dpo_loss,
    ipo_loss,
    logprobs_of,
    sft_on_chosen,
    told_apart,
)
from allyouneed.alignment.enumeration import ExactReward, Nothing, exact_policy
from allyouneed.data import ngram_loss
from allyouneed.data.preferences.batches import encode_preferences, encode_texts
from allyouneed.data.tasks.enumerable import Enumerable, best_of, expected, kl, most_reward, tilted, with_start
from allyouneed.lab import Study
from allyouneed.models import Decoder, hub
from allyouneed.recipes.enumerable_reference import enumerable_reference, load_reference
from allyouneed.recipes.preference_base import preference_base
from allyouneed.training import evaluate, fit


@dataclass(frozen=True)
class Scale:
    d_model: int
    n_layers: int
    reference_steps: int
    n_pairs: int
    n_few: int
    n_held_out: int
    batch_size: int
    max_steps: int  # of what learns from pairs
    exact_steps: int  # of an exact policy gradient
    minutes: float  # expected, on the hardware the scale is meant for
    seeds: int
    claims: tuple[str, ...]


@dataclass(frozen=True)
class TextScale:
    vocab_size: int
    d_model: int
    n_layers: int
    max_len: int
    lm_steps: int
    sft_steps: int
    max_steps: int
    batch_size: int
    minutes: float
    seeds: int
    claims: tuple[str, ...] = ("C7", "C8", "C9")


EXACT = ("C0", "C1a", "C1b", "C2", "C3", "C4", "C5", "C6")

study = Study(
    paper="dpo",
    scales={
        "smoke": Scale(16, 1, 30, 256, 64, 64, 32, 12, 2, minutes=0.1, seeds=2, claims=EXACT),
        "smoke-*": TextScale(200, 16, 1, 48, 6, 4, 4, 8, minutes=0.1, seeds=2),
        "laptop": Scale(32, 2, 400, 10_000, 1000, 2000, 128, 400, 50, minutes=7.5, seeds=5, claims=EXACT),
        "laptop-*": TextScale(1024, 128, 3, 192, 600, 100, 100, 16, minutes=10.0, seeds=5),
        "gpu": Scale(64, 2, 1000, 100_000, 1000, 10_000, 256, 2000, 300, minutes=15.0, seeds=8, claims=EXACT),
    },
    kind="preferences",
    inputs={"model": "a checkpoint folder with its tokenizer, to align in place of a decoder made from the pairs"},
)

LANGUAGE = Enumerable()
LENGTH = LANGUAGE.length
BETAS = (0.5, 1.0, 2.0)
GRADIENT_LR = 1e-2  # of the exact policy gradient behind a learned reward
POINTS = 10  # of a training that is watched
BEST_OF = (1, 2, 4, 8, 16, 32, 64)
FRONTIER = tuple(np.linspace(0, 5, 26).tolist())  # nats at which it is drawn


# What the arms are


@dataclass(frozen=True)
class FromPairs:
    """A loss on pairs; without a beta of its own it is judged by beta 1."""

    loss: Any
    beta: float = 1.0


@dataclass(frozen=True)
class FromReward:
    """The exact policy gradient of the true reward, or of one learned from the pairs."""

    learned: bool
    beta: float


def ipo(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """IPO with the beta under which it wants the same margin as DPO between answers of nearly the same reward:
    (2p - 1) / (2 tau) is (r_w - r_l) / (4 tau) there."""
    return ipo_loss(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta / 4)


def chosen_alone(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """Preferred-FT of the paper (section 6): the preferred answers are learned, the others not looked at."""
    return -policy_chosen


def unlikelihood(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta):
    """The paper's baseline (section 6): the preferred answer becomes likelier, the other less likely, at half the
    weight; nothing holds either."""
    return 0.5 * policy_rejected - policy_chosen


ARMS: dict[str, FromPairs | FromReward] = {
    **{f"dpo, beta={beta:g}": FromPairs(dpo_loss, beta) for beta in BETAS},
    **{f"ipo, beta={beta:g}": FromPairs(ipo, beta) for beta in BETAS},
    **{f"ppo on the true reward, beta={beta:g}": FromReward(False, beta) for beta in BETAS},
    **{f"ppo on a learned reward, beta={beta:g}": FromReward(True, beta) for beta in BETAS},
    "sft on chosen": FromPairs(chosen_alone),
    "unlikelihood": FromPairs(unlikelihood),
}


@dataclass(frozen=True)
class Bound:
    """A loss at its beta."""

    arm: FromPairs

    def __call__(self, *log_probabilities):
        return self.arm.loss(*log_probabilities, self.arm.beta)


class World:
    """What all arms of a seed share: the language's reference policy and preferences between its sequences."""

    def __init__(self, run, scale):
        self.folder = run.artifact(
            enumerable_reference, d_model=scale.d_model, n_layers=scale.n_layers, max_steps=scale.reference_steps
        )
        self.device, self.seed = run.device, run.seed
        self.reference = exact_policy(self.policy(), LENGTH)

    def policy(self):
        """The reference, to go on from."""
        return load_reference(self.folder, self.device)

    def pairs(self, n, part):
        """Preferences between draws from the reference, with its log-probabilities."""
        numbers = LANGUAGE.preferences(self.reference, n, np.random.default_rng((self.seed, part)))
        sequences, judged = with_start(LANGUAGE.sequences), [False] + [True] * LENGTH
        texts = [((sequences[i].tolist(), judged), (sequences[j].tolist(), judged)) for i, j in numbers]
        return encode_preferences(texts).with_reference(self.reference[numbers].astype(np.float32))

    def measure(self, policy, beta):
        """Where a policy stands, exactly."""
        log_p = exact_policy(policy, LENGTH)
        nats, reward = kl(log_p, self.reference), expected(log_p, LANGUAGE.rewards)
        best = tilted(self.reference, LANGUAGE.rewards, beta)
        most = expected(best, LANGUAGE.rewards) - beta * kl(best, self.reference)
        return {
            "kl": nats,
            "reward": reward,
            "gain": reward - expected(self.reference, LANGUAGE.rewards),
            "gap": most_reward(self.reference, LANGUAGE.rewards, max(nats, 0.0)) - reward,
            "regret": most - (reward - beta * nats),
            "distance": float(np.abs(np.exp(log_p) - np.exp(best)).sum() / 2),
        }


TRAIN, HELD_OUT = 1, 2  # parts of a seed's preferences


@study.trial(arm=ARMS, tune={"lr": [3e-4, 1e-3, 3e-3, 8e-3], "on": "regret"})
def align(arm, seed, scale, run, lr):
    """From the reference by one method. `regret`: how much less reward - beta KL than the best policy has."""
    world, held_out = World(run, scale), None
    if isinstance(arm, FromReward):
        policy = follow_reward(arm, scale, run, world, lr)
    else:
        policy, held_out = world.policy(), world.pairs(scale.n_held_out, HELD_OUT)
        learn(policy, Preference(Bound(arm)), world.pairs(scale.n_pairs, TRAIN), scale, run, lr)
    measured = world.measure(policy, arm.beta)
    if held_out is not None:  # of pairs that nothing was learned from
        ratios = logprobs_of(policy, held_out.batches(1000)) - held_out.reference
        measured |= {"chosen": ratios[:, 0].mean(), "rejected": ratios[:, 1].mean()}
    return measured


def learn(model, objective, pairs, scale, run, lr, after_step=()):
    """Some updates on pairs, without decay: what pulls is the reference, not 0."""
    fit(
        model,
        objective,
        pairs.stream(scale.batch_size, seed=run.seed),
        max_steps=scale.max_steps,
        warmup_steps=scale.max_steps // 20,
        lr=lr,
        weight_decay=0.0,
        seed=run.seed,
        after_step=after_step,
        log=run.log,
        log_every=max(1, scale.max_steps // 20),
    )


def follow_reward(arm, scale, run, world, lr):
    """What PPO is after: the policy that goes up the gradient of reward - beta KL, without PPO's noise.

    What is tuned is the rate of what learns: the reward model's if there is one, else the policy's.
    """
    rewards = learned_rewards(scale, run, world, lr) if arm.learned else LANGUAGE.rewards
    policy, known = world.policy(), [torch.from_numpy(values).to(run.device) for values in (rewards, world.reference)]
    fit(
        policy,
        ExactReward(known[0], known[1], arm.beta, LENGTH),
        Nothing(),
        max_steps=scale.exact_steps,
        lr=GRADIENT_LR if arm.learned else 2 * lr,
        weight_decay=0.0,
        grad_clip=None,
        seed=run.seed,
        log=lambda **row: run.log(**row, phase="policy"),
        log_every=max(1, scale.exact_steps // 10),
    )
    return policy


def learned_rewards(scale, run, world, lr):
    """Rewards of all sequences by a model of the policy's size, fitted to the same pairs in as many updates as DPO.

    It starts from nothing: here that learned the pairs better than a start from the reference, which is usual.
    """
    model = RewardModel(Decoder(world.policy().config, seed=run.seed).to(run.device))
    learn(model, bradley_terry, world.pairs(scale.n_pairs, TRAIN), scale, run, lr)
    tokens = torch.from_numpy(with_start(LANGUAGE.sequences)).to(run.device)
    with torch.inference_mode():
        rows = [model(some, torch.full((len(some),), LENGTH, device=run.device)) for some in tokens.split(8192)]
    return torch.cat(rows).double().cpu().numpy()


@study.trial(arm={"many pairs": "n_pairs", "few pairs": "n_few"})
def watch(arm, seed, scale, run):
    """DPO with beta 1, the same updates on more or fewer pairs, looked at on the way; at one rate, as nothing is to
    be made up for by another. `early`: where the loss on held-out pairs was least."""
    world = World(run, scale)
    policy, held_out = world.policy(), world.pairs(scale.n_held_out, HELD_OUT)
    objective = Preference(Bound(FromPairs(dpo_loss)))
    points = {max(1, scale.max_steps * (i + 1) // POINTS) for i in range(POINTS)}

    def look(step, policy):
        if step in points:
            ratios = logprobs_of(policy, held_out.batches(1000)) - held_out.reference
            loss = evaluate(policy, objective, held_out.batches(1000))
            sides = {"chosen": ratios[:, 0].mean(), "rejected": ratios[:, 1].mean()}
            run.log(step=step, held_out_loss=loss, **sides, **world.measure(policy, 1.0))

    learn(policy, objective, world.pairs(getattr(scale, arm), TRAIN), scale, run, lr=1e-3, after_step=[look])
    seen = [row for row in run.rows if "held_out_loss" in row]
    early = min(seen, key=lambda row: row["held_out_loss"])
    last = {name: seen[-1][name] for name in ("gap", "gain", "chosen", "rejected")}
    return {**last, "early_gap": early["gap"], "early_gain": early["gain"], **landmarks(world)}


def landmarks(world):
    """What needs no training, to be drawn: the frontier, and taking the best of n draws by the true reward."""
    rewards = LANGUAGE.rewards
    start = expected(world.reference, rewards)
    best = [best_of(world.reference, rewards, n) for n in BEST_OF]
    there = [np.isfinite(log_p) for log_p in best]
    return {
        "frontier": [most_reward(world.reference, rewards, nats) - start for nats in FRONTIER],
        "best_of_kl": [kl(log_p[some], world.reference[some]) for log_p, some in zip(best, there)],
        "best_of_gain": [expected(log_p[some], rewards[some]) - start for log_p, some in zip(best, there)],
    }


@study.trial()
def population(arm, seed, scale, run):
    """DPO's loss over all pairs there are, of a language of 27 sequences, each as often as it would be drawn, and a
    policy that may be anything: how far its minimum is from the closed form (total variation), for several betas."""
    language = Enumerable(n_symbols=3, length=3)
    reference, rewards = torch.from_numpy(language.markov(seed)), torch.from_numpy(language.rewards)
    often = (reference[:, None] + reference).exp() * torch.sigmoid(rewards[:, None] - rewards)

    def loss(values, beta):
        logits = torch.from_numpy(values).requires_grad_()
        log_p = logits.log_softmax(0)
        total = (often * dpo_loss(log_p[:, None], log_p, reference[:, None], reference, beta)).sum()
        return float(total.detach()), torch.autograd.grad(total, logits)[0].numpy()

    distances = []
    for beta in BETAS:
        options = {"method": "BFGS", "jac": True, "options": {"gtol": 1e-9}}
        found = torch.from_numpy(minimize(loss, reference.numpy(), args=(beta,), **options).x).softmax(0).numpy()
        best = np.exp(tilted(reference.numpy(), language.rewards, beta))
        distances.append(float(np.abs(found - best).sum() / 2))
    return {"distance": distances}


@study.trial(
    arm={"dpo": dpo_loss, "sft on chosen": None}, tune={"lr": [1e-4, 3e-4, 1e-3], "on": "wrong"}, shared_artifacts=True
)
def on_text(arm, seed, scale, run, lr):
    """Go on from a base that has learned the preferred answers, by DPO (beta 0.1) or by more of the same. Then each
    held-out pair: whether the policy raises the preferred answer more than the other above the base, and whether the
    shorter one is preferred. `wrong`: the share of tune pairs that it tells apart wrongly."""
    data, folder = run.data, run.inputs.get("model")
    if folder is None:
        sizes = {name: getattr(scale, name) for name in ("vocab_size", "d_model", "n_layers", "max_len")}
        folder = run.artifact(preference_base, **sizes, lm_steps=scale.lm_steps, sft_steps=scale.sft_steps)
    tokenizer, policy = hub.tokenizer(folder), hub.load(folder, device=run.device)
    parts = {name: encode_texts(getattr(data, name), tokenizer, scale.max_len) for name in ("train", "tune", "test")}
    reference = {name: logprobs_of(policy, part.batches(16)) for name, (part, _) in parts.items()}
    tuned_on = [data.tune[place] for place in parts["tune"][1].kept]
    base_bits = bits_per_byte(reference["tune"][:, 0], tuned_on)
    texts = [text for pair in data.train for text in (pair.asked + pair.chosen, pair.asked + pair.rejected)]
    ngram_bits = ngram_loss(joined(texts), joined(pair.chosen for pair in tuned_on), order=5) / math.log(2)
    fit(
        policy,
        sft_on_chosen if arm is None else Preference(Bound(FromPairs(arm, beta=0.1))),
        parts["train"][0].with_reference(reference["train"]).stream(scale.batch_size, seed=seed),
        max_steps=scale.max_steps,
        warmup_steps=scale.max_steps // 10,
        lr=lr,
        weight_decay=0.0,
        seed=seed,
        log=run.log,
        log_every=max(1, scale.max_steps // 20),
        dir=run.dir,
    )
    right = {name: told_apart(policy, parts[name][0].batches(16), reference[name]) for name in ("tune", "test")}
    judged = [data.test[place] for place in parts["test"][1].kept]
    return {
        "base_bits": base_bits,
        "base_over_ngram": base_bits - ngram_bits,
        "wrong": 1 - float(right["tune"].mean()),
        "right": right["test"].astype(float).tolist(),
        "accuracy": float(right["test"].mean()),
        "shorter": [shorter_is_preferred(pair) for pair in judged],
        "bits": bits_per_byte(logprobs_of(policy, parts["tune"][0].batches(16))[:, 0], tuned_on),
    }


def bits_per_byte(log_p, pairs):
    """Of the preferred answers, given their prompts; the end of an answer counts as a byte."""
    return -float(log_p.sum()) / math.log(2) / sum(len(pair.chosen.encode()) + 1 for pair in pairs)


def shorter_is_preferred(pair):
    """1 where the preferred answer is the shorter one, in bytes; 1/2 where both are equal."""
    chosen, rejected = len(pair.chosen.encode()), len(pair.rejected.encode())
    return float(chosen < rejected) + 0.5 * float(chosen == rejected)


def joined(texts):
    """Texts end to end as bytes, each with byte 0 behind it."""
    return np.frombuffer(b"".join(text.encode() + b"\0" for text in texts), dtype=np.uint8)


# Gates


@study.gate(baseline="the reference policy", trial=align)
def earns_more_than_the_reference(m):
    """Every method that looks at what it goes away from must earn more than the reference."""
    return m.above("gain", 0.1, arms=[arm for arm in m.arms if arm != "unlikelihood"])


@study.gate(baseline="the reference policy", trial=watch)
def earned_more_when_it_was_stopped(m):
    """The same of the trainings that are watched, where held-out pairs would have stopped them."""
    return m.above("early_gain", 0.1)


@study.gate(baseline="a 5-gram model of the train texts, in bits per byte of the preferred answers", trial=on_text)
def the_base_has_learned_to_talk(m):
    """The base must beat the 5-gram model before anything is aligned, on the tune pairs that are short enough."""
    return m.below("base_over_ngram", 0.0)


# Claims


def mean_gap(u, method):
    """The gap of a method, mean over the betas."""
    return np.mean([u[f"{method}, beta={beta:g}"]["gap"] for beta in BETAS])


@study.claim(
    "C0",
    paper="any reward the preferences can come from is reached, 'without constraint' (Theorem 1)",
    trial=population,
)
def the_minimum_is_the_best_policy(m):
    """With all pairs there are and a free policy, the minimum of DPO's loss is the best policy of reward - beta KL
    (total variation at most 1e-4)."""
    return m.exact("distance", 1e-4)


WEAKER = "an enumerable language of 46,656 sequences instead of film reviews; the reward is known, not a classifier's"


@study.claim("C1a", paper="the best reward for every KL on IMDb, above PPO (Figure 2, from memory)", weaker_form=WEAKER)
def no_further_from_the_frontier_than_ppo(m):
    """DPO ends no further below the frontier than the exact policy gradient of a reward model fitted to the same pairs
    (mean over betas 0.5, 1 and 2; margin 0.05)."""
    return m.effect(
        lambda u: mean_gap(u, "dpo") - mean_gap(u, "ppo on a learned reward"), label="gap: dpo - ppo, learned reward"
    ).below(0.05)


@study.claim("C1b", paper="above PPO even with the true reward (Figure 2, from memory)", weaker_form=WEAKER)
def closer_than_ppo_on_the_true_reward(m):
    """DPO ends closer to the frontier than the exact policy gradient of the true reward (mean over the betas)."""
    return m.effect(
        lambda u: mean_gap(u, "dpo") - mean_gap(u, "ppo on the true reward"), label="gap: dpo - ppo, true reward"
    ).below(0.0)


@study.claim("C2", paper="above Preferred-FT and unlikelihood at every KL (Figure 2, from memory)", weaker_form=WEAKER)
def learning_the_chosen_is_not_enough(m):
    """SFT on the preferred sequences ends further below the frontier than DPO does at any beta (by more than 0.02)."""
    return m.effect(
        lambda u: u["sft on chosen"]["gap"] - max(u[f"dpo, beta={beta:g}"]["gap"] for beta in BETAS),
        label="gap: sft on chosen - the worst of dpo",
    ).above(0.02)


@study.claim("C3", paper="the loss is that of a Bradley-Terry model, and consistent as such (section 5.1)")
def ten_thousand_pairs_are_enough(m):
    """With 10,000 pairs DPO ends less than 0.1 below the frontier at every beta (the largest of the gaps)."""
    return m.effect(
        lambda u: max(u[f"dpo, beta={beta:g}"]["gap"] for beta in BETAS), label="the largest gap of dpo"
    ).below(0.1)


@study.claim("C4", paper="IPO, Azar et al. 2023: DPO's KL does not hold where preferences are all but certain")
def ipo_is_no_better(m):
    """IPO, which wants a margin and not a reward, ends further below the frontier than DPO (mean over the betas)."""
    return m.effect(lambda u: mean_gap(u, "ipo") - mean_gap(u, "dpo"), label="gap: ipo - dpo").above(0.0)


@study.claim(
    "C5", paper="'more robust' than PPO (section 6.2); over-optimisation is left to later work (section 7)", trial=watch
)
def few_pairs_mislead(m):
    """With 1,000 pairs and as many updates DPO ends further below the frontier than with 10,000, by more than 0.2."""
    return m.less("gap", "many pairs", than="few pairs", by=0.2)


@study.claim("C6", paper="not in the paper: what to do about it", trial=watch)
def held_out_pairs_say_where_to_stop(m):
    """Stopped where the loss on held-out pairs is least, DPO with 1,000 pairs is less than 0.2 below the frontier."""
    return m.effect(lambda u: u["few pairs"]["early_gap"], label="gap where it should have stopped").below(0.2)


TEXT = "dialogues judged by a decoder of 0.9 million weights: which answer is better, not who wins by a judge"


@study.claim(
    "C7",
    paper="on Anthropic HH the only method that improves on the preferred answers (section 6.2, from memory)",
    trial=on_text,
    weaker_form=TEXT,
)
def it_learns_what_people_prefer(m):
    """DPO's implicit reward prefers the answer that people preferred in more than half of the held-out pairs. (The
    figure to reach: 0.55.)"""
    return m.effect(lambda u: u["dpo"]["right"], unit="items x seeds", label="share told apart").above(0.5)


@study.claim("C8", paper="not in the paper: the trivial predictor", trial=on_text, weaker_form=TEXT)
def not_by_length_alone(m):
    """DPO's implicit reward is right about more held-out pairs than always taking the shorter answer."""
    return m.effect(
        lambda u: u["dpo"]["right"] - u["dpo"]["shorter"], unit="items x seeds", label="share: dpo - the shorter"
    ).above(0.0)


@study.claim("C9", paper="better than Preferred-FT on HH (section 6.2, from memory)", trial=on_text, weaker_form=TEXT)
def better_than_more_of_the_same(m):
    """DPO tells more held-out pairs apart than training on the preferred answers for as many updates."""
    return m.more("right", "dpo", than="sft on chosen", unit="items x seeds")


study.not_run(
    "C10",
    statement="DPO's summaries win more often than PPO's, and over a wider range of temperatures.",
    paper="TL;DR: 61 % against the human summaries at temperature 0, PPO 57 %; people prefer DPO's to PPO's in 58 %",
    reason="needs a pretrained language model of a size that summarises, and people or a large model to judge",
)
study.not_run(
    "C11",
    statement="DPO needs little tuning.",
    paper="'without significant hyperparameter tuning' (abstract)",
    reason="says nothing of how much tuning counts as little; every arm here is tuned over the same few rates",
)


# Figures

METHODS = ("dpo", "ipo", "ppo on the true reward", "ppo on a learned reward")


@study.figure
def reward_against_kl(m):
    """The first seed's language: what each method earns above the reference (a dot for each beta), and how far it has
    gone for it. No policy lies above the frontier. The open trail is DPO on 1,000 pairs, after each tenth of its
    updates."""
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    axes.set_xlabel("KL from the reference, nats")
    axes.set_title("reward above the reference", loc="left", fontsize=10, pad=10)
    watched, few = m.of("watch"), "few pairs"
    axes.plot(FRONTIER, watched.values("frontier", few)[0], color="0.5", label="frontier")
    best = [watched.values(name, few)[0] for name in ("best_of_kl", "best_of_gain")]
    axes.plot(*best, "--", color="0.5", label="best of n")
    arms = m.of("align")
    for place, method in enumerate([*METHODS, "sft on chosen", "unlikelihood"]):
        mine = [arm for arm in arms.arms if arm.startswith(method)]
        points = [[arms.values(what, arm)[0] for arm in mine] for what in ("kl", "gain")]
        axes.plot(*points, "os^DvP"[place], color=f"C{place}", label=method, zorder=3)
    path = [watched.curve(what, few)[1][0] for what in ("kl", "gain")]
    axes.plot(*path, "o-", color="C0", linewidth=1, markerfacecolor="none", label="dpo, 1,000 pairs")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    return figure


@study.figure
def gap_by_method(m):
    """How far below the frontier each method ends, at its own KL: every seed, and the mean over the seeds."""
    from matplotlib.figure import Figure

    arms = m.of("align")
    figure = Figure(figsize=(7.2, 4.6))
    axes = figure.add_subplot()
    axes.set_title("reward below the frontier", loc="left", fontsize=10, pad=10)
    names = list(arms.arms)
    for place, arm in enumerate(reversed(names)):
        gaps = np.maximum(arms.values("gap", arm), 1e-4)
        colour = f"C{next((i for i, method in enumerate(METHODS) if arm.startswith(method)), len(METHODS))}"
        axes.plot(gaps, np.full(len(gaps), place), "o", color=colour, alpha=0.45, markeredgewidth=0)
        axes.plot([np.mean(gaps)] * 2, [place - 0.32, place + 0.32], color=colour, linewidth=2.6)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), labels=names[::-1])
    axes.grid(visible=True, axis="x")
    return figure


@study.figure
def both_become_less_likely(m):
    """DPO on 10,000 pairs: log-probabilities of the preferred and the rejected sequences of held-out pairs, above the
    reference's. It is the margin that grows; the preferred one need not become likelier."""
    from matplotlib.figure import Figure

    watched = m.of("watch")
    figure = Figure()
    axes = figure.add_subplot()
    axes.set_xlabel("training step")
    axes.set_title("log-probability above the reference, nats", loc="left", fontsize=10, pad=10)
    for place, arm in enumerate(watched.arms):
        for side, dashes in (("chosen", "-"), ("rejected", "--")):
            steps, values = watched.curve(side, arm)
            axes.plot(steps, values.mean(0), dashes, color=f"C{place}", label=f"{side}, {arm}")
            axes.fill_between(steps, values.min(0), values.max(0), color=f"C{place}", alpha=0.16, linewidth=0)
    axes.axhline(0, color="0.5", linewidth=1)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    return figure


@study.figure
def told_apart_on_text(m):
    """Share of the held-out pairs of text that the policy's implicit reward tells apart."""
    return m.of("on_text").bars("accuracy", y="share of held-out pairs")
