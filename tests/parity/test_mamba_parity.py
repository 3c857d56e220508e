"""Whole Mamba models against transformers: logits and the gradient of every weight, in float64, cached or not."""

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM
from transformers.models.mamba.modeling_mamba import MambaMixer as TheirMixer

from allyouneed.blocks import Mamba, NoPositions, RMSNorm
from allyouneed.models import Decoder, DecoderConfig

SEQ = 21  # past the first chunk of the fast path
TOKENS = torch.randint(13, (2, SEQ), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(SEQ)[None] >= torch.tensor([[0], [4]])
# Our names of the parts, theirs, and what each has.
PARTS = {"in_proj": "in_proj", "conv": "conv1d", "x_proj": "x_proj", "dt_proj": "dt_proj", "out": "out_proj"}

# d_model, layers, ours, theirs
CONFIGS = {
    "plain": (16, 2, Mamba(), {}),
    "odd": (15, 3, Mamba(d_state=7, d_conv=3), {"state_size": 7, "conv_kernel": 3}),
    "biased": (17, 2, Mamba(bias=True, expand=3), {"use_bias": True, "expand": 3}),
    "no conv bias": (20, 2, Mamba(conv_bias=False, d_state=5), {"use_conv_bias": False, "state_size": 5}),
    "ranked": (9, 2, Mamba(dt_rank=4, d_conv=2, d_state=1), {"time_step_rank": 4, "conv_kernel": 2, "state_size": 1}),
    "untied": (16, 1, Mamba(d_inner=48), {"expand": 3, "tie_word_embeddings": False}),
}
configs = pytest.mark.parametrize("name", CONFIGS)


def pair(name, loud, in_float64):
    """A reference with loud weights, our model with the same ones, and their name for each of ours."""
    d_model, n_layers, mamba, settings = CONFIGS[name]
    common = {"vocab_size": 13, "hidden_size": d_model, "num_hidden_layers": n_layers, "layer_norm_epsilon": 1e-4}
    with in_float64():
        theirs = loud(MambaForCausalLM(MambaConfig(**common, **settings)).double())
    tied = settings.get("tie_word_embeddings", True)
    ours = Decoder(
        DecoderConfig(
            vocab_size=13,
            d_model=d_model,
            n_layers=n_layers,
            n_heads=1,
            positions=NoPositions(),
            norm=RMSNorm(),
            mixer=mamba,
            feedforward=None,
            tie_embeddings=tied,
            norm_eps=1e-4,
        )
    ).double()
    names = {"embedding.weight": "backbone.embeddings.weight", "final_norm.weight": "backbone.norm_f.weight"}
    names |= {} if tied else {"unembedding.weight": "lm_head.weight"}
    for i in range(n_layers):
        names[f"layers.{i}.norms.mixer.weight"] = f"backbone.layers.{i}.norm.weight"
        at, their_at = f"layers.{i}.sublayers.mixer.", f"backbone.layers.{i}.mixer."
        names |= {f"{at}{p}": f"{their_at}{p}" for p in ("A_log", "D")}
        for part, their_part in PARTS.items():
            names |= {f"{at}{part}.{kind}": f"{their_at}{their_part}.{kind}" for kind in ("weight", "bias")}
    source, target = dict(theirs.named_parameters()), dict(ours.named_parameters())
    names = {mine: their_name for mine, their_name in names.items() if mine in target}
    assert target.keys() == names.keys()
    assert source.keys() == set(names.values())
    with torch.no_grad():
        for mine, their_name in names.items():
            if mine.endswith("dt_proj.bias"):
                source[their_name] -= 1  # short steps and long ones
            target[mine].copy_(source[their_name])
    return ours, theirs, names


def reference_logits(theirs, in_float64, mask=None):
    with in_float64():
        logits = theirs(TOKENS, attention_mask=mask, use_cache=False).logits
    assert logits.dtype == torch.float64
    assert logits.abs().max() > 1  # loud
    return logits


@configs
def test_logits_and_every_gradient(name, loud, in_float64, assert_parity):
    ours, theirs, names = pair(name, loud, in_float64)
    reference, logits = reference_logits(theirs, in_float64), ours(TOKENS)
    assert_parity(logits, reference, "logits")
    weights = torch.randn(reference.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (logits * weights).sum().backward()
    with in_float64():
        (reference * weights).sum().backward()
    source = dict(theirs.named_parameters())
    for mine, parameter in ours.named_parameters():
        assert source[names[mine]].grad.abs().max() > 1e-3, mine
        assert_parity(parameter.grad, source[names[mine]].grad, mine)


@configs
@pytest.mark.parametrize("cuts", [range(1, SEQ), [1, 5, 6, 18]], ids=["steps", "chunks"])
@torch.no_grad()
def test_cached(name, cuts, loud, in_float64, assert_parity):
    ours, theirs, _ = pair(name, loud, in_float64)
    state = ours.new_state(2)
    parts = [ours(TOKENS[:, a:b], state=state) for a, b in zip([0, *cuts], [*cuts, SEQ])]
    assert_parity(torch.cat(parts, 1), reference_logits(theirs, in_float64))


@torch.no_grad()
def test_their_cache_and_ours_step_by_step(loud, in_float64, assert_parity):
    """Only by single steps: a chunk on a cache starts from an empty state in the reference."""
    ours, theirs, _ = pair("plain", loud, in_float64)
    state, cache = ours.new_state(2), None
    for start, end in [(0, 6), *((t, t + 1) for t in range(6, SEQ))]:
        with in_float64():
            out = theirs(TOKENS[:, start:end], cache_params=cache, use_cache=True)
        cache = out.cache_params
        assert_parity(ours(TOKENS[:, start:end], state=state), out.logits, f"to {end}")


@pytest.mark.parametrize("name", ["plain", "odd", "ranked"])
@torch.no_grad()
def test_left_padding(name, loud, in_float64, assert_parity):
    """Without a bias of in_proj: with one, the reference's convolution reads it at the padding."""
    ours, theirs, _ = pair(name, loud, in_float64)
    assert_parity(ours(TOKENS, MASK)[MASK], reference_logits(theirs, in_float64, MASK.long())[MASK])


@pytest.mark.parametrize("wrong", ["step", "order", "tap"])
@torch.no_grad()
def test_what_1e_10_must_be_able_to_see(wrong, loud, in_float64, assert_parity):
    ours, theirs, _ = pair("plain", loud, in_float64)
    block = ours.layers[1].sublayers["mixer"]
    if wrong == "step":
        block.dt_proj.bias += 1e-6
    if wrong == "order":  # z first, then x
        block.in_proj.weight.copy_(block.in_proj.weight.roll(len(block.in_proj.weight) // 2, 0))
    if wrong == "tap":
        block.conv.weight.copy_(block.conv.weight.flip(-1))
    with pytest.raises(AssertionError):
        assert_parity(ours(TOKENS), reference_logits(theirs, in_float64))


@torch.no_grad()
def test_the_laws_of_the_start_are_the_references():
    """Decays and passes-by are the same numbers; the drawn ones lie in the same range."""
    theirs = TheirMixer(MambaConfig(hidden_size=40, state_size=6, num_hidden_layers=1), 0)
    config = DecoderConfig(
        vocab_size=3, d_model=40, n_layers=1, n_heads=1, positions=NoPositions(), mixer=Mamba(d_state=6)
    )
    ours = Decoder(config).layers[0].sublayers["mixer"]
    assert torch.equal(ours.A_log, theirs.A_log)
    assert torch.equal(ours.D, theirs.D)
    # 80 and 240 draws reach to within a tenth of the range's ends.
    for mine, reference in ((ours.dt_proj.bias, theirs.dt_proj.bias), (ours.dt_proj.weight, theirs.dt_proj.weight)):
        assert mine.shape == reference.shape
        for end in (torch.amin, torch.amax):
            assert abs(float(end(mine) - end(reference))) < 0.1 * float(mine.amax() - mine.amin())
