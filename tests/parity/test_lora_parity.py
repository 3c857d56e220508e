"""LoRA against peft on the same models: in float64 to 1e-10, files in both directions."""

import json
import math

import peft
import pytest
import torch
from safetensors.torch import load_file
from tests.parity.families import reference
from tests.parity.test_family_parity import TARGETS, TOKENS, ask_ours, ask_theirs

from allyouneed.adaptation import (
    ALL_LINEAR,
    Lora,
    activate,
    add_adapter,
    branches,
    fused,
    load_adapter,
    merge,
    save_adapter,
    unmerge,
)
from allyouneed.errors import UserError
from allyouneed.models import hub
from allyouneed.training import adamw

GPT_NEOX = "gpt_neox in sequence, tied, without biases"
ODD = "llama with one key, odd sizes, biases"
QKV = ("*.mixer.q", "*.mixer.k", "*.mixer.v")
# the model, their names of the modules, ours, and further settings of theirs
CASES = {
    "gpt2 fused": ("gpt2", ["c_attn"], QKV, {}),
    "gpt2 whole": ("gpt2", ["c_attn", "c_proj", "c_fc"], ALL_LINEAR, {"use_rslora": True}),
    "gpt2 with embedding": ("gpt2", ["c_attn", "wte"], (*QKV, "embedding"), {}),
    "gpt_neox fused by head": (GPT_NEOX, ["query_key_value"], QKV, {}),
    "llama": ("llama with fewer keys, tied", ["q_proj", "v_proj"], Lora().targets, {}),
    "llama whole, rank-stabilised": (
        ODD,
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        ALL_LINEAR,
        {"use_rslora": True},
    ),
    "bert": ("bert", ["query", "value"], Lora().targets, {}),
    "bert whole": ("bert of three parts, relu", "all-linear", (*ALL_LINEAR, "readout.dense"), {}),
    "t5": ("t5", ["q", "v"], ("*.q", "*.v"), {}),
    "t5 whole": ("t5 1.1", ["q", "k", "v", "o", "wi_0", "wi_1", "wo"], ALL_LINEAR, {}),
    "mamba": ("mamba", ["in_proj", "x_proj"], ("*.in_proj", "*.x_proj"), {}),
}


@pytest.fixture
def base(loud, in_float64, tmp_path):
    """The reference's model of a name with loud weights, and the folder with its checkpoint."""

    def make(name):
        with in_float64():
            theirs = loud(reference(name).double())
            theirs.save_pretrained(tmp_path / "base")
        return theirs, tmp_path / "base"

    return make


@pytest.fixture
def pair(base, in_float64, tmp_path):
    """Their model with an adapter whose factors are loud, and ours with the same, read from their file."""

    def make(case, rank=3, alpha=7):
        name, targets, _, settings = CASES[case]
        theirs, folder = base(name)
        config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, **settings)
        with in_float64():
            theirs = peft.get_peft_model(theirs, config)
            draw(theirs, 3)
            theirs.save_pretrained(tmp_path / "adapter")
        ours = hub.load(folder)
        load_adapter(ours, tmp_path / "adapter")
        return theirs, ours

    return make


@torch.no_grad()
def draw(theirs, seed, of="lora_"):
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in theirs.named_parameters():
        if of in name:
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(values / math.sqrt(parameter.shape[-1]))


def by_their_names(ours, folder, name="default"):
    save_adapter(ours, folder, name)
    return load_file(folder / "adapter_model.safetensors")


def of_theirs(theirs, what):
    named = {n.replace(".default", ""): what(p) for n, p in theirs.named_parameters() if "lora_" in n}
    assert named
    return named


