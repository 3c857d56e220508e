"""Adapters in models of this library: put in, switched, merged, taken out, and what they refuse."""

import copy
import math

import pytest
import torch
from torch import nn

from allyouneed.adaptation import (
    ALL_LINEAR,
    Adapted,
    Lora,
    activate,
    adapters,
    adapters_off,
    add_adapter,
    branches,
    fused,
    load_adapter,
    merge,
    remove_adapters,
    save_adapter,
    unmerge,
)
from allyouneed.blocks import Attention, CrossAttention, Gelu, Learned, Mamba, Rope
from allyouneed.data.batch import TokenBatch
from allyouneed.generation import generate
from allyouneed.models import Decoder, DecoderConfig, Encoder, EncoderConfig, EncoderDecoder, EncoderDecoderConfig, hub
from allyouneed.objectives import causal_lm
from allyouneed.training import fit

TOKENS = torch.randint(0, 50, (2, 9), generator=torch.Generator().manual_seed(0))
SIZES = {"vocab_size": 50, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 32}


def decoder(**other):
    return Decoder(DecoderConfig(positions=Rope(), **SIZES | other)).double().eval()


@torch.no_grad()
def stir(model, name="default", seed=1):
    """Give an adapter something to do."""
    generator = torch.Generator().manual_seed(seed)
    for branch in branches(model, name).values():
        for factor in (branch.a, branch.b):
            factor.copy_(torch.randn(factor.shape, generator=generator, dtype=factor.dtype) / 4)
    return model


def test_the_update_is_the_formula_and_of_low_rank():
    model = decoder()
    plain = copy.deepcopy(model)
    add_adapter(model, Lora(rank=3, alpha=5, targets=("*.mixer.q",), scaling="alpha/sqrt(rank)"))
    stir(model)
    with torch.no_grad():
        for layer, own in zip(plain.layers, model.layers):
            branch = own.sublayers["mixer"].q.branches["default"]
            update = 5 / math.sqrt(3) * branch.b @ branch.a
            assert torch.linalg.matrix_rank(update) == 3
            layer.sublayers["mixer"].q.weight += update
    torch.testing.assert_close(model(TOKENS), plain(TOKENS), rtol=0, atol=1e-12)


