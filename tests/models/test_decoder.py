"""The decoder's promises: causal, cached as uncached, blind to padding and to other documents."""

import copy
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.blocks import Learned, NoPositions, PostNorm, RMSNorm, Rope, Sinusoidal, SwiGLU
from allyouneed.models import Decoder, DecoderConfig

CONFIGS = {
    "rope": {"positions": Rope()},
    "gqa": {"positions": Rope(interleaved=True, partial_rotary_factor=0.5), "n_kv_heads": 2, "norm": RMSNorm()},
    "mqa": {"positions": Learned(), "n_kv_heads": 1, "feedforward": SwiGLU(), "tie_embeddings": False},
    "sinusoidal": {"positions": Sinusoidal(), "residual": PostNorm()},
    "none": {"positions": NoPositions(), "feedforward": None},
}
arms = pytest.mark.parametrize("arm", CONFIGS)


@cache
def decoder(arm):
    """A small model in float64, with weights so large that a wrong mask or rotation cannot hide."""
    model = Decoder(DecoderConfig(vocab_size=11, d_model=16, max_seq_len=64, **CONFIGS[arm]), seed=1).double()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(15)
    return model.requires_grad_(False)


def random_tokens(*shape, seed=0):
    return torch.randint(11, shape, generator=torch.Generator().manual_seed(seed))


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@arms
def test_no_output_depends_on_a_later_input(arm):
    model = decoder(arm)
    x = torch.randn(2, 7, 16, dtype=torch.float64, requires_grad=True)
    logits = model(x)
    for t in range(7):
        (grad,) = torch.autograd.grad(logits[:, t].square().sum(), x, retain_graph=True)
        assert (grad[:, t + 1 :] == 0).all()
        assert (grad[:, : t + 1].abs().amax(-1) > 0).all() or arm == "none"


@settings(max_examples=40, deadline=None)
@given(
    arm=st.sampled_from(sorted(CONFIGS)),
    cuts=st.lists(st.integers(1, 11), unique=True),
    padding=st.none() | st.tuples(st.integers(0, 11), st.integers(0, 11)),
    opens=st.none() | st.lists(st.booleans(), min_size=24, max_size=24),
    inference=st.booleans(),
)
def test_cached_equals_uncached_at_every_chunking(arm, cuts, padding, opens, inference):
    model, tokens = decoder(arm), random_tokens(2, 12)
    mask = None if padding is None else torch.arange(12)[None] >= torch.tensor(padding)[:, None]
    segments = None if opens is None else torch.tensor(opens).view(2, 12).cumsum(1)
    whole = model(tokens, mask, segments=segments)
    state, parts = model.new_state(2), []
    with torch.inference_mode(inference):
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 12]):
            chunk = slice(start, end)
            chunk_mask = None if mask is None else mask[:, chunk]
            chunk_segments = None if segments is None else segments[:, chunk]
            parts.append(model(tokens[:, chunk], chunk_mask, segments=chunk_segments, state=state))
    real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    assert_close(torch.cat(parts, 1)[real], whole[real])
    assert state.lengths.tolist() == real.sum(1).tolist()


@arms
def test_padding_changes_nothing_wherever_it_stands(arm):
    model, tokens = decoder(arm), random_tokens(1, 5)
    alone = model(tokens)
    for places in ([3, 4, 5, 6, 7], [0, 1, 2, 3, 4], [0, 2, 3, 6, 7]):
        padded, mask = random_tokens(1, 8, seed=9), torch.zeros(1, 8, dtype=torch.bool)
        padded[:, places], mask[:, places] = tokens, True
        assert_close(model(padded, mask)[:, places], alone)


@arms
def test_documents_do_not_see_one_another(arm):
    model = decoder(arm)
    first, second = random_tokens(1, 4, seed=1), random_tokens(1, 3, seed=2)
    packed = torch.cat((first, second), 1)
    segments = torch.tensor([[0, 0, 0, 0, 1, 1, 1]])
    assert_close(model(packed, segments=segments), torch.cat((model(first), model(second)), 1))


def test_a_packed_prompt_is_continued_in_its_last_document():
    model, packed = decoder("rope"), random_tokens(1, 7)
    state = model.new_state(1)
    model(packed, segments=torch.tensor([[0, 0, 0, 0, 1, 1, 1]]), state=state)
    after, _ = model.step(torch.tensor([[5]]), state)
    assert_close(after, model(torch.cat((packed[:, 4:], torch.tensor([[5]])), 1))[:, -1])


@arms
def test_embeddings_may_stand_in_for_tokens(arm):
    model, tokens = decoder(arm), random_tokens(2, 5)
    assert torch.equal(model(model.embedding(tokens)), model(tokens))