@pytest.mark.parametrize("case", CASES)
def test_logits_gradients_and_five_steps(case, pair, in_float64, assert_parity, tmp_path):
    theirs, ours = pair(case)
    with in_float64():
        logits = theirs.base_model.model
        theirs_logits = ask_theirs(logits, in_float64)
    mine = ask_ours(ours)
    assert_parity(mine, theirs_logits, "logits")
    with_it = mine.detach()
    activate(ours)
    assert (ask_ours(ours) - with_it).abs().max() > 0.1  # the adapter does something
    activate(ours, "default")

    # Adam's usual eps of 1e-8 would make steps of gradients that are nothing but rounding.
    optimizers = [adamw(model, 1e-2, weight_decay=0.1, eps=1e-2) for model in (theirs, ours)]
    for step in range(5):
        losses = []
        for model, ask in ((theirs, lambda: ask_theirs(logits, in_float64)), (ours, lambda: ask_ours(ours))):
            with in_float64():
                loss = torch.nn.functional.cross_entropy(ask().flatten(0, 1), targets(model).flatten())
                loss.backward()
            losses.append(loss)
        assert_parity(losses[1], losses[0], "loss")
        if step == 0:
            gradients = of_theirs(theirs, lambda p: p.grad)
            with torch.no_grad():
                kept = {p: p.clone() for p in ours.parameters() if p.requires_grad}
                for p in kept:
                    p.copy_(p.grad)
                written = by_their_names(ours, tmp_path / "gradients")
                for p, values in kept.items():
                    p.copy_(values)
            for name, gradient in gradients.items():
                assert_parity(written[name], gradient, name)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    written = by_their_names(ours, tmp_path / "after")
    trained = of_theirs(theirs, lambda p: p.detach())
    assert written.keys() == trained.keys()
    for name, values in trained.items():
        assert_parity(written[name], values, name)


def targets(model):
    two_stacks = hasattr(model, "encoder") or getattr(model.config, "is_encoder_decoder", False)
    return TARGETS if two_stacks else TOKENS


@pytest.mark.parametrize("case", [case for case in CASES if case != "gpt2 with embedding"])
def test_merged_and_unmerged(case, pair, in_float64, assert_parity):
    theirs, ours = pair(case)
    before = {name: p.clone() for name, p in ours.named_parameters()}
    apart = ask_ours(ours)
    with in_float64():
        theirs.merge_adapter()
    merge(ours)
    assert_parity(ask_ours(ours), ask_theirs(theirs.base_model.model, in_float64), "merged")
    assert_parity(ask_ours(ours), apart, "merged and apart")
    unmerge(ours)
    for name, p in ours.named_parameters():
        assert_parity(p, before[name], name)


@pytest.mark.parametrize("case", CASES)
def test_peft_reads_what_is_written_here(case, base, in_float64, assert_parity, tmp_path):
    name, _, our_targets, _ = CASES[case]
    theirs, folder = base(name)
    ours = hub.load(folder)
    scaling = "alpha/sqrt(rank)" if "rank-stabilised" in case else "alpha/rank"
    add_adapter(ours, Lora(rank=3, alpha=7.5, targets=our_targets, scaling=scaling), share=fused(ours))
    randomise(ours)
    save_adapter(ours, tmp_path / "adapter")
    with in_float64():
        theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter", autocast_adapter_dtype=False)
    assert_parity(ask_ours(ours), ask_theirs(theirs.base_model.model, in_float64), "logits")
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (3, 7.5)
    assert config["rank_pattern"] == config["alpha_pattern"] == {}


@torch.no_grad()
def randomise(ours, name="default", seed=5):
    generator = torch.Generator().manual_seed(seed)
    for branch in branches(ours, name).values():
        branch.b.copy_(torch.randn(branch.b.shape, generator=generator, dtype=torch.float64) / 2)
        branch.a.copy_(torch.randn(branch.a.shape, generator=generator, dtype=torch.float64) / 4)


