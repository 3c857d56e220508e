"""Positions counted from masks and documents, in one piece and in chunks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.blocks import Context
from allyouneed.blocks.context import Memory, Past


def tokens(batch, seq):
    return torch.zeros(batch, seq, dtype=torch.long)


def test_rows_that_are_alike_share_one_row_of_positions():
    ctx = Context.of(tokens(5, 3), causal=True)
    assert ctx.positions.tolist() == [[0, 1, 2]]
    assert Context.of(tokens(5, 2), causal=True, past=ctx.after()).positions.tolist() == [[3, 4]]


def test_padding_is_not_counted():
    mask = torch.tensor([[False, False, True, True], [True, False, True, False]])
    ctx = Context.of(tokens(2, 4), mask, causal=True)
    assert ctx.positions.tolist() == [[0, 0, 0, 1], [0, 0, 1, 1]]
    assert Context.of(tokens(2, 1), causal=True, past=ctx.after()).positions.tolist() == [[2], [2]]


def test_documents_begin_at_0():
    segments = torch.tensor([[4, 4, 4, 7, 7, 2]])
    assert Context.of(tokens(1, 6), segments=segments, causal=True).positions.tolist() == [[0, 1, 2, 0, 1, 0]]


def test_a_row_that_is_all_padding_stays_where_it_was():
    past = Context.of(tokens(2, 3), causal=True).after()
    mask = torch.tensor([[True, True], [False, False]])
    assert Context.of(tokens(2, 2), mask, causal=True, past=past).after().position.tolist() == [5, 3]


def test_positions_that_were_given_are_continued():
    past = Context.of(tokens(1, 2), positions=torch.tensor([[10, 20]]), causal=True).after()
    assert Context.of(tokens(1, 2), causal=True, past=past).positions.tolist() == [[21, 22]]


def test_untold_tokens_continue_the_last_document():
    past = Context.of(tokens(1, 3), segments=torch.tensor([[1, 1, 5]]), causal=True).after()
    ctx = Context.of(tokens(1, 2), causal=True, past=past)
    assert ctx.segments.tolist() == [[5, 5]]
    assert ctx.positions.tolist() == [[1, 2]]


rows = st.lists(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=10, max_size=10), min_size=1, max_size=3
)  # of each token: is it real, does it open a document


@given(rows, st.lists(st.integers(1, 9), unique=True), st.booleans(), st.booleans())
def test_chunks_count_as_the_whole_does_and_as_one_would_by_hand(rows, cuts, masked, packed):
    mask = torch.tensor([[real for real, _ in row] for row in rows]) if masked else None
    opens = torch.tensor([[opens for _, opens in row] for row in rows])
    segments = opens.cumsum(1) if packed else None
    whole = Context.of(tokens(len(rows), 10), mask, segments=segments, causal=True)
    parts, past = [], None
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 10]):
        part = Context.of(
            tokens(len(rows), end - start),
            None if mask is None else mask[:, start:end],
            segments=None if segments is None else segments[:, start:end],
            causal=True,
            past=past,
        )
        parts.append(part.positions.expand(len(rows), -1))
        past = part.after()
    together = torch.cat(parts, 1)
    for r in range(len(rows)):
        count = {}
        for t in range(10):
            document = int(segments[r, t]) if packed else 0
            if mask is None or mask[r, t]:
                expected = count.get(document, 0)
                count[document] = expected + 1
                assert int(whole.positions.expand(len(rows), -1)[r, t]) == expected
                assert int(together[r, t]) == expected


def test_selecting_rows_of_the_past():
    alike, apart = Past(torch.tensor([4])), Past(torch.tensor([4, 6]), torch.tensor([0, 1]))
    rows = torch.tensor([1, 1, 0])
    assert alike.select(rows).position.tolist() == [4]
    assert apart.select(rows).position.tolist() == [6, 6, 4]
    assert apart.select(rows).segment.tolist() == [1, 1, 0]


def test_once_makes_a_thing_once_a_forward():
    calls = []
    ctx, other = (Context.of(tokens(1, 1), causal=True) for _ in range(2))
    for context in (ctx, ctx, other):
        assert context.once("key", lambda: calls.append(1) or 7) == 7
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"segments": torch.zeros(2, 4, dtype=torch.long)},
            r"segments must have the inputs' shape \(2, 3\), got \(2, 4\)",
        ),
        ({"positions": torch.zeros(3, 3, dtype=torch.long)}, r"positions must have .* got \(3, 3\)"),
    ],
)
def test_what_does_not_fit_is_an_error(options, message):
    of = Context.of.__func__
    of = getattr(of, "__wrapped__", of)  # without the run-time check of shapes, as users call it
    with pytest.raises(ValueError, match=message):
        of(Context, tokens(2, 3), causal=True, **options)


def test_a_mask_of_integers_is_an_error():
    of = Context.of.__func__
    of = getattr(of, "__wrapped__", of)
    with pytest.raises(ValueError, match="mask must be boolean"):
        of(Context, tokens(2, 3), torch.ones(2, 3, dtype=torch.long), causal=True)


def test_no_tokens_are_an_error():
    with pytest.raises(ValueError, match="at least one token"):
        Context.of(tokens(2, 0), causal=True)


def test_selecting_rows_of_a_memory():
    vectors, valid = torch.randn(2, 3, 4), torch.tensor([[True] * 3, [False, True, True]])
    rows = torch.tensor([1, 1, 0])
    chosen = Memory(vectors, valid).select(rows)
    assert torch.equal(chosen.vectors, vectors[rows])
    assert torch.equal(chosen.valid, valid[rows])
    assert Memory(vectors, valid).select(torch.tensor([0, 0])).valid is None
    assert Memory(vectors).select(rows).valid is None


def test_a_memory_forgets_a_mask_that_hides_nothing():
    assert Memory(torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)).valid is None


@pytest.mark.parametrize(
    ("valid", "message"),
    [
        (torch.ones(2, 4, dtype=torch.bool), r"valid must have the vectors' shape \(2, 3\), got \(2, 4\)"),
        (torch.ones(2, 3, dtype=torch.long), "valid must be boolean, True at real vectors; got torch.int64"),
    ],
)
def test_a_mask_that_does_not_fit_the_memory_is_an_error(valid, message):
    memory = object.__new__(Memory)  # past the run-time check of shapes, as users make it
    vars(memory).update(vectors=torch.randn(2, 3, 4), valid=valid)
    with pytest.raises(ValueError, match=message):
        memory.__post_init__()


def test_a_memory_of_other_rows_is_an_error():
    with pytest.raises(ValueError, match="the memory has 3 rows, the inputs have 2"):
        Context.of(tokens(2, 3), causal=True, memory=Memory(torch.randn(3, 5, 4)))