def test_the_start_depends_on_seed_and_name_alone_and_leaves_the_generator():
    starts = []
    for seed, targets in ((3, ("*.mixer.q",)), (3, ALL_LINEAR), (4, ("*.mixer.q",))):
        model, before = decoder(), torch.get_rng_state()
        add_adapter(model, Lora(targets=targets), seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        starts.append(branches(model, "default")["layers.1.sublayers.mixer.q"])
    assert torch.equal(starts[0].a, starts[1].a)
    assert not torch.equal(starts[0].a, starts[2].a)
    bound = 1 / math.sqrt(32)
    assert starts[0].a.abs().max() <= bound
    assert float(starts[0].a.std()) == pytest.approx(bound / math.sqrt(3), rel=0.15)  # 256 draws: 3 %
    assert not starts[0].b.any()


def test_only_the_active_adapters_are_trained():
    model = decoder()
    add_adapter(model, Lora(rank=2))
    add_adapter(model, Lora(rank=2, targets=ALL_LINEAR), "more")
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert all(".more." in name for name in trained)
    before = {name: p.clone() for name, p in model.named_parameters()}
    batch = TokenBatch(TOKENS[:, :-1], TOKENS[:, 1:])
    fit(model, causal_lm, iter([batch] * 3), max_steps=3, lr=1e-2)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == trained
    assert adapters(model) == ["default", "more"]


def test_adapters_are_switched_and_off_is_the_model_itself():
    model = decoder()
    plain = model(TOKENS)
    add_adapter(model, Lora(), "a")
    stir(model, "a", 1)
    add_adapter(model, Lora(rank=3), "b")
    stir(model, "b", 2)
    b = model(TOKENS)
    activate(model, "a")
    a = model(TOKENS)
    assert (a - b).abs().max() > 0.01
    with adapters_off(model):
        assert torch.equal(model(TOKENS), plain)
        assert not any(p.requires_grad for name, p in model.named_parameters() if ".b." in name)
    assert torch.equal(model(TOKENS), a)
    activate(model)
    assert torch.equal(model(TOKENS), plain)


def test_the_reference_is_there_again_after_an_error():
    model = decoder()
    add_adapter(model, Lora())
    stir(model)
    with pytest.raises(RuntimeError), adapters_off(model):
        raise RuntimeError
    assert model.layers[0].sublayers["mixer"].q.active == ("default",)


def test_what_is_merged_and_removed_is_a_plain_model_that_can_be_saved(tmp_path):
    model = decoder().float()
    add_adapter(model, Lora(targets=ALL_LINEAR))
    stir(model)
    apart = model(TOKENS)
    merge(model)
    torch.testing.assert_close(model(TOKENS), apart, rtol=0, atol=1e-5)  # float32
    for change in (merge, lambda m: activate(m, "default"), lambda m: add_adapter(m, Lora(), "x")):
        with pytest.raises(ValueError, match="merged into the weights"):
            change(model)
    with pytest.raises(ValueError, match="merged"), adapters_off(model):
        pass
    unmerge(model)
    merge(model)
    remove_adapters(model)
    assert not any(isinstance(module, Adapted) for module in model.modules())
    assert all(p.requires_grad for p in model.parameters())
    hub.save(model, tmp_path)
    torch.testing.assert_close(hub.load(tmp_path)(TOKENS), apart, rtol=0, atol=1e-5)


def test_values_that_are_not_finite_are_not_merged():
    model = decoder()
    add_adapter(model, Lora())
    stir(model)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        branches(model, "default")["layers.1.sublayers.mixer.v"].b[0, 0] = math.inf
    with pytest.raises(ValueError, match=r"'default' at layers.1.sublayers.mixer.v has values that are not finite"):
        merge(model)
    assert torch.equal(model.layers[0].sublayers["mixer"].q.weight, before["layers.0.sublayers.mixer.q.base.weight"])


def test_a_shared_a_is_one_parameter():
    model = Decoder(
        DecoderConfig(positions=Learned(), mixer=Attention(bias=True), feedforward=Gelu(approximate="tanh"), **SIZES)
    )
    groups = fused(model)
    assert groups[0] == tuple(f"layers.0.sublayers.mixer.{name}" for name in "qkv")
    add_adapter(model, Lora(rank=2, targets=("*.mixer.q", "*.mixer.v")), share=groups)
    mixer = model.layers[0].sublayers["mixer"]
    assert mixer.q.branches["default"].a is mixer.v.branches["default"].a
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 2 * (2 * 32 + 2 * 2 * 32)
    other = model.layers[1].sublayers["mixer"].q.branches["default"].a
    assert other is not mixer.q.branches["default"].a


def test_an_embedding_is_adapted_where_tokens_are_read_and_not_in_the_head():
    model = decoder()
    add_adapter(model, Lora(rank=2, targets=("embedding",)))
    assert torch.equal(model(TOKENS), decoder()(TOKENS))
    stir(model)
    plain = copy.deepcopy(model)
    remove_adapters(plain)
    branch = model.embedding.branches["default"]
    vectors = plain.embed(TOKENS) + 4 * (branch.b @ branch.a).T[TOKENS]
    torch.testing.assert_close(model(TOKENS), plain(vectors), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="embedding cannot be merged: it is the head's matrix too"):
        merge(model)
    with pytest.raises(ValueError, match="not of the model's vocabulary"):
        model(TOKENS + 50)
    untied = decoder(tie_embeddings=False)
    add_adapter(untied, Lora(targets=("embedding",)))
    stir(untied)
    apart = untied(TOKENS)
    merge(untied)
    torch.testing.assert_close(untied(TOKENS), apart, rtol=0, atol=1e-12)


def two_stacks():
    sizes = SIZES | {"positions": Rope()}
    config = EncoderDecoderConfig(
        encoder=EncoderConfig(**sizes), decoder=DecoderConfig(cross=CrossAttention(), **sizes)
    )
    return EncoderDecoder(config).double().eval()


def test_an_embedding_that_two_stacks_share_is_adapted_in_both_and_given_back():
    model = two_stacks()
    plain = model(TOKENS, TOKENS)
    add_adapter(model, Lora(rank=2, targets=("encoder.embedding", "*.cross.k")))
    stir(model)
    assert model.decoder.embedding is model.encoder.embedding
    assert isinstance(model.decoder.embedding, Adapted)
    remove_adapters(model)
    assert model.decoder.embedding is model.encoder.embedding
    assert torch.equal(model(TOKENS, TOKENS), plain)


MODELS = {
    "decoder": decoder,
    "mamba": lambda: decoder(mixer=Mamba(), feedforward=None),
    "encoder": lambda: Encoder(EncoderConfig(positions=Learned(), **SIZES)).double().eval(),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_linear_of_a_layer_takes_part(name):
    """A block that read a weight by itself would leave its adapter without effect."""
    model = MODELS[name]()
    plain = model(TOKENS)
    places = add_adapter(model, Lora(rank=2, targets=ALL_LINEAR))
    linears = [n for n, m in model.named_modules() if isinstance(m, Adapted)]
    assert linears == places
    for place in places:
        branch = branches(model, "default")[place]
        with torch.no_grad():
            branch.b.normal_(generator=torch.Generator().manual_seed(0))
        assert (model(TOKENS) - plain).abs().max() > 1e-6, place
        nn.init.zeros_(branch.b)


def test_dropout_acts_on_what_enters_the_branch_and_nowhere_else():
    linear = nn.Linear(16, 8).double()
    branch = Lora(rank=3, dropout=0.4).build(linear)
    x = torch.randn(5, 16, dtype=torch.float64)
    with torch.no_grad():
        branch.a.normal_()
        branch.b.normal_()
        torch.manual_seed(7)
        found = branch(x, linear(x))
        torch.manual_seed(7)
        expected = linear(x) + branch.scale * nn.functional.dropout(x, 0.4) @ branch.a.T @ branch.b.T
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_generation_and_dropout():
    model = decoder()
    add_adapter(model, Lora(rank=2, dropout=0.5, targets=ALL_LINEAR))
    stir(model)
    assert torch.equal(model(TOKENS), model(TOKENS))
    model.train()
    assert not torch.equal(model(TOKENS), model(TOKENS))
    model.eval()
    written = generate(model, TOKENS[:, :4], max_new_tokens=5, temperature=0)
    whole = model(written)[:, 3:-1].argmax(-1)
    assert torch.equal(written[:, 4:], whole)


def test_half_precision_has_factors_in_float32_and_gives_half_precision():
    model = decoder().bfloat16()
    add_adapter(model, Lora())
    stir(model)
    assert branches(model, "default")["layers.0.sublayers.mixer.q"].a.dtype == torch.float32
    assert model(TOKENS).dtype == torch.bfloat16
    weight = model.layers[0].sublayers["mixer"].q.base.weight
    before = weight.clone()
    merge(model)
    unmerge(model)
    # Two roundings to 8 bits, of the sum and of the difference.
    torch.testing.assert_close(weight, before, rtol=0, atol=2 * 2**-8 * float(weight.abs().max() + 1))


@pytest.mark.parametrize(
    ("lora", "name", "said"),
    [
        (Lora(targets=("*.w",)), "x", r"'\*.w' names nothing to adapt: there is none of that name; names end in .*q"),
        (Lora(targets=("*.norms.*",)), "x", "they are no modules that Lora fits"),
        (Lora(), "default", "has an adapter 'default' already"),
        (Lora(), "a.b", "must not be empty or contain a dot"),
    ],
)
def test_what_cannot_be_added_changes_nothing(lora, name, said):
    model = decoder()
    add_adapter(model, Lora())
    names = [n for n, _ in model.named_parameters()]
    with pytest.raises(ValueError, match=said):
        add_adapter(model, lora, name)
    assert [n for n, _ in model.named_parameters()] == names
    with pytest.raises(ValueError, match="no adapter 'z'; it has default"):
        activate(model, "z")


@pytest.mark.parametrize("values", [{"rank": 0}, {"dropout": 1.0}, {"targets": "*.q"}, {"targets": ()}])
def test_settings_out_of_range(values):
    with pytest.raises(ValueError, match="must"):
        Lora(**values)


def test_a_model_without_a_family_of_its_own_keeps_its_adapter_on_file(tmp_path):
    model = decoder(mixer=Attention(window=3))
    add_adapter(model, Lora(rank=2, alpha=3.5, dropout=0.25, targets=("*.mixer.k", "*.up")))
    stir(model)
    save_adapter(model, tmp_path)
    again = decoder(mixer=Attention(window=3))
    lora = load_adapter(again, tmp_path)
    assert (lora.rank, lora.alpha, lora.dropout) == (2, 3.5, 0.25)
    assert torch.equal(again(TOKENS), model(TOKENS))
