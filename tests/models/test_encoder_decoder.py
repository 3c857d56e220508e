"""The encoder-decoder's promises: a source read once and whole, a target read from left to right."""

import copy
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.blocks import Attention, Learned, NoPositions, PostNorm, Relu, RMSNorm, Rope, Sinusoidal, SwiGLU
from allyouneed.blocks.attention import CrossAttention
from allyouneed.blocks.context import Memory
from allyouneed.models import Decoder, DecoderConfig, EncoderConfig, EncoderDecoder, EncoderDecoderConfig

PAPER = {
    "positions": Sinusoidal(),
    "residual": PostNorm(),
    "mixer": Attention(bias=True),
    "feedforward": Relu(),
    "d_model": 16,
}
MODERN = {"positions": Rope(), "norm": RMSNorm(), "feedforward": SwiGLU(), "d_model": 16}
CONFIGS = {
    "paper": {
        "encoder": EncoderConfig(vocab_size=11, **PAPER),
        "decoder": DecoderConfig(vocab_size=11, cross=CrossAttention(bias=True), **PAPER),
    },
    "modern": {
        "encoder": EncoderConfig(vocab_size=7, n_layers=3, n_heads=2, **MODERN),
        "decoder": DecoderConfig(
            vocab_size=11, n_kv_heads=2, head_dim=6, cross=CrossAttention(), tie_embeddings=False, **MODERN
        ),
        "share_embeddings": False,
    },
    "no order": {
        "encoder": EncoderConfig(vocab_size=11, d_model=16, positions=NoPositions(), n_layers=1),
        "decoder": DecoderConfig(vocab_size=11, d_model=16, positions=Learned(), cross=CrossAttention()),
    },
}
arms = pytest.mark.parametrize("arm", CONFIGS)
SOURCE = torch.randint(7, (2, 6), generator=torch.Generator().manual_seed(0))
TARGET = torch.randint(11, (2, 7), generator=torch.Generator().manual_seed(1))


@cache
def model(arm):
    """A small model in float64, with weights so large that a wrong mask or scale cannot hide."""
    made = EncoderDecoder(EncoderDecoderConfig(**CONFIGS[arm]), seed=1).double()
    for parameter in made.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(6)
    return made.requires_grad_(False)


def vectors(batch, seq, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, seq, 16, generator=generator, dtype=torch.float64).requires_grad_()


def assert_close(a, b):
    # Float64 leaves 1e-16 of a value; sums in another order over values of up to a hundred, some digits less.
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@arms
def test_an_output_depends_on_the_whole_source_and_no_later_target(arm):
    source, target = vectors(2, 6), vectors(2, 7, seed=1)
    logits = model(arm)(source, target)
    for t in range(7):
        read, written = torch.autograd.grad(logits[:, t].square().sum(), (source, target), retain_graph=True)
        assert (read.abs().amax(-1) > 0).all()
        assert (written[:, t + 1 :] == 0).all()
        assert (written[:, : t + 1].abs().amax(-1) > 0).all()


@settings(max_examples=40, deadline=None)
@given(
    arm=st.sampled_from(sorted(CONFIGS)),
    cuts=st.lists(st.integers(1, 6), unique=True) | st.just([1, 2, 3, 4, 5, 6]),
    left=st.none() | st.tuples(st.integers(0, 5), st.integers(0, 5)),
    right=st.none() | st.tuples(st.integers(0, 5), st.integers(0, 5)),
    prompt=st.none() | st.tuples(st.integers(0, 6), st.integers(0, 6)),
    inference=st.booleans(),
)
def test_cached_equals_uncached_at_every_chunking(arm, cuts, left, right, prompt, inference):
    mask = torch.ones_like(SOURCE, dtype=torch.bool)
    for row, n in enumerate(left or ()):
        mask[row, :n] = False
    for row, n in enumerate(right or ()):
        mask[row, 6 - n :] = False
    decoder_mask = None if prompt is None else torch.arange(7)[None] >= torch.tensor(prompt)[:, None]
    whole = model(arm)(SOURCE, TARGET, mask, decoder_mask)
    last = []
    with torch.inference_mode(inference):
        state = model(arm).new_state(SOURCE, mask)
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 7]):
            chunk_mask = None if decoder_mask is None else decoder_mask[:, start:end]
            logits, state = model(arm).step(TARGET[:, start:end], state, chunk_mask)
            last.append((end - 1, logits))
    for t, logits in last:
        real = torch.ones(2, dtype=torch.bool) if decoder_mask is None else decoder_mask[:, t]
        assert_close(logits[real], whole[real, t])
    assert state.lengths.tolist() == ([7, 7] if prompt is None else [7 - n for n in prompt])


