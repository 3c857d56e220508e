"""Does a transformer whose norms stand inside the branches train without warm-up?

Two parts, as in the paper. At the start: gradients and hidden states of untrained models of several depths,
against the formulas of section 3.3. In training: decoders that differ in the place of their norms, in their
warm-up and in their learning rate, and in nothing else. The learning rate is a factor and not tuned by the
engine, because the claims are about the whole grid; where a claim compares arms at their best rate, the rate
is chosen for each seed on the tune split and the loss is that on the test split. A run that diverges counts
as having learned nothing: its loss is that of a uniform guess.

Expected before the first recorded run, from trials on seeds that no claim uses (three at six layers): log-log
slopes of -0.52 and 0 (C1d, C1e). At the rate that is best with warm-up, Post-LN without it stays at the frequencies of
the bytes, 0.8 nats higher (C2); at its own best rate it still ends 0.09 higher (C2b). Pre-LN without warm-up ends 0.09
below Post-LN with it (C3), and is level with its end after 0.6 of the updates (C4). Paired differences have a
deviation of about 0.02, so that five pairs show effects from 0.04 beyond a bar on. Warm-up brings Pre-LN about 0.02,
by the higher rate that it then takes, which leaves C5 open. With three layers there was nothing of C2, C2b and C3:
all should grow with the depth.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from allyouneed.blocks import Attention, NoPositions, PostNorm, PreNorm, Relu, Sinusoidal
from allyouneed.blocks.initial import named_generator
from allyouneed.data import ngram_loss
from allyouneed.lab import Study, grid
from allyouneed.models import Decoder, DecoderConfig, Encoder, EncoderConfig
from allyouneed.objectives import causal_lm
from allyouneed.training import NonFiniteLoss, evaluate, fit


@dataclass(frozen=True)
class Scale:
    train_len: int
    d_model: int
    n_layers: int
    n_heads: int
    batch_size: int
    max_steps: int
    eval_windows: int
    curve_windows: int  # of the same, at each point of a learning curve
    draws: int  # untrained models a seed
    precision: str
    minutes: float  # expected, on the hardware the scale is meant for
    seeds: int
    smaller: tuple[dict[str, Any], ...] = ()  # what makes smaller models, for the trends


study = Study(
    paper="pre_ln",
    data="python_code",
    scales={
        "smoke": Scale(16, 16, 1, 2, 4, 10, 16, 8, 1, "fp32", minutes=0.1, seeds=2),
        "laptop": Scale(64, 64, 6, 4, 8, 400, 300, 64, 8, "fp32", 12.0, seeds=5, smaller=({"n_layers": 3},)),
        "gpu": Scale(256, 256, 6, 4, 32, 500, 1000, 200, 8, "bf16", minutes=20.0, seeds=5),
    },
)

NORMS = {"pre": PreNorm(), "post": PostNorm()}
DEPTHS = (2, 6, 12, 24)
WARMUPS = {"none": 0.0, "linear": 1 / 3}  # of all updates
LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2)  # at width 64
POINTS = 10  # of a learning curve


@study.trial(arm=NORMS)
def at_the_start(arm, seed, scale, run):
    """Untrained encoders in the theory's setting, of every depth; means over the draws."""
    seeds = range(seed * scale.draws, (seed + 1) * scale.draws)
    drawn = [[one_backward_pass(arm, depth, scale.d_model, s) for depth in DEPTHS] for s in seeds]
    deepest = [by_depth[-1] for by_depth in drawn]
    return {
        "gradient": np.mean([[at["gradient"] for at in by_depth] for by_depth in drawn], axis=0).tolist(),
        "error": [at["error"] for by_depth in drawn for at in by_depth],
        "stream": np.mean([at["stream"] for at in deepest], axis=0).tolist(),
        "by_layer": np.mean([at["by_layer"] for at in deepest], axis=0).tolist(),
    }