@pytest.mark.parametrize("model", ["gpt2", GPT_NEOX])
@pytest.mark.parametrize("scaling", ["alpha/rank", "alpha/sqrt(rank)"])
def test_the_papers_own_form_on_a_fused_matrix(model, scaling, base, in_float64, assert_parity, tmp_path):
    """Queries and values with an A each are one matrix of twice the rank in peft's format, the same function."""
    theirs, folder = base(model)
    ours = hub.load(folder)
    add_adapter(ours, Lora(rank=3, alpha=5, scaling=scaling, targets=("*.mixer.q", "*.mixer.v", "*.up")))
    randomise(ours)
    save_adapter(ours, tmp_path / "adapter")
    with in_float64():
        theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter", autocast_adapter_dtype=False)
    expected = ask_ours(ours)
    assert_parity(ask_theirs(theirs.base_model.model, in_float64), expected, "theirs")
    again = hub.load(folder)
    load_adapter(again, tmp_path / "adapter")
    assert_parity(ask_ours(again), expected, "read back")


def test_the_start_is_the_model_itself_and_a_has_no_gradient_on_the_first_step(base, in_float64):
    _, folder = base("gpt2")
    ours = hub.load(folder)
    before = ask_ours(ours)
    add_adapter(ours, Lora(targets=ALL_LINEAR))
    assert torch.equal(ask_ours(ours), before)
    ask_ours(ours).square().sum().backward()
    for branch in branches(ours, "default").values():
        assert not branch.a.grad.any()
        assert branch.b.grad.abs().max() > 0


def test_several_active_adapters_add_up(base, pair, in_float64, assert_parity, tmp_path):
    theirs, ours = pair("llama")
    more = peft.LoraConfig(r=2, lora_alpha=3, target_modules=["k_proj", "q_proj", "gate_proj"])
    with in_float64():
        theirs.add_adapter("more", more)
        draw(theirs, 8, of=".more.")
        theirs.save_pretrained(tmp_path / "both", selected_adapters=["more"])
        theirs.base_model.set_adapter(["default", "more"])
    load_adapter(ours, tmp_path / "both" / "more", "more")
    one = ask_ours(ours)
    activate(ours, "default", "more")
    both = ask_theirs(theirs.base_model.model, in_float64)
    assert_parity(ask_ours(ours), both, "both")
    assert (both - one).abs().max() > 0.1
    merge(ours)
    assert_parity(ask_ours(ours), both, "both merged")


def test_ranks_and_alphas_by_pattern(base, in_float64, assert_parity, tmp_path):
    theirs, folder = base("llama")
    config = peft.LoraConfig(
        r=2,
        lora_alpha=3,
        target_modules=["q_proj", "v_proj", "o_proj"],
        rank_pattern={"q_proj": 5, "layers.1.self_attn.v_proj": 4},
        alpha_pattern={r".*\.0\.self_attn\.o_proj": 11},
    )
    with in_float64():
        theirs = peft.get_peft_model(theirs, config)
        draw(theirs, 3)
        theirs.save_pretrained(tmp_path / "adapter")
    ours = hub.load(folder)
    load_adapter(ours, tmp_path / "adapter")
    expected = ask_theirs(theirs.base_model.model, in_float64)
    assert_parity(ask_ours(ours), expected, "logits")
    save_adapter(ours, tmp_path / "again")
    fresh = base("llama")[0]
    with in_float64():
        fresh = peft.PeftModel.from_pretrained(fresh, tmp_path / "again", autocast_adapter_dtype=False)
    assert_parity(ask_theirs(fresh.base_model.model, in_float64), expected, "written again")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"use_dora": True}, "use_dora is True"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"modules_to_save": ["score"]}, r"modules_to_save is \['score'\]"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa'"),
        ({"something_new": {"x": 1}}, "something_new"),
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"r": None}, "adapter_config.json"),
    ],
)
def test_what_a_config_asks_and_cannot_be_done_is_named(values, said, pair, tmp_path):
    _, ours = pair("llama")
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    with pytest.raises(UserError, match=said):
        load_adapter(ours, tmp_path / "adapter", "again")