def test_the_source_is_read_once():
    made, calls = copy.deepcopy(model("paper")), []
    made.encoder.layers[0].register_forward_hook(lambda *_: calls.append("encoder"))
    for layer in made.decoder.layers:
        layer.sublayers["cross"].k.register_forward_hook(lambda *_: calls.append("keys"))
    state = made.new_state(SOURCE)
    for t in range(7):
        _, state = made.step(TARGET[:, t : t + 1], state)
    assert calls == ["encoder", "keys", "keys"]


@settings(max_examples=30, deadline=None)
@given(st.data(), st.sampled_from(sorted(CONFIGS)), st.booleans())
def test_select_snapshot_and_restore_are_true_under_branching(data, arm, inference):
    """A state walked at random, beside the sources and tokens that it should have read."""
    seed, source = 0, SOURCE
    mask = torch.tensor([[True] * 6, [False] * 2 + [True] * 3 + [False]])
    with torch.inference_mode(inference):
        state, read, saved = model(arm).new_state(source, mask), torch.empty(2, 0, dtype=torch.long), []
        for _ in range(data.draw(st.integers(2, 8))):
            move = data.draw(st.sampled_from(["read", "read", "select", "save", "restore"]))
            if move == "select":
                rows = torch.tensor(data.draw(st.lists(st.integers(0, len(source) - 1), min_size=1, max_size=4)))
                state, source, mask, read, saved = state.select(rows), source[rows], mask[rows], read[rows], []
            elif move == "save":
                saved.append((state.snapshot(), read))
            elif move == "restore" and saved:
                snapshot, read = data.draw(st.sampled_from(saved))
                state.restore(snapshot)
            elif read.shape[1] < 30:
                seed += 1
                generator = torch.Generator().manual_seed(seed)
                tokens = torch.randint(11, (len(source), data.draw(st.integers(1, 4))), generator=generator)
                read = torch.cat((read, tokens), 1)
                assert_close(model(arm).step(tokens, state)[0], model(arm)(source, read, mask)[:, -1])


def test_without_positions_the_order_of_the_source_is_nothing():
    made, order = model("no order"), torch.tensor([3, 1, 5, 0, 4, 2])
    assert_close(made.encode(SOURCE[:, order]).vectors, made.encode(SOURCE).vectors[:, order])
    assert_close(made(SOURCE[:, order], TARGET), made(SOURCE, TARGET))
    other = model("paper")
    assert (other(SOURCE[:, order], TARGET) - other(SOURCE, TARGET)).abs().max() > 1e-3


@arms
@pytest.mark.parametrize(("left", "right"), [(0, 1), (0, 9), (3, 0), (2, 4)])
def test_padding_of_source_or_target_changes_nothing(arm, left, right):
    def pad(tokens):
        padded = torch.full((2, left + tokens.shape[1] + right), 5)
        mask = torch.zeros_like(padded, dtype=torch.bool)
        place = slice(left, left + tokens.shape[1])
        padded[:, place], mask[:, place] = tokens, True
        return padded, mask

    alone = model(arm)(SOURCE, TARGET)
    (source, mask), (target, decoder_mask) = pad(SOURCE), pad(TARGET)
    assert_close(model(arm)(source, TARGET, mask), alone)
    assert_close(model(arm)(source, target, mask, decoder_mask)[:, left : left + 7], alone)


@arms
def test_a_source_that_is_all_padding_is_finite_and_so_are_all_gradients(arm):
    made = copy.deepcopy(model(arm)).requires_grad_()
    source, mask = vectors(2, 6), torch.tensor([[True] * 6, [False] * 6])
    target = vectors(2, 7, seed=1)
    logits = made(source, target, mask)
    assert logits.isfinite().all()
    assert_close(logits[0], made(source, target)[0])
    used = [p for name, p in made.named_parameters() if "embedding" not in name]
    grads = torch.autograd.grad(logits.square().sum(), [source, target, *used])
    assert all(g.isfinite().all() for g in grads)
    assert (grads[0][1] == 0).all()


@arms
def test_a_record_holds_the_weights_of_every_layer(arm):
    made, record = model(arm), {}
    mask = torch.tensor([[True] * 6, [False] * 2 + [True] * 4])
    assert torch.equal(made(SOURCE, TARGET, mask, record=record), made(SOURCE, TARGET, mask))
    weights = record["cross_attention"]
    assert len(weights) == len(made.decoder.layers)
    assert not torch.equal(*weights)
    for of_layer in weights:
        assert of_layer.shape == (2, made.config.decoder.n_heads, 7, 6)
        assert_close(of_layer.sum(-1), torch.ones(of_layer.shape[:3], dtype=torch.float64))
        assert (of_layer[1, ..., :2] == 0).all()