def one_backward_pass(norm, depth, d_model, seed):
    """What section 3.3 speaks of, in one model: one head, uniform attention, d_ff = d_model, no biases.

    gradient: of one token's loss for W^(2,L), its Frobenius norm, mean over the tokens
    error: relative, of the gradient for W^(2,L) from the closed form of the last norm's Jacobian
    stream: |x|^2 / d_model in front of a norm after each layer, mean over the tokens
    by_layer: norm of the mean loss's gradient for each layer's W^(2,l)
    """
    model = theorys_model(norm, depth, d_model, seed)
    downs = [layer.sublayers["feedforward"].down for layer in model.layers]
    norms = norms_after_layers(model, norm)
    hidden, streams = watch(downs[-1]), [watch(n) for n in norms]
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 16, d_model, generator=generator, dtype=torch.float64)
    targets = torch.randint(d_model, (4, 16), generator=generator)
    F.cross_entropy(model(x).flatten(0, 1), targets.flatten(), reduction="sum").backward()
    h, y, g = hidden["inputs"], streams[-1]["inputs"], streams[-1]["outputs"].grad
    gradient = downs[-1].weight.grad
    with torch.no_grad():
        formula = torch.einsum("bsd,bsh->dh", layer_norm_backwards(y, g), h)
        return {
            "gradient": float((h.norm(dim=-1) * y.grad.norm(dim=-1)).mean()),
            "error": float((gradient - formula).norm() / gradient.norm()),
            "stream": [float(s["inputs"].square().sum(-1).mean()) / d_model for s in streams],
            "by_layer": [float(down.weight.grad.norm()) / targets.numel() for down in downs],
        }


def theorys_model(norm, depth, d_model, seed):
    """An encoder with Xavier weights whose queries and keys are 0, so that every token attends to all alike."""
    config = EncoderConfig(
        vocab_size=d_model,
        d_model=d_model,
        n_layers=depth,
        n_heads=1,
        d_ff=d_model,
        positions=NoPositions(),
        residual=norm,
        mixer=Attention(),
        feedforward=Relu(bias=False),
        tie_embeddings=False,
        norm_eps=1e-15,
    )
    model = xavier(Encoder(config, seed=seed), seed).double()
    for layer in model.layers:
        nn.init.zeros_(layer.sublayers["mixer"].q.weight)
        nn.init.zeros_(layer.sublayers["mixer"].k.weight)
    return model


def norms_after_layers(model, norm):
    """The norm that reads the stream after each layer: pre-norm's stands in the next one, or at the end."""
    if norm.final_norm:
        return [layer.norms["mixer"] for layer in list(model.layers)[1:]] + [model.final_norm]
    return [layer.norms["feedforward"] for layer in model.layers]


def watch(module):
    """What passes through a module in the next forward pass, with its gradients after the backward one."""
    seen: dict[str, torch.Tensor] = {}

    def note(_, inputs, outputs):
        seen.update(inputs=inputs[0], outputs=outputs)
        inputs[0].retain_grad()
        outputs.retain_grad()

    module.register_forward_hook(note)
    return seen


def layer_norm_backwards(y, g):
    """sqrt(d) / |c| (I - 11^T / d - cc^T / |c|^2) g with c the centred y: what a LayerNorm hands back of g."""
    centred = y - y.mean(-1, keepdim=True)
    size = centred.norm(dim=-1, keepdim=True)
    along = (g * centred).sum(-1, keepdim=True) * centred / size**2
    return math.sqrt(y.shape[-1]) / size * (g - g.mean(-1, keepdim=True) - along)