@arms
def test_a_step_gives_the_last_logits(arm):
    model, tokens = decoder(arm), random_tokens(2, 5)
    logits, state = model.step(tokens, model.new_state(2))
    assert_close(logits, model(tokens)[:, -1])
    assert state.lengths.tolist() == [5, 5]


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(sorted(CONFIGS)), st.booleans())
def test_select_snapshot_and_restore_are_true_under_branching(data, arm, inference):
    """A state walked at random, beside the tokens that it should have read."""
    model, seed = decoder(arm), 0
    with torch.inference_mode(inference):
        state, read = model.new_state(2), torch.empty(2, 0, dtype=torch.long)
        saved = []
        for _ in range(data.draw(st.integers(2, 8))):
            move = data.draw(st.sampled_from(["read", "read", "select", "save", "restore"]))
            if move == "select" and read.shape[1]:
                rows = torch.tensor(data.draw(st.lists(st.integers(0, 1), min_size=2, max_size=2)))
                state, read, saved = state.select(rows), read[rows], []
            elif move == "save":
                saved.append((state.snapshot(), read))
            elif move == "restore" and saved:
                snapshot, read = data.draw(st.sampled_from(saved))
                state.restore(snapshot)
            elif read.shape[1] < 40:
                seed += 1
                tokens = random_tokens(2, data.draw(st.integers(1, 5)), seed=seed)
                read = torch.cat((read, tokens), 1)
                assert_close(model(tokens, state=state), model(read)[:, -tokens.shape[1] :])


def test_a_selected_state_goes_its_own_way():
    model, tokens = decoder("gqa"), random_tokens(1, 6)
    state = model.new_state(1)
    model.step(tokens, state)
    beams = state.select(torch.tensor([0, 0, 0]))
    different = torch.tensor([[1], [2], [3]])
    logits, _ = model.step(different, beams)
    whole = torch.cat((tokens.expand(3, -1), different), 1)
    assert_close(logits, model(whole)[:, -1])
    assert_close(model.step(different[:1], state)[0], logits[:1])


def test_a_state_of_other_rows_is_an_error():
    model = decoder("rope")
    with pytest.raises(ValueError, match="the state has 3 rows, the inputs have 2"):
        model(random_tokens(2, 5), state=model.new_state(3))


def test_gradients_through_a_state_are_those_of_the_whole():
    model, x = decoder("gqa"), torch.randn(1, 6, 16, dtype=torch.float64, requires_grad=True)
    (whole,) = torch.autograd.grad(model(x)[:, -1].square().sum(), x)
    state = model.new_state(1)
    model.hidden(x[:, :4], state=state)
    (cached,) = torch.autograd.grad(model(x[:, 4:], state=state)[:, -1].square().sum(), x)
    size = whole.abs().max()  # thousands, with these weights: rounding grows with it
    assert_close(cached / size, whole / size)


def test_models_that_differ_in_positions_start_equal_elsewhere():
    models = [Decoder(DecoderConfig(vocab_size=11, positions=p), seed=5) for p in (Rope(), Learned(), NoPositions())]
    rope, learned, none = (dict(model.named_parameters()) for model in models)
    assert rope.keys() == none.keys()
    assert learned.keys() - rope.keys() == {"positions.table.weight"}
    for name in rope:
        assert torch.equal(rope[name], learned[name])
        assert torch.equal(rope[name], none[name])
    other = dict(Decoder(models[0].config, seed=6).named_parameters())
    assert all(not torch.equal(rope[name], other[name]) for name in rope if rope[name].ndim > 1)


def test_making_a_model_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    Decoder(decoder("rope").config, seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_without_a_seed_the_global_generator_gives_one():
    config = decoder("rope").config
    torch.manual_seed(0)
    first, second = Decoder(config, seed=None), Decoder(config, seed=None)
    torch.manual_seed(0)
    again = Decoder(config, seed=None)
    assert torch.equal(first.embedding.weight, again.embedding.weight)
    assert not torch.equal(first.embedding.weight, second.embedding.weight)


def test_the_head_is_tied_only_if_asked():
    names = {name for name, _ in decoder("mqa").named_parameters()}
    assert "unembedding.weight" in names
    tied = decoder("rope")
    assert "unembedding.weight" not in dict(tied.named_parameters())
    hidden = tied.hidden(random_tokens(1, 3))
    assert torch.equal(tied.head(hidden), hidden @ tied.embedding.weight.T)


def test_weights_of_the_scheme_are_listed_once():
    assert [name for name in decoder("mqa").state_dict() if "positions" in name] == ["positions.table.weight"]


def test_a_copy_shares_nothing_with_its_model():
    model = decoder("mqa")
    clone = copy.deepcopy(model)
    assert clone.layers[0].sublayers["mixer"].positions is clone.positions
    assert clone.positions is not model.positions


def test_a_model_runs_in_bfloat16():
    model = copy.deepcopy(decoder("rope")).bfloat16()
    with torch.inference_mode():
        logits, state = model.step(random_tokens(2, 5), model.new_state(2))
        logits, _ = model.step(random_tokens(2, 1), state)
    assert logits.dtype == torch.bfloat16
    assert logits.isfinite().all()


def test_dropout_acts_in_training_only():
    config = DecoderConfig(vocab_size=11, positions=Rope(), dropout=0.5)
    model, tokens = Decoder(config, seed=0), random_tokens(2, 5)
    assert not torch.equal(model.train()(tokens), model(tokens))
    assert torch.equal(model.eval()(tokens), model(tokens))
