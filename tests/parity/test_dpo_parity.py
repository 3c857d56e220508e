"""Our preference losses against trl's own DPOTrainer: value, gradients and one step of SGD, through the real trainer.

trl tokenizes, appends the end token, pads, shifts and reduces by itself; what is compared is what its users get.
"""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
import transformers as hf
from datasets import Dataset
from peft import LoraConfig
from trl import DPOConfig, DPOTrainer

from allyouneed.adaptation import branches, load_adapter
from allyouneed.alignment import LOSSES, OtherModel, Preference, logprobs_of, robust_loss, without_adapters
from allyouneed.data.preferences.batches import encode_preferences
from allyouneed.models.families import family
from allyouneed.models.hub import load, table_of
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["<pad>", "<end>", *"abcdefghijklmnopqrstuvwxyz"]
END = 1
# Ragged on purpose: prompts and answers of one token and of many, the preferred one longer and shorter, one pair twice.
PAIRS = [
    ("a b c", "d e f g h i j", "k"),
    ("a", "z", "y x w v u t s r q"),
    ("l m n o p q r s", "a b", "c d"),
    ("e e e", "e e e e", "f e e"),
    ("a b c", "d e f g h i j", "k"),
]
BETA, LR = 0.3, 0.05


@pytest.fixture(scope="module")
def tokenizer():
    """Words of one letter, in memory."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.add_special_tokens(["<pad>", "<end>"])
    return hf.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", pad_token="<pad>", unk_token="<pad>")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A policy and a reference, as different as random weights are."""
    folder = tmp_path_factory.mktemp("llamas")
    for seed, name in enumerate(("policy", "reference")):
        torch.manual_seed(seed)
        sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
        config = hf.LlamaConfig(
            vocab_size=len(WORDS), num_key_value_heads=2, initializer_range=0.2, tie_word_embeddings=False, **sizes
        )
        hf.LlamaForCausalLM(config).double().save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def batch():
    """The same pairs by our own hands: prompt and answer by word, the end token behind each answer."""

    def text(prompt, answer):
        before, after = ([WORDS.index(word) for word in part.split()] for part in (prompt, answer))
        return [*before, *after, END], [False] * len(before) + [True] * (len(after) + 1)

    pairs = encode_preferences([(text(p, chosen), text(p, rejected)) for p, chosen, rejected in PAIRS])
    return next(pairs.batches(len(pairs)))


class Watched(DPOTrainer):
    """trl's trainer, which logs its loss in float32; here it is kept as it was computed."""

    def compute_loss(self, *args, **settings):
        self.loss = super().compute_loss(*args, **settings)
        return self.loss


def trainer(folders, tokenizer, out, loss_type, ref=True, **settings):
    """trl's trainer on all pairs in one batch, for one step of plain SGD, in float64."""
    peft_config = settings.pop("peft_config", None)
    # The end token is a word of its own only behind a space; trl adds it where it is missing.
    rows = [{"prompt": p, "chosen": f" {c} <end>", "rejected": f" {r} <end>"} for p, c, r in PAIRS]
    config = DPOConfig(
        output_dir=str(out),
        loss_type=[loss_type],
        beta=BETA,
        label_smoothing=0.1 if loss_type == "robust" else 0.0,
        per_device_train_batch_size=len(PAIRS),
        max_steps=1,
        learning_rate=LR,
        lr_scheduler_type="constant",
        optim="sgd",
        max_grad_norm=0.0,
        max_length=None,
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        gradient_checkpointing=False,
        seed=0,
        **settings,
    )
    policy, reference = (
        hf.AutoModelForCausalLM.from_pretrained(folders / name, dtype=torch.float64) for name in ("policy", "reference")
    )
    return Watched(
        policy,
        ref_model=reference if ref else None,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=peft_config,
    )


def one_step(theirs):
    """Their loss, their gradients before the step and their weights after it, by their names."""
    gradients = {}
    for name, parameter in theirs.model.named_parameters():
        if parameter.requires_grad:
            parameter.register_hook(lambda gradient, name=name: gradients.__setitem__(name, gradient.clone()))
    theirs.train()
    return float(theirs.loss.detach()), gradients, dict(theirs.model.named_parameters())


