"""Does turning queries and keys beat adding positions to the embeddings?

Decoders and encoders that differ in their positions and in nothing else: same text, same batches, same
weights at the start wherever a parameter has the same name, each arm at its own best learning rate.

Expected before the first recorded run, from trials on tuning seeds, which no claim uses: sinusoidal loses to
RoPE by about 0.1 nats a byte in a decoder, paired differences with a deviation of about 0.03. Six pairs show
effects from about 0.04 on with 80 % power, so C2 has power to spare. In an encoder, learned positions lose by
some 0.3 with a deviation of about 0.1: effects from 0.15 on. C5 is expected to be contradicted.
"""

from dataclasses import dataclass
from typing import Any

import torch

from allyouneed.blocks.positions import Learned, Rope, Sinusoidal
from allyouneed.blocks.positions.rope import rope_angles, rotate
from allyouneed.data import ngram_loss
from allyouneed.generation import generate
from allyouneed.lab import Study
from allyouneed.models import Decoder, DecoderConfig, Encoder, EncoderConfig
from allyouneed.objectives import MaskedLM, causal_lm
from allyouneed.training import evaluate, fit


@dataclass(frozen=True)
class Scale:
    train_len: int
    d_model: int
    n_layers: int
    n_heads: int
    batch_size: int
    max_steps: int
    eval_windows: int
    draws: int
    precision: str
    minutes: float  # expected, on the hardware the scale is meant for
    seeds: int
    smaller: tuple[dict[str, Any], ...] = ()  # what makes smaller models, for the trends


study = Study(
    paper="rope",
    data="python_code",
    scales={
        "smoke": Scale(16, 32, 1, 2, 8, 30, 64, 20, "fp32", minutes=0.1, seeds=2),
        "laptop": Scale(64, 64, 2, 4, 16, 1000, 1000, 200, "fp32", minutes=8.0, seeds=6, smaller=({"d_model": 32},)),
        "gpu": Scale(512, 512, 8, 8, 64, 1000, 4000, 1000, "bf16", minutes=20.0, seeds=5),
    },
)

LONGEST = 4  # windows, in training windows: how far beyond its training a model is asked to read
LEARNING_RATES = [1e-3, 3e-3, 1e-2, 3e-2]


@study.trial(
    arm={"sinusoidal": Sinusoidal(), "learned": Learned(), "rope": Rope()},
    tune={"lr": LEARNING_RATES, "on": "tune_loss"},
)
def train_decoder(arm, seed, scale, run, lr):
    """A causal language model, scored at its training length and beyond it on the same tokens."""
    text = run.data
    config = DecoderConfig(
        vocab_size=text.vocab_size,
        d_model=scale.d_model,
        n_layers=scale.n_layers,
        n_heads=scale.n_heads,
        max_seq_len=LONGEST * scale.train_len,
        positions=arm,
    )
    model = Decoder(config, seed=seed).to(run.device)
    train(model, causal_lm, seed, scale, run, lr)

    def loss(split, n_windows):
        windows = split.windows(n_windows * scale.train_len, score_last=scale.train_len)
        return evaluate(model, causal_lm, windows.batches(64, limit=scale.eval_windows))

    run.show("sample", write(model, text, scale))
    return {
        "tune_loss": loss(text.tune, 1),
        "loss": loss(text.test, 1),
        "loss_2x": loss(text.test, 2),
        "loss_4x": loss(text.test, LONGEST),
    }


@study.trial(arm={"learned": Learned(), "rope": Rope()}, tune={"lr": LEARNING_RATES, "on": "tune_loss"})
def train_encoder(arm, seed, scale, run, lr):
    """A masked language model: hidden bytes are restored from both sides."""
    text = run.data
    mask_token = text.vocab_size
    config = EncoderConfig(
        vocab_size=text.vocab_size + 1,
        d_model=scale.d_model,
        n_layers=scale.n_layers,
        n_heads=scale.n_heads,
        max_seq_len=scale.train_len,
        positions=arm,
    )
    model = Encoder(config, seed=seed).to(run.device)
    objective = MaskedLM(mask_token, text.vocab_size)
    train(model, objective, seed, scale, run, lr)

    def loss(split):
        return evaluate(model, objective, split.windows(scale.train_len).batches(64, limit=scale.eval_windows))

    return {"tune_loss": loss(text.tune), "loss": loss(text.test)}


