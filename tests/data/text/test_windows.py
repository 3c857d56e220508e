"""Windows: what they score, and that a stream resumes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.data.text.corpus import Text

TEXT = Text(np.arange(200, dtype=np.uint8))  # every token is its own position


def scored_targets(text, length, score_last, batch_size=3, limit=None):
    batches = text.windows(length, score_last).batches(batch_size, limit)
    return torch.cat([batch.targets[batch.targets != -100] for batch in batches]).tolist()


def test_every_target_is_the_next_token():
    batch = next(TEXT.windows(16).stream(64, seed=0))
    assert batch.tokens.dtype == batch.targets.dtype == torch.int64
    assert batch.tokens.shape == batch.targets.shape == (64, 16)
    assert torch.equal(batch.targets, batch.tokens + 1)
    assert torch.equal(batch.tokens[:, 1:], batch.targets[:, :-1])


def test_the_stream_reaches_the_first_and_the_last_token():
    batch = next(Text(np.arange(9, dtype=np.uint8)).windows(6).stream(200, seed=0))
    assert set(batch.tokens[:, 0].tolist()) == {0, 1, 2}
    assert batch.targets.max() == 8


def test_a_resumed_stream_continues_as_if_never_stopped():
    whole = TEXT.windows(8).stream(4, seed=5)
    next(whole)
    state = whole.state_dict()
    resumed = TEXT.windows(8).stream(4, seed=5)
    resumed.load_state_dict(state)
    for _ in range(3):
        assert torch.equal(next(resumed).tokens, next(whole).tokens)


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (lambda: TEXT.windows(8).stream(4, seed=6), "seed"),
        (lambda: TEXT.windows(8).stream(5, seed=5), "batch_size"),
        (lambda: TEXT.windows(9).stream(4, seed=5), "source"),
        (lambda: Text(np.roll(TEXT.tokens, 1)).windows(8).stream(4, seed=5), "source"),
    ],
)
def test_another_streams_state_is_refused(other, name):
    state = TEXT.windows(8).stream(4, seed=5).state_dict()
    with pytest.raises(ValueError, match=f"another {name}"):
        other().load_state_dict(state)


def test_seeds_and_batches_differ():
    first, other = TEXT.windows(8).stream(4, seed=0), TEXT.windows(8).stream(4, seed=1)
    a, b = next(first).tokens, next(first).tokens
    assert not torch.equal(a, b)
    assert not torch.equal(a, next(other).tokens)


@given(st.integers(2, 150), st.integers(1, 60), st.data())
def test_without_a_limit_each_token_after_the_first_is_scored_once(total, score_last, data):
    length = data.draw(st.integers(score_last, max(score_last, total - 1)))
    if total <= length:
        return
    targets = scored_targets(Text(np.arange(total, dtype=np.uint8)), length, score_last)
    n_windows = (total - 1) // score_last
    assert targets == list(range(1, n_windows * score_last + 1))


@given(st.integers(1, 20), st.integers(1, 40), st.lists(st.integers(20, 199), min_size=2, max_size=3))
def test_longer_windows_score_the_same_tokens_with_more_context(score_last, limit, lengths):
    first, *rest = [scored_targets(TEXT, length, score_last, limit=limit) for length in lengths]
    assert len(first) == min(limit, 199 // score_last) * score_last
    assert all(targets == first for targets in rest)


def test_what_comes_before_the_scored_tokens_is_the_text_before_them():
    for batch in TEXT.windows(50, score_last=10).batches(4):
        assert torch.equal(batch.targets[:, -10:], batch.tokens[:, -10:] + 1)
        assert (batch.targets[:, :-10] == -100).all()
        assert torch.equal((batch.tokens[:, 1:] - batch.tokens[:, :-1]) % 200, torch.ones(len(batch.tokens), 49).long())


def test_a_limit_counts_windows_and_spreads_them():
    batches = list(TEXT.windows(10).batches(3, limit=4))
    assert [len(batch.tokens) for batch in batches] == [3, 1]
    starts = torch.cat([batch.tokens[:, 0] for batch in batches]).tolist()
    assert starts == [0, 40, 90, 140]  # 19 windows in all


def test_a_limit_beyond_the_text_is_the_whole_text():
    assert len(TEXT.windows(10)) == 19
    assert scored_targets(TEXT, 10, None, limit=1000) == scored_targets(TEXT, 10, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TEXT.windows(0), "at least 1, got 0"),
        (lambda: TEXT.windows(200), "at least 201 tokens, the text has 200"),
        (lambda: TEXT.windows(8, score_last=9), r"1\.\.8 .*got 9"),
        (lambda: TEXT.windows(8).stream(0, seed=0), "batch_size must be at least 1, got 0"),
        (lambda: TEXT.windows(8).stream(1, seed=-1), "got -1"),
        (lambda: next(TEXT.windows(8).batches(0)), "batch_size must be at least 1, got 0"),
        (lambda: next(TEXT.windows(8).batches(1, limit=0)), "limit must be at least 1 window, got 0"),
    ],
)
def test_misuse_names_the_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()