def as_theirs(model, values):
    """Our tensors by the names that transformers has for them."""
    table = table_of(family("llama"), model)
    return {
        their: value
        for entry in table
        for their, value in zip(entry.theirs, entry.layout.write([values[o] for o in entry.ours]))
    }


OURS = {
    **{name: LOSSES[name](BETA) for name in ("sigmoid", "sigmoid_norm", "ipo", "hinge", "apo_zero")},
    "robust": Preference(partial(robust_loss, beta=BETA, flipped=0.1)),
}


@pytest.mark.parametrize("name", OURS)
def test_value_gradients_and_one_step_are_trls(name, folders, tokenizer, batch, tmp_path, in_float64, assert_parity):
    with in_float64():
        loss, gradients, after = one_step(trainer(folders, tokenizer, tmp_path, name))
    policy = load(folders / "policy")
    found = replace(OURS[name], reference=OtherModel(load(folders / "reference")))(policy, batch).mean
    assert float(found.detach()) == pytest.approx(loss, rel=1e-10)
    found.backward()
    weights = dict(policy.named_parameters())
    ours = as_theirs(policy, {own: weight.grad for own, weight in weights.items()})
    assert gradients.keys() == ours.keys()
    for their, gradient in ours.items():
        assert_parity(gradient, gradients[their], their)
    torch.optim.SGD(policy.parameters(), lr=LR).step()
    for their, weight in as_theirs(policy, {own: weight.detach() for own, weight in weights.items()}).items():
        assert_parity(weight, after[their].detach(), their)


def test_a_reference_made_beforehand_is_trls(folders, tokenizer, batch, tmp_path, in_float64, monkeypatch):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # in which trl's collator makes tensors of them
    try:
        with in_float64():
            theirs = trainer(folders, tokenizer, tmp_path, "sigmoid", precompute_ref_log_probs=True)
            loss, gradients, _ = one_step(theirs)
    finally:
        torch.set_default_dtype(before)
    policy = load(folders / "policy")
    reference = torch.from_numpy(logprobs_of(load(folders / "reference"), [batch]))
    found = LOSSES["sigmoid"](BETA)(policy, replace(batch, reference=reference)).mean
    assert float(found.detach()) == pytest.approx(loss, rel=1e-10)
    found.backward()
    gradient = policy.embedding.weight.grad
    torch.testing.assert_close(gradient, gradients["model.embed_tokens.weight"], rtol=1e-10, atol=1e-12)


def test_with_an_adapter_the_reference_is_the_model_without_it_as_in_trl(
    folders, tokenizer, batch, tmp_path, in_float64, assert_parity
):
    lora = LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "down_proj"], lora_dropout=0.0)
    with in_float64():
        theirs = trainer(folders, tokenizer, tmp_path, "sigmoid", ref=False, peft_config=lora)
        torch.manual_seed(2)
        for name, parameter in theirs.model.named_parameters():
            if "lora_" in name:  # B starts at 0, where policy and reference are one
                parameter.data.normal_(std=0.3)
        theirs.model.save_pretrained(tmp_path / "adapter")
        loss, gradients, _ = one_step(theirs)
    policy = load(folders / "policy")
    load_adapter(policy, tmp_path / "adapter")
    found = replace(LOSSES["sigmoid"](BETA), reference=without_adapters)(policy, batch).mean
    assert float(found.detach()) == pytest.approx(loss, rel=1e-10)
    assert abs(loss - math.log(2)) > 0.01
    found.backward()
    for layer in (0, 1):
        for ours, their in (("mixer.q", "self_attn.q_proj"), ("feedforward.down", "mlp.down_proj")):
            branch = branches(policy, "default")[f"layers.{layer}.sublayers.{ours}"]
            prefix = f"base_model.model.model.layers.{layer}.{their}.lora"
            assert_parity(branch.b.grad, gradients[f"{prefix}_B.default.weight"], their)
            assert_parity(branch.a.grad, gradients[f"{prefix}_A.default.weight"], their)