@study.trial(arm={"half-split": False, "interleaved": True})
def turn(arm, seed, scale, run):
    """Scores of turned queries and keys against those of the same pair moved along the text."""
    generator = torch.Generator().manual_seed(seed)
    errors = []
    for _ in range(scale.draws):
        q, k = torch.randn(2, 64, generator=generator, dtype=torch.float64)
        m, n, shift = torch.randint(2048, (3,), generator=generator)
        here = score(q, m, k, n, arm)
        there = score(q, m + shift, k, n + shift, arm)
        errors.append(float((here - there).abs() / (q.norm() * k.norm())))
    return {"error": errors}


def score(q, m, k, n, interleaved):
    """The dot product of q at position m with k at position n."""
    angles = rope_angles(torch.stack([m, n]), rotary_dim=64, theta=1e4, dtype=torch.float64)
    return rotate(q, angles[0], interleaved) @ rotate(k, angles[1], interleaved)


def train(model, objective, seed, scale, run, lr):
    """The training that all arms share."""
    fit(
        model,
        objective,
        run.data.train.windows(scale.train_len).stream(scale.batch_size, seed=seed),
        max_steps=scale.max_steps,
        warmup_steps=scale.max_steps // 20,
        lr=lr,
        precision=scale.precision,
        seed=seed,
        log=run.log,
        log_every=max(1, scale.max_steps // 50),
        dir=run.dir,
    )


def write(model, text, scale):
    """How the model goes on from the start of a function."""
    prompt = torch.tensor([text.tokenizer.encode("def ")], device=next(model.parameters()).device)
    longest = LONGEST * scale.train_len - prompt.shape[1]
    tokens = generate(model, prompt, max_new_tokens=min(240, longest), temperature=0.7, seed=0)
    return text.tokenizer.decode(tokens[0].tolist())


@study.gate(baseline="a trigram model of the training text")
def decoders_learned(m):
    """Every decoder must beat the trigram model on the tune split."""
    return m.below("tune_loss", m.data.trigram_loss)


@study.gate(baseline="a bigram model of the training text, which sees one neighbour", trial=train_encoder)
def encoders_learned(m):
    """A hidden byte's neighbours may be hidden too: to use one of them is the least an encoder must do."""
    text = m.data
    return m.below("tune_loss", ngram_loss(text.train.tokens, text.tune.tokens, order=2, vocab_size=text.vocab_size))


@study.claim("C1", paper="the score is a function of q, k and m - n alone (equation 11)", trial=turn)
def only_distance_counts(m):
    """Moving query and key along the text together leaves their score as it is (error at most 1e-12 of |q||k|)."""
    return m.exact("error", 1e-12)


@study.claim(
    "C2",
    paper="WMT14 English-German: BLEU 27.5 against 27.3 with sinusoidal positions (Table 1)",
    weaker_form="validation loss of a language model instead of BLEU, because translation models come with "
    "the transformer's paper",
    trend=True,
)
def beats_sinusoidal(m):
    """A decoder with RoPE reaches a lower loss on unseen text than one with sinusoidal positions."""
    return m.less("loss", "rope", than="sinusoidal")


@study.claim(
    "C3",
    paper="RoFormer's masked-language-model loss falls below BERT's (Figure 3, one run each)",
    trial=train_encoder,
    trend=True,
)
def beats_learned_in_an_encoder(m):
    """After equal steps a masked language model with RoPE has a lower loss than one with learned positions."""
    return m.less("loss", "rope", than="learned")


study.not_run(
    "C4",
    statement="RoFormer gains from longer inputs on long Chinese documents where BERT's kind cannot read them.",
    paper="CAIL2019-SCM: 69.79 % at 1,024 tokens against 68.10 % for WoBERT at 512 (from memory)",
    reason="needs a Chinese corpus and a pretrained model",
)


@study.claim(
    "C5",
    paper="'flexibility of sequence length' (abstract; no figure given)",
    weaker_form="the paper names the property without a measurement; read here as: longer than trained is no worse",
)
def reads_beyond_its_training_length(m):
    """At twice its training length RoPE's loss on the same tokens is no worse than at once (margin 0.02 nats)."""
    return m.effect(lambda u: u["rope"]["loss_2x"] - u["rope"]["loss"], label="loss at 2x - loss at 1x").below(0.02)


@study.figure
def decoders(m):
    """Training loss of the decoders, mean of the seeds with its 95 % interval."""
    return m.curves("loss", x="step", y="nats per byte")


@study.figure
def encoders(m):
    """Training loss of the masked language models, mean of the seeds with its 95 % interval."""
    return m.of("train_encoder").curves("loss", x="step", y="nats per hidden byte")


@study.figure
def beyond_the_training_length(m):
    """Test loss on the same tokens, with more and more text before them; the rule marks the training length."""
    return m.lines(
        ["loss", "loss_2x", "loss_4x"], at=[1, 2, 4], x="window / training window", y="nats per byte", mark=1
    )