@pytest.mark.parametrize("tied", [True, False])
def test_shared_embeddings_are_one_parameter_that_is_listed_once(tied):
    decoder = DecoderConfig(vocab_size=11, tie_embeddings=tied, cross=CrossAttention(), **PAPER)
    config = EncoderDecoderConfig(encoder=CONFIGS["paper"]["encoder"], decoder=decoder)
    made = EncoderDecoder(config)
    names = {"encoder.embedding.weight"} | (set() if tied else {"decoder.unembedding.weight"})
    assert {name for name in made.state_dict() if "embedding" in name} == names
    assert [name for name, _ in made.named_parameters()] == list(made.state_dict())
    for twin in (made, copy.deepcopy(made), made.double()):
        assert twin.decoder.embedding is twin.encoder.embedding
        hidden = twin.hidden(SOURCE, TARGET)
        assert torch.equal(twin.head(hidden), twin(SOURCE, TARGET))
        if tied:
            assert torch.equal(twin.head(hidden), hidden @ twin.encoder.embedding.weight.T)
    assert copy.deepcopy(made).decoder.embedding is not made.decoder.embedding


def test_embeddings_that_are_not_shared_are_two():
    names = {name for name in model("modern").state_dict() if "embedding" in name}
    assert names == {"encoder.embedding.weight", "decoder.embedding.weight", "decoder.unembedding.weight"}


@arms
def test_weights_follow_from_seed_and_name(arm):
    config = EncoderDecoderConfig(**CONFIGS[arm])
    before = torch.get_rng_state()
    first, again, other = (EncoderDecoder(config, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert value.ndim == 1 or not torch.equal(value, other[name])
    mixer = "layers.0.sublayers.mixer.out.weight"
    assert first[f"encoder.{mixer}"].std() > 0
    if first[f"encoder.{mixer}"].shape == first[f"decoder.{mixer}"].shape:
        assert not torch.equal(first[f"encoder.{mixer}"], first[f"decoder.{mixer}"])


def test_what_is_not_shared_starts_equal_whether_embeddings_are_or_not():
    shared = EncoderDecoder(EncoderDecoderConfig(**CONFIGS["paper"])).state_dict()
    apart = EncoderDecoder(EncoderDecoderConfig(**CONFIGS["paper"], share_embeddings=False)).state_dict()
    assert apart.keys() - shared.keys() == {"decoder.embedding.weight"}
    assert all(torch.equal(shared[name], apart[name]) for name in shared)


def test_a_decoder_with_and_one_without_cross_attention_start_equal_elsewhere():
    options = {"vocab_size": 11, "positions": Rope()}
    alone, reader = Decoder(DecoderConfig(**options)), Decoder(DecoderConfig(cross=CrossAttention(), **options))
    assert list(reader.layers[0].sublayers) == ["mixer", "cross", "feedforward"]
    assert list(alone.layers[0].sublayers) == ["mixer", "feedforward"]
    weights = reader.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in alone.state_dict().items())


def test_a_model_runs_in_bfloat16():
    made = copy.deepcopy(model("modern")).bfloat16()
    with torch.inference_mode():
        logits, _ = made.step(TARGET, made.new_state(SOURCE))
    assert logits.dtype == torch.bfloat16
    assert logits.isfinite().all()


def test_a_memory_belongs_to_the_state_or_to_the_forward():
    decoder, memory = model("paper").decoder, model("paper").encode(SOURCE)
    with pytest.raises(ValueError, match="a state carries its own memory"):
        decoder(TARGET, state=decoder.new_state(2, memory), memory=memory)
    with pytest.raises(ValueError, match="no memory to read"):
        decoder(TARGET)
    with pytest.raises(ValueError, match="no memory to read"):
        decoder.step(TARGET, decoder.new_state(2))
    with pytest.raises(ValueError, match="the memory has 2 rows, the inputs have 1"):
        decoder(TARGET[:1], memory=memory)
    chosen = decoder.new_state(2, memory).select(torch.tensor([1]))
    assert isinstance(chosen.memory, Memory)
    assert torch.equal(chosen.memory.vectors, memory.vectors[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder": DecoderConfig(vocab_size=11, **PAPER)}, r"reads no memory: give its config a cross"),
        (
            {"encoder": EncoderConfig(vocab_size=11, positions=Rope(), d_model=24)},
            "d_model must be one for both, got 24 and 16",
        ),
        (
            {"encoder": EncoderConfig(vocab_size=12, **PAPER)},
            r"vocabularies of 12 and 11 tokens cannot share .* share_embeddings=False",
        ),
        (
            {"encoder": EncoderConfig(vocab_size=11, tie_embeddings=False, **PAPER)},
            "the encoder's head is never used: leave its tie_embeddings True",
        ),
    ],
)
def test_stacks_that_do_not_fit_one_another_are_errors(change, message):
    with pytest.raises(ValueError, match=message):
        EncoderDecoderConfig(**(CONFIGS["paper"] | change))
