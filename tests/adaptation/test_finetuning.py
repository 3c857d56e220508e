"""What a fine-tuning holds out, what it says it will need, and that asking changes nothing."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from allyouneed.adaptation import ALL_LINEAR, Lora, add_adapter, finetuning
from allyouneed.adaptation.classifier import Classifier, classify_texts
from allyouneed.adaptation.memory import Training, available, memory
from allyouneed.adaptation.places import patterns
from allyouneed.blocks import Attention, Gelu, Learned, RMSNorm, Rope, SwiGLU
from allyouneed.data.batch import TokenBatch
from allyouneed.data.chats.batches import encode_chats
from allyouneed.data.chats.labelled_batches import label_texts
from allyouneed.models import Decoder, DecoderConfig, Encoder, EncoderConfig
from allyouneed.objectives import causal_lm
from allyouneed.tokenizers import CheckpointTokenizer
from allyouneed.tokenizers.subwords import train_subwords
from allyouneed.training import fit

SIZES = {"vocab_size": 500, "d_model": 64, "n_layers": 3, "max_seq_len": 64}
CONFIG = DecoderConfig(positions=Rope(), norm=RMSNorm(), feedforward=SwiGLU(), **SIZES)
GPT2 = {"positions": Learned(), "mixer": Attention(bias=True), "feedforward": Gelu(approximate="tanh")}


@pytest.fixture(scope="module")
def tokenizer():
    learned = train_subwords(["what is number 0 1 2 3 4 5 6 7 8 9? it is even odd "] * 3, 60, special=("<end>",))
    return CheckpointTokenizer(learned, {"eos": 0}, (0,), {}, "test")


def chats(n):
    return [{"prompt": f"what is {i}? ", "completion": f"it is {i}"} for i in range(n)]


def test_a_tenth_is_held_out_and_shares_no_beginning():
    each = [*chats(100), *chats(100), *({"prompt": f"what is {i}? ", "completion": "odd"} for i in range(100))]
    train, held_out = finetuning.hold_out(each)
    assert (len(train), len(held_out)) == (180, 20)
    assert not {chat["prompt"] for chat in train} & {chat["prompt"] for chat in held_out}
    again = finetuning.hold_out(each[::-1])[1]
    assert {chat["prompt"] for chat in again} == {chat["prompt"] for chat in held_out}
    assert [len(part) for part in finetuning.hold_out(chats(2))] == [1, 1]
    with pytest.raises(ValueError, match="none would be left to train on"):
        finetuning.hold_out(chats(1) * 5)


@pytest.mark.parametrize("lora", [None, Lora(rank=4, targets=ALL_LINEAR)])
def test_the_bytes_are_those_of_a_real_step(lora):
    """Weights and state exactly; what the forward pass keeps up to a quarter, because the meta device has another
    attention than the CPU."""
    needed = memory(Training(CONFIG, lora, rows=3, length=40))
    model = Decoder(CONFIG)
    if lora:
        add_adapter(model, lora)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert needed.weights == 4 * needed.n_weights == sum(p.nbytes for p in model.parameters())
    assert needed.state == 12 * needed.n_trained == 12 * sum(p.numel() for p in trained)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    tokens = torch.zeros(3, 40, dtype=torch.long)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        causal_lm(model, TokenBatch(tokens, tokens, segments=tokens))
    real = sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in own)
    assert needed.activations == pytest.approx(real, rel=0.25)
    assert needed.total == needed.weights + needed.state + needed.activations


def test_what_changes_least_is_advised_first():
    training = Training(CONFIG, None, rows=8, length=64)
    full = memory(training)
    options = [option for option, _ in finetuning.cheaper(training, full.total - 1)]
    assert options[:4] == [*(f"--micro-batch-size {n}" for n in (4, 2, 1)), "--method lora"]
    one = replace(training, rows=1)
    least = memory(one).total * 2 // 3
    option, needed = next(finetuning.cheaper(one, least))
    assert option.startswith("--method lora")
    assert needed.total <= least
    assert list(finetuning.cheaper(training, 1000)) == []


def test_the_machine_says_what_is_free():
    free = available(torch.device("cpu"))
    assert free is None or free > 1e6


@pytest.fixture
def job(tokenizer):
    model = Decoder(CONFIG)
    lora = Lora(rank=2)
    add_adapter(model, lora)
    settings = finetuning.Settings(lora, 1e-2, 10, batch_size=4, micro_batch_size=3, seed=0)
    train, held_out = (encode_chats(chats(n), tokenizer, 32) for n in (40, 8))
    return finetuning.Job(model.eval(), tokenizer, settings, train, held_out, chats(2))


def test_measuring_a_step_changes_nothing(job):
    before, state = copy.deepcopy(job.model.state_dict()), torch.get_rng_state()
    assert finetuning.seconds_a_step(job) > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in job.model.state_dict().items())
    assert all(p.grad is None for p in job.model.parameters())
    assert not job.model.training
    assert job.training.rows == 3


def test_learning_lowers_the_held_out_loss(job):
    before = finetuning.held_out_loss(job)
    rows = []
    finetuning.learn(job, None, lambda **row: rows.append(row))
    assert finetuning.held_out_loss(job) < before
    assert [row["step"] for row in rows] == list(range(1, 11))
    answers = finetuning.write_answers(job, 8)
    assert [a.expected for a in finetuning.compared(job, answers, answers)] == ["it is 0", "it is 1"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["q", "v"], (("*.q", "*.v"), False)),
        (["all"], (ALL_LINEAR, False)),
        (["*.mixer.k"], (("*.mixer.k",), False)),
        (["c_attn"], (tuple(f"layers.{i}.sublayers.mixer.{n}" for i in range(3) for n in "qkv"), True)),
        (["c_fc"], (tuple(f"layers.{i}.sublayers.feedforward.up" for i in range(3)), False)),
    ],
)
def test_names_of_both_sides_are_understood(names, expected):
    assert patterns(Decoder(DecoderConfig(**GPT2, **SIZES)), names) == expected


@pytest.mark.parametrize("lora", [None, Lora(rank=2, targets=ALL_LINEAR)])
def test_a_classifier_learns_and_its_head_too(lora, tokenizer):
    each = [{"prompt": f"{i} is {name}", "completion": name} for i in range(30) for name in ("even", "odd")]
    texts = label_texts(each, ("even", "odd"), tokenizer, 16)
    model = Classifier(Encoder(EncoderConfig(**GPT2, **SIZES)), 2)
    if lora:
        add_adapter(model.encoder, lora)
    head = model.head.weight.clone()
    fit(model, classify_texts, texts.stream(20, seed=0), max_steps=30, lr=3e-3)
    assert (model.head.weight - head).abs().max() > 0.003
    model.eval()
    with torch.inference_mode():
        batch = next(texts.batches(60))
        assert classify_texts(model, batch).mean < 0.5
        apart = model(batch.tokens[:1, : int(batch.mask[0].sum())])
        torch.testing.assert_close(model(batch.tokens, batch.mask)[:1], apart, rtol=0, atol=1e-5)  # float32
