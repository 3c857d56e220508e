"""Encoded pairs: what a batch holds, that an epoch has every pair once, that little of it is padding."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from allyouneed.data.pairs.batches import EncodedPairs, Ragged, encode_pairs
from allyouneed.objectives.token_loss import token_loss
from allyouneed.tokenizers import Characters
from allyouneed.training import fit
from allyouneed.training.nest import micro_batches

LETTERS = Characters("_<>abcdefgh")  # 0, 1 and 2 are padding, start and end
PAIRS = [("ab", "c"), ("a", "defg"), ("abcd", "hh"), ("", "")]


def some_pairs(n, longest=30):
    """Pairs, each different, of lengths that have to do with each other."""
    random = np.random.default_rng(0)
    pairs = []
    for i in range(n):
        length = int(random.integers(4, longest))
        source = np.base_repr(i, 8).zfill(4).translate(str.maketrans("01234567", "abcdefgh"))
        pairs.append((source + "a" * (length - 4), "b" * (length + int(random.integers(0, 3)))))
    return pairs


def texts(rows):
    return ["".join(LETTERS.alphabet[i] for i in row) for row in rows.tolist()]


def drawn(stream, n):
    return [next(stream) for _ in range(n)]


def same(a, b):
    if (a.source_mask is None) != (b.source_mask is None):
        return False
    masks = a.source_mask is None or torch.equal(a.source_mask, b.source_mask)
    return masks and all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("source", "tokens", "targets"))


def padding(batches):
    """The share of all places, in sources and targets, that is padding."""
    places = used = 0
    for batch in batches:
        places += batch.source.numel() + batch.targets.numel()
        used += (batch.source != 0).sum().item() + (batch.targets != -100).sum().item()
    return 1 - used / places


def test_a_batch_shows_start_end_and_padding_where_they_belong():
    batch = encode_pairs(PAIRS, LETTERS).at(np.array([0, 1, 2]))
    assert texts(batch.source) == ["ab>__", "a>___", "abcd>"]
    assert texts(batch.tokens) == ["<c___", "<defg", "<hh__"]
    assert batch.targets.tolist() == [[5, 2, -100, -100, -100], [6, 7, 8, 9, 2], [10, 10, 2, -100, -100]]
    assert torch.equal(batch.source_mask, batch.source != 0)
    assert {part.dtype for part in (batch.source, batch.tokens, batch.targets)} == {torch.int64}


def test_nothing_is_masked_where_nothing_is_padded():
    pairs = encode_pairs(PAIRS, LETTERS)
    assert pairs.at(np.array([2])).source_mask is None
    assert texts(pairs.at(np.array([3])).source) == [">"]
    assert texts(pairs.at(np.array([3])).tokens) == ["<"]
    assert pairs.at(np.array([3])).targets.tolist() == [[2]]


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=9), min_size=1), st.data())
def test_ragged_rows_come_back_padded(rows, data):
    ragged = Ragged.of(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
    padded, real = ragged.padded(np.array(chosen))
    assert padded.shape[1] == max(len(rows[i]) for i in chosen)
    for i, row, is_real in zip(chosen, padded, real):
        assert row.tolist() == rows[i] + [0] * (len(row) - len(rows[i]))
        assert is_real.tolist() == [place < len(rows[i]) for place in range(len(row))]


def test_too_long_pairs_are_left_out_and_counted():
    pairs = encode_pairs(PAIRS, LETTERS, max_len=3)  # the end token counts
    assert (pairs.kept.tolist(), pairs.n_left_out, len(pairs)) == ([0, 3], 2, 2)
    assert encode_pairs(PAIRS, LETTERS, max_len=5).n_left_out == encode_pairs(PAIRS, LETTERS).n_left_out == 0
    assert encode_pairs(PAIRS, LETTERS, max_len=4).kept.tolist() == [0, 3]
    for side in (("a", "bcdef"), ("bcdef", "a")):
        with pytest.raises(ValueError, match="of 1 pairs none has at most 5 tokens"):
            encode_pairs([side], LETTERS, max_len=5)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 400), st.integers(1, 50), st.integers(0, 9))
def test_an_epoch_has_every_pair_once(n, batch_size, seed):
    given_pairs = some_pairs(n)
    stream = encode_pairs(given_pairs, LETTERS).stream(batch_size, seed)
    assert stream.batches_per_epoch == -(-n // batch_size)
    for _ in range(2):
        batches = drawn(stream, stream.batches_per_epoch)
        assert sorted(len(batch.source) for batch in batches)[1:] == [batch_size] * (len(batches) - 1)
        sources = [row.partition(">")[0] for batch in batches for row in texts(batch.source)]
        assert sorted(sources) == sorted(source for source, _ in given_pairs)


def test_epochs_and_seeds_differ():
    pairs = encode_pairs(some_pairs(256), LETTERS)
    stream, other = pairs.stream(8, 0), pairs.stream(8, 1)
    first, second = drawn(stream, 32), drawn(stream, 32)
    assert not any(same(a, b) for a, b in zip(first, second))
    assert not any(same(a, b) for a, b in zip(first, drawn(other, 32)))
    widths = [batch.tokens.shape[1] for batch in first]
    assert widths != sorted(widths)


@pytest.mark.parametrize("position", [0, 5, 31, 32, 50])
def test_a_resumed_stream_continues_as_if_never_stopped(position):
    pairs = encode_pairs(some_pairs(250), LETTERS)
    whole, resumed = pairs.stream(8, 3), encode_pairs(some_pairs(250), LETTERS).stream(8, 3)
    drawn(whole, position)
    next(resumed)
    resumed.load_state_dict(whole.state_dict())
    assert all(same(a, b) for a, b in zip(drawn(whole, 40), drawn(resumed, 40), strict=True))


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (lambda: encode_pairs(some_pairs(20), LETTERS).stream(4, 6), "seed"),
        (lambda: encode_pairs(some_pairs(20), LETTERS).stream(5, 5), "batch_size"),
        (lambda: encode_pairs(some_pairs(21), LETTERS).stream(4, 5), "source"),
        (lambda: encode_pairs(some_pairs(20)[::-1], LETTERS).stream(4, 5), "source"),
    ],
)
def test_another_streams_state_is_refused(other, name):
    state = encode_pairs(some_pairs(20), LETTERS).stream(4, 5).state_dict()
    with pytest.raises(ValueError, match=f"another {name}"):
        other().load_state_dict(state)


def test_batches_of_equal_length_have_far_less_padding():
    pairs = encode_pairs(some_pairs(4000), LETTERS)
    stream = pairs.stream(32, 0)
    mixed = np.array_split(np.random.default_rng(0).permutation(len(pairs)), stream.batches_per_epoch)
    assert padding(map(pairs.at, mixed)) > 0.35
    assert padding(drawn(stream, stream.batches_per_epoch)) < 0.06
    assert padding(pairs.batches(32)) < 0.04


def test_to_score_every_pair_comes_once_shortest_first_and_can_be_put_back():
    given_pairs = some_pairs(100)
    pairs = encode_pairs(given_pairs, LETTERS)
    rows, batches = list(pairs.rows(16)), list(pairs.batches(16))
    assert [len(part) for part in rows] == [len(batch.source) for batch in batches] == [16] * 6 + [4]
    widths = [batch.targets.shape[1] for batch in batches]
    assert widths == sorted(widths)
    back = [""] * 100
    for part, batch in zip(rows, batches):
        for i, row in zip(part, texts(batch.source)):
            back[i] = row.partition(">")[0]
    assert back == [source for source, _ in given_pairs]


def test_a_limit_takes_the_first_pairs():
    pairs = encode_pairs(some_pairs(100), LETTERS)
    assert sorted(np.concatenate(list(pairs.rows(16, limit=30))).tolist()) == list(range(30))
    assert sum(len(batch.source) for batch in pairs.batches(16, limit=30)) == 30
    assert sum(len(batch.source) for batch in pairs.batches(16, limit=1000)) == 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda pairs: pairs.stream(0, seed=0), "batch_size must be at least 1, got 0"),
        (lambda pairs: pairs.stream(1, seed=-1), "got -1"),
        (lambda pairs: pairs.batches(0), "batch_size must be at least 1, got 0"),
        (lambda pairs: pairs.batches(1, limit=0), "limit must be at least 1 pair, got 0"),
    ],
)
def test_misuse_names_the_value(make, message):
    with pytest.raises(ValueError, match=message):
        make(encode_pairs(PAIRS, LETTERS))


class Copier(nn.Module):
    """Guesses from the mean of the source's letters and the last one written."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embedding = nn.Embedding(11, 6, _weight=torch.randn(11, 6, generator=generator)).double()

    def forward(self, batch):
        mask = torch.ones_like(batch.source, dtype=bool) if batch.source_mask is None else batch.source_mask
        read = (self.embedding(batch.source) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return (self.embedding(batch.tokens) + read[:, None]) @ self.embedding.weight.T


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [2, 2, 2]])  # with a mask and without
def test_micro_batches_are_cut_between_pairs_and_train_as_the_whole_does(rows):
    pairs = encode_pairs(PAIRS, LETTERS)
    batch = pairs.at(np.array(rows))
    parts = list(micro_batches(batch, 2))
    assert [len(part.source) for part in parts] == [2, len(rows) - 2]
    assert all((part.source_mask is None) == (batch.source_mask is None) for part in parts)
    for name in ("source", "tokens", "targets"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))

    def trained(micro_batch_size):
        model = Copier()
        stream = pairs.stream(4, 0) if len(rows) == 4 else EncodedPairs(*without_padding(pairs)).stream(3, 0)
        objective = lambda model, batch: token_loss(model(batch), batch.targets)  # noqa: E731
        fit(model, objective, stream, max_steps=3, lr=0.1, micro_batch_size=micro_batch_size)
        return model.embedding.weight.detach()

    torch.testing.assert_close(trained(2), trained(None), rtol=0, atol=1e-10)  # Adam divides by small numbers


def without_padding(pairs):
    """The third pair three times."""
    source, target = (ragged.padded(np.array([2]))[0][0].tolist() for ragged in (pairs.sources, pairs.targets))
    return Ragged.of([source] * 3), Ragged.of([target] * 3), np.arange(3), 0