@study.trial(arm=grid(norm=NORMS, warmup=WARMUPS, lr=LEARNING_RATES))
def train(arm, seed, scale, run):
    """A causal language model from the paper's start, by the paper's Adam without clipping or weight decay."""
    text = run.data
    config = DecoderConfig(
        vocab_size=text.vocab_size,
        d_model=scale.d_model,
        n_layers=scale.n_layers,
        n_heads=scale.n_heads,
        max_seq_len=scale.train_len,
        positions=Sinusoidal(),
        residual=arm.norm,
        feedforward=Relu(),
    )
    model = xavier(Decoder(config, seed=seed), seed).to(run.device)
    points = [scale.max_steps * (i + 1) // POINTS for i in range(POINTS)]

    def loss(split, n_windows):
        return evaluate(model, causal_lm, split.windows(scale.train_len).batches(64, limit=n_windows))

    def follow(step, _):
        if step in points:
            run.log(step=step, test_loss=loss(text.test, scale.curve_windows))

    try:
        fit(
            model,
            causal_lm,
            text.train.windows(scale.train_len).stream(scale.batch_size, seed=seed),
            max_steps=scale.max_steps,
            warmup_steps=int(arm.warmup * scale.max_steps),
            lr=arm.lr * 64 / scale.d_model,  # what Adam can take falls with the width
            weight_decay=0.0,
            betas=(0.9, 0.98),
            grad_clip=None,
            precision=scale.precision,
            seed=seed,
            after_step=[follow],
            log=run.log,
            log_every=max(1, scale.max_steps // 50),
            dir=run.dir,
        )
    except NonFiniteLoss:
        uniform = math.log(text.vocab_size)
        return {"tune_loss": uniform, "loss": uniform, "losses": [uniform] * POINTS}
    # From the log: a resumed training has the first points from before it was stopped.
    losses = {row["step"]: row["test_loss"] for row in run.rows if "test_loss" in row}
    return {
        "tune_loss": loss(text.tune, scale.eval_windows),
        "loss": loss(text.test, scale.eval_windows),
        "losses": [losses[step] for step in points],
    }


def xavier(model, seed):
    """The paper's start (Glorot and Bengio, 2010): every linear from N(0, 2 / (inputs + outputs)), none scaled
    by the depth."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight, generator=named_generator(seed, name))
    return model


@study.gate(baseline="a bigram model of the training text, at its best learning rate", trial=train)
def learned(m):
    """All but Post-LN without warm-up, which the paper says will fail, must beat the bigram model on the tune split."""
    text, best = m.data, m.best("lr", on="tune_loss")
    bar = ngram_loss(text.train.tokens, text.tune.tokens, order=2, vocab_size=text.vocab_size)
    return best.below("tune_loss", bar, arms=[arm for arm in best.arms if arm != "norm=post, warmup=none"])


@study.claim(
    "C1a",
    paper="|J_LN(x)| = O(sqrt(d) / |x|), by which the proof of Theorem 1 goes (Lemma 3, from memory)",
    trial=at_the_start,
)
def the_last_norm_divides_by_the_stream(m):
    """What reaches the gradient for W^(2,L) is what the last norm's Jacobian, sqrt(d) / |x| times a projection,
    lets through (relative error at most 1e-10)."""
    return m.exact("error", 1e-10)


@study.claim("C1b", paper="E|x|^2 = 3/2 d before each layer's last norm (Lemma 2)", trial=at_the_start)
def post_ln_keeps_its_stream(m):
    """At the start Post-LN's stream has 1.5 d for its mean squared length in front of each layer's last norm,
    whatever the layer (mean over 24 layers, margin 0.03 d)."""
    return m.effect(lambda u: np.mean(u["post"]["stream"]) - 1.5, label="|x|^2 / d - 3/2").within(0.03)


@study.claim(
    "C1c", paper="(1 + l/2) d <= E|x|^2 <= (1 + 3l/2) d after l layers (Lemma 2, from memory)", trial=at_the_start
)
def pre_lns_stream_grows(m):
    """At the start Pre-LN's stream after l layers lies between the bounds 1 + l/2 and 1 + 3l/2 (0: at the lower,
    1: at the upper; mean over 24 layers)."""

    def between_the_bounds(u):
        layers = 1 + np.arange(len(u["pre"]["stream"]))
        return np.mean((u["pre"]["stream"] - 1 - layers / 2) / layers)

    return m.effect(between_the_bounds, label="place between the bounds").between(0, 1)


@study.claim("C1d", paper="|dL / dW^(2,L)| = O(d sqrt(ln d / L)) (Theorem 1, from memory)", trial=at_the_start)
def pre_lns_gradient_falls_with_depth(m):
    """At the start the gradient of one token's loss for Pre-LN's W^(2,L) falls about as L^-0.5: its log-log slope
    over 2 to 24 layers lies between -0.6 and -0.25."""
    return m.effect(lambda u: slope_over_depth(u["pre"]), label="log-log slope").between(-0.6, -0.25)


@study.claim("C1e", paper="|dL / dW^(2,L)| = O(d sqrt(ln d)), whatever L (Theorem 1)", trial=at_the_start)
def post_lns_gradient_does_not(m):
    """At the start the gradient of one token's loss for Post-LN's W^(2,L) is the same at any depth: its log-log
    slope over 2 to 24 layers lies within 0.15 of 0."""
    return m.effect(lambda u: slope_over_depth(u["post"]), label="log-log slope").within(0.15)


def slope_over_depth(arm):
    """Of the logarithm of the gradient against that of the depth, by least squares."""
    return np.polyfit(np.log(DEPTHS), np.log(arm["gradient"]), 1)[0]


WEAKER = "the loss of a small language model of bytes, trained for minutes, instead of BLEU"


@study.claim(
    "C2",
    paper="IWSLT14 German-English: 8.45 BLEU without warm-up, about 34 with it",
    trial=train,
    weaker_form=WEAKER,
    trend=True,
)
def post_ln_needs_warmup(m):
    """At the learning rate that is best with warm-up, Post-LN without it ends more than 0.02 nats higher."""

    def left_out(u):
        lr = min(LEARNING_RATES, key=lambda lr: u[f"norm=post, warmup=linear, lr={lr}"]["tune_loss"])
        return u[f"norm=post, warmup=none, lr={lr}"]["loss"] - u[f"norm=post, warmup=linear, lr={lr}"]["loss"]

    return m.effect(left_out, label="loss without warm-up - with it").above(0.02)


@study.claim(
    "C2b",
    paper="the warm-up stage 'is essential' (abstract); tried without it at two rates (from memory)",
    trial=train,
    weaker_form=WEAKER,
    trend=True,
)
def no_rate_makes_up_for_it(m):
    """Post-LN without warm-up ends more than 0.02 nats higher even at the best learning rate of its own."""
    best = m.best("lr", on="tune_loss")
    return best.less("loss", "norm=post, warmup=linear", than="norm=post, warmup=none", by=0.02)


@study.claim(
    "C3",
    paper="Pre-LN without warm-up reaches 'comparable results with baselines' (abstract)",
    trial=train,
    weaker_form=WEAKER,
    trend=True,
)
def pre_ln_needs_none(m):
    """Pre-LN without warm-up is no worse than Post-LN with it, each at its best learning rate (margin 0.02 nats)."""
    best = m.best("lr", on="tune_loss")
    return best.no_worse("loss", "norm=pre, warmup=none", than="norm=post, warmup=linear", margin=0.02)


@study.claim(
    "C4",
    paper="BERT: the same validation loss in 500k updates instead of 700k (from memory), a share of 0.71",
    trial=train,
    weaker_form="a small decoder of bytes instead of BERT, and updates instead of hours",
    trend=True,
)
def pre_ln_is_sooner_there(m):
    """Pre-LN without warm-up reaches the loss at which Post-LN with warm-up ends in fewer updates (share below 1)."""
    best = m.best("lr", on="tune_loss")
    return best.effect(
        lambda u: updates_to(u["norm=post, warmup=linear"]["losses"][-1], u["norm=pre, warmup=none"]["losses"]),
        label="share of the updates",
    ).below(1.0)


def updates_to(loss, losses):
    """The share of all updates after which a learning curve first reaches a loss; 2 if it never does."""
    there = np.flatnonzero(losses <= loss)
    if not len(there):
        return 2.0
    after = there[0]
    if after == 0:
        return 1 / len(losses)
    gone = (losses[after - 1] - loss) / (losses[after - 1] - losses[after])
    return (after + gone) / len(losses)


@study.claim(
    "C5",
    paper="'motivates us to remove the warm-up stage for the training of Pre-LN Transformers' (abstract)",
    trial=train,
    weaker_form=WEAKER,
)
def warmup_brings_pre_ln_nothing(m):
    """Pre-LN without warm-up is no worse than Pre-LN with it, each at its best learning rate (margin 0.02 nats)."""
    best = m.best("lr", on="tune_loss")
    return best.no_worse("loss", "norm=pre, warmup=none", than="norm=pre, warmup=linear", margin=0.02)


study.not_run(
    "C6",
    statement="The need for warm-up is not Adam's alone: Post-LN trained by SGD fails without it, too.",
    paper="IWSLT14 German-English with SGD (from memory)",
    reason="the training loop has AdamW only",
)
study.not_run(
    "C7",
    statement="Pre-trained with Pre-LN, BERT is as good on downstream tasks, sooner.",
    paper="MRPC and RTE over the updates of pre-training (Figure 5, from memory)",
    reason="needs a pretrained BERT of each kind",
)


@study.figure
def gradients_by_depth(m):
    """At the start: the gradient of one token's loss for the last feed-forward's second matrix, by depth."""
    return m.of("at_the_start").lines("gradient", at=DEPTHS, x="layers", y="|dL / dW2| of the last layer", scale="log")


@study.figure
def gradients_by_layer(m):
    """At the start: the gradient of the mean loss for each layer's second matrix, in models of 24 layers."""
    layers = range(1, DEPTHS[-1] + 1)
    return m.of("at_the_start").lines("by_layer", at=layers, x="layer", y="|dL / dW2|, 24 layers")


@study.figure
def losses_over_the_grid(m):
    """Test loss by learning rate and warm-up; the mean of the seeds."""
    return m.of("train").heatmap("loss", x="lr", y="warmup", panels="norm", label="nats per byte")


@study.figure
def learning_curves(m):
    """Test loss on the way, each at its best learning rate; mean of the seeds with its 95 % interval."""
    return m.of("train").best("lr", on="tune_loss").curves("test_loss", x="step", y="nats per byte")
