"""Beam search against every sequence there is, and against a beam search written out by hand."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.blocks import Rope
from allyouneed.generation import beam_search, generate
from allyouneed.models import Decoder, DecoderConfig

VOCAB, END, WIDTH = 5, 3, 6
PENALTIES = [0.0, 0.6, 1.0, 2.0]
# Scores are sums of a few logarithms in float64, added up in another order than in the check.
EXACT = {"rtol": 0, "atol": 1e-12}


class Memory:
    """What a `Recurrent` has read, a row each."""

    def __init__(self, hidden):
        self.hidden = hidden

    def select(self, rows):
        return Memory(self.hidden[rows])


class Recurrent:
    """Not a module: random logits that depend on the row's source and on all tokens read so far."""

    def __init__(self, rows, seed=0, end_bias=0.0, scale=1.0, vocab=VOCAB, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        self.sources, self.embedding, self.recurrent, self.out = (
            torch.randn(*shape, generator=generator, dtype=torch.float64)
            for shape in ((rows, WIDTH), (vocab, WIDTH), (WIDTH, WIDTH), (WIDTH, vocab))
        )
        self.bias = torch.zeros(vocab, dtype=torch.float64)
        self.bias[END % vocab] = end_bias
        self.scale, self.dtype, self.steps = scale, dtype, 0

    def new_state(self, rows=slice(None)):
        return Memory(self.sources[rows])

    def step(self, tokens, state, mask=None):
        self.steps += 1
        hidden = state.hidden
        for place in range(tokens.shape[1]):
            read = torch.tanh(hidden @ self.recurrent + self.embedding[tokens[:, place]])
            hidden = read if mask is None else read.where(mask[:, place, None], hidden)
        return (self.scale * hidden @ self.out + self.bias).to(self.dtype), Memory(hidden)


def log_probabilities(model, row, prompt, written):
    """Of each next token after the prompt and what was written."""
    tokens = torch.tensor([[*prompt, *written]])
    return model.step(tokens, model.new_state([row]))[0][0].double().log_softmax(-1)


def score(log_p, length, alpha):
    return log_p / ((5 + length) / 6) ** alpha


def every_sequence(model, row, prompt, longest, alpha):
    """(score, log p, tokens) of all that can be written: those that end first, the others behind; best first."""
    ended, unended = [], []
    tables = {}
    for length in range(1, longest + 1):
        for written in product(range(VOCAB), repeat=length):
            if END in written[:-1] or (written[-1] != END and length < longest):
                continue
            log_p = 0.0
            for place, token in enumerate(written):
                before = written[:place]
                if before not in tables:
                    tables[before] = log_probabilities(model, row, prompt, before)
                log_p += float(tables[before][token])
            (ended if written[-1] == END else unended).append((score(log_p, length, alpha), log_p, written))
    return sorted(ended, reverse=True) + sorted(unended, reverse=True)


def by_hand(model, row, prompt, n, longest, alpha):
    """One row's beam, in plain lists; it stops early only where the whole beam has ended."""
    running, finished = [(0.0, ())], []
    for length in range(1, longest + 1):
        candidates = sorted(
            (
                (log_p + float(step), (*written, token))
                for log_p, written in running
                for token, step in enumerate(log_probabilities(model, row, prompt, written))
            ),
            reverse=True,
        )
        beam = candidates[:n]
        finished += [(score(log_p, length, alpha), log_p, written) for log_p, written in beam if written[-1] == END]
        running = [candidate for candidate in candidates if candidate[1][-1] != END][:n]
        if all(written[-1] == END for _, written in beam):
            break
    behind = [(score(log_p, len(written), alpha), log_p, written) for log_p, written in running]
    return (sorted(finished, reverse=True) + behind)[:n]


def assert_row_is(beams, row, expected):
    """The row's places hold the expected (score, log p, tokens) and, behind them, nothing."""
    for place in range(beams.scores.shape[1]):
        tokens, length = beams.tokens[row, place].tolist(), int(beams.lengths[row, place])
        value, log_p, written = expected[place] if place < len(expected) else (-torch.inf, -torch.inf, ())
        assert tuple(tokens[:length]) == written
        assert set(tokens[length:]) <= {END}
        found = torch.stack((beams.scores[row, place], beams.log_probabilities[row, place]))
        torch.testing.assert_close(found, torch.tensor([value, log_p], dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("alpha", PENALTIES)
@pytest.mark.parametrize("end_bias", [0.0, 2.0, -30.0])
@pytest.mark.parametrize("longest", [1, 4])
def test_a_beam_that_holds_every_prefix_finds_what_a_search_of_all_sequences_finds(alpha, end_bias, longest):
    model = Recurrent(rows=3, seed=longest, end_bias=end_bias)
    prompt = torch.tensor([[0], [2], [0]])
    # Four tokens do not end: 4^4 prefixes go on at most, and ended ones take places in the beam beside them.
    beams = beam_search(
        model, prompt, model.new_state(), end=END, n_beams=400, length_penalty=alpha, max_new_tokens=longest
    )
    for row in range(3):
        expected = every_sequence(model, row, prompt[row].tolist(), longest, alpha)
        assert len(expected) == sum(4**length for length in range(longest + 1))
        assert_row_is(beams, row, expected)


@settings(deadline=None, max_examples=120)
@given(
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.integers(1, 7),
    st.sampled_from([*PENALTIES, 5.0]),
    st.sampled_from([-30.0, -1.0, 0.0, 1.0, 3.0]),
    st.sampled_from([0.3, 1.0, 3.0]),
)
def test_a_small_beam_is_the_one_written_out_by_hand(seed, n, longest, alpha, end_bias, scale):
    model = Recurrent(rows=2, seed=seed, end_bias=end_bias, scale=scale)
    prompt = torch.tensor([[0, 1], [4, 2]])
    beams = beam_search(
        model, prompt, model.new_state(), end=END, n_beams=n, length_penalty=alpha, max_new_tokens=longest
    )
    for row in range(2):
        assert_row_is(beams, row, by_hand(model, row, prompt[row].tolist(), n, longest, alpha))


def test_rows_that_finish_at_different_times_are_as_each_alone():
    model, prompt = Recurrent(rows=8), torch.tensor([[token % VOCAB] for token in range(8)])
    together = beam_search(model, prompt, model.new_state(), end=END, max_new_tokens=12)
    assert len(set(together.lengths[:, 0].tolist())) > 2
    steps = set()
    for row in range(8):
        model.steps = 0
        alone = beam_search(model, prompt[[row]], model.new_state([row]), end=END, max_new_tokens=12)
        steps.add(model.steps)
        for place in range(4):
            length = int(alone.lengths[0, place])
            assert together.lengths[row, place] == length
            assert torch.equal(together.tokens[row, place, :length], alone.tokens[0, place, :length])
        torch.testing.assert_close(together.scores[row], alone.scores[0], **EXACT)
    assert len(steps) > 2


def test_ties_are_broken_somehow_but_no_sequence_is_found_twice():
    model = Recurrent(rows=2, scale=0.0)
    beams = beam_search(
        model, torch.zeros(2, 1, dtype=torch.long), model.new_state(), end=END, n_beams=400, max_new_tokens=3
    )
    for row in range(2):
        expected = every_sequence(model, row, [0], 3, 0.6)
        n = len(expected)
        found = [tuple(t[:k]) for t, k in zip(beams.tokens[row, :n].tolist(), beams.lengths[row, :n].tolist())]
        assert sorted(found) == sorted(written for _, _, written in expected)
        best_first = torch.tensor([value for value, _, _ in expected], dtype=torch.float64)
        torch.testing.assert_close(beams.scores[row, :n], best_first, **EXACT)


def decoder(**options):
    """In float64 with large weights, so that choices vary and never tie."""
    config = DecoderConfig(vocab_size=11, d_model=16, max_seq_len=64, positions=Rope(), tie_embeddings=False, **options)
    model = Decoder(config, seed=1).double()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(5)
    return model


PROMPTS = [torch.tensor([1, 2, 3, 4, 5]), torch.tensor([7, 8]), torch.tensor([9])]


def left_padded(prompts):
    length = max(len(p) for p in prompts)
    tokens = torch.stack([torch.cat([torch.zeros(length - len(p), dtype=torch.long), p]) for p in prompts])
    return tokens, torch.stack([torch.arange(length) >= length - len(p) for p in prompts])


def test_padded_prompts_of_a_decoder_continue_as_each_alone_and_score_what_the_whole_model_says():
    model = decoder(n_kv_heads=2)
    tokens, mask = left_padded(PROMPTS)
    together = beam_search(model, tokens, model.new_state(3), end=4, max_new_tokens=20, mask=mask)
    assert len(set(together.lengths.flatten().tolist())) > 3
    for row, prompt in enumerate(PROMPTS):
        alone = beam_search(model, prompt[None], model.new_state(1), end=4, max_new_tokens=20)
        longest = alone.tokens.shape[2]
        assert torch.equal(together.tokens[row, :, :longest], alone.tokens[0])
        for place, length in enumerate(alone.lengths[0].tolist()):
            written = alone.tokens[0, place, :length]
            said = model(torch.cat((prompt, written))[None])[0].log_softmax(-1)[len(prompt) - 1 : -1]
            log_p = said.gather(1, written[:, None]).sum()
            # The key-value state adds up in another order than one pass over the whole.
            torch.testing.assert_close(alone.log_probabilities[0, place], log_p, rtol=0, atol=1e-9)


@pytest.mark.parametrize("alpha", PENALTIES)
def test_one_beam_is_greedy_decoding(alpha):
    model = decoder()
    tokens, mask = left_padded(PROMPTS)
    ended = set()
    for end in range(0, 11, 3):
        greedy = generate(model, tokens, mask, max_new_tokens=12, temperature=0, stop_tokens=[end])[:, 5:]
        beams = beam_search(
            model, tokens, model.new_state(3), end=end, n_beams=1, length_penalty=alpha, max_new_tokens=12, mask=mask
        )
        assert torch.equal(beams.tokens[:, 0], greedy)
        ended |= set(beams.lengths.flatten().tolist())
    assert len(ended) > 2


class Constant:
    """Always the same probabilities: 0.6 and 0.1 for going on, 0.3 for the end."""

    steps = 0

    def select(self, rows):
        return self

    def step(self, tokens, state, mask=None):
        self.steps += 1
        return torch.tensor([[0.6, 0.1, 0.3]], dtype=torch.float64).log().expand(len(tokens), -1), state


@pytest.mark.parametrize(("alpha", "steps"), [(0.0, 4), (0.6, 11), (1.0, 22), (2.0, 40)])
def test_the_search_stops_as_soon_as_nothing_can_win_any_more_and_no_sooner(alpha, steps):
    on, ends = torch.tensor([0.6, 0.3], dtype=torch.float64).log().tolist()
    finished, expected = [], 0
    while expected < 40:
        expected += 1
        finished.append(score((expected - 1) * on + ends, expected, alpha))
        second = sorted(finished, reverse=True)[1] if expected > 1 else -torch.inf
        if score(expected * on, 40, alpha) <= second:
            break
    assert expected == steps
    model = Constant()
    beams = beam_search(
        model,
        torch.zeros(3, 1, dtype=torch.long),
        model,
        end=2,
        n_beams=2,
        length_penalty=alpha,
        max_new_tokens=40,
    )
    assert model.steps == steps
    torch.testing.assert_close(beams.scores[0].tolist(), sorted(finished, reverse=True)[:2], **EXACT)


class Scripted:
    """Row 0 rather ends at once than goes on, but if it goes on it surely ends next; row 1 goes on three times."""

    end = torch.tensor([[0.55, 0.99, 0.99, 0.99], [0.01, 0.01, 0.01, 0.99]], dtype=torch.float64)

    def __init__(self, rows=(0, 1), read=0):
        self.rows, self.read = torch.tensor(rows), read

    def select(self, rows):
        return Scripted(self.rows[rows].tolist(), self.read)

    def step(self, tokens, state, mask=None):
        ends = self.end[state.rows, state.read]
        return torch.stack((1 - ends, ends), dim=1).log(), Scripted(state.rows.tolist(), state.read + 1)


def test_a_row_whose_whole_beam_has_ended_is_done_even_if_something_better_was_left_out():
    left_out, found = (score(math.log(p), length, 2.0) for p, length in ((0.45 * 0.99, 2), (0.55, 1)))
    assert left_out > found
    model, prompt = Scripted(), torch.zeros(2, 1, dtype=torch.long)
    beams = beam_search(model, prompt, model, end=1, n_beams=1, length_penalty=2.0, max_new_tokens=4)
    assert beams.tokens.tolist() == [[[1, 1, 1, 1]], [[0, 0, 0, 1]]]
    assert beams.lengths.tolist() == [[1], [4]]
    assert beams.scores[0].item() == pytest.approx(found, abs=1e-12)


def test_fewer_continuations_than_beams_leave_empty_places():
    model = Recurrent(rows=2, vocab=2)
    beams = beam_search(
        model, torch.zeros(2, 1, dtype=torch.long), model.new_state(), end=1, n_beams=4, max_new_tokens=2
    )
    assert [sorted(lengths) for lengths in beams.lengths.tolist()] == [[0, 1, 2, 2]] * 2
    assert beams.lengths[:, 2:].tolist() == [[2, 0]] * 2  # what has not ended comes last, and then nothing
    assert beams.scores[:, 3].tolist() == beams.log_probabilities[:, 3].tolist() == [-torch.inf] * 2
    assert beams.tokens[:, 3].tolist() == [[1, 1]] * 2


def test_impossible_tokens_are_never_written():
    class OnlyEnds(Recurrent):
        def step(self, tokens, state, mask=None):
            logits, state = super().step(tokens, state, mask)
            return logits.where(torch.arange(VOCAB) == END, -torch.inf), state

    model = OnlyEnds(rows=1)
    beams = beam_search(model, torch.zeros(1, 1, dtype=torch.long), model.new_state(), end=END)
    assert beams.tokens.tolist() == [[[END]] * 4]
    assert beams.lengths.tolist() == [[1, 0, 0, 0]]
    assert beams.scores.tolist() == [[0.0, -torch.inf, -torch.inf, -torch.inf]]
    assert model.steps == 1


def test_low_precision_logits_are_scored_in_float32():
    class Rounded(Recurrent):
        def step(self, tokens, state, mask=None):
            logits, state = super().step(tokens, state, mask)
            return logits.bfloat16().double(), state

    prompt, models = torch.zeros(1, 1, dtype=torch.long), (Recurrent(rows=1, dtype=torch.bfloat16), Rounded(rows=1))
    beams, expected = (beam_search(model, prompt, model.new_state(), end=END) for model in models)
    assert beams.scores.dtype == beams.log_probabilities.dtype == torch.float32
    # Sums of at most 64 logarithms, each rounded to 24 bits.
    torch.testing.assert_close(beams.scores.double(), expected.scores, rtol=64 * 2**-24, atol=0)


def test_dropout_is_off_meanwhile_and_modes_come_back():
    model = decoder(dropout=0.5).train()
    model.layers[1].eval()
    first, again = (beam_search(model, PROMPTS[0][None], model.new_state(1), end=4) for _ in range(2))
    assert torch.equal(first.scores, again.scores)
    assert model.training
    assert not model.layers[1].training


def test_what_was_written_can_be_trained_on():
    model = decoder()
    beams = beam_search(model, PROMPTS[0][None], model.new_state(1), end=4, max_new_tokens=3)
    model(beams.tokens[:, 0]).sum().backward()
    assert model.embedding.weight.grad is not None


@pytest.mark.parametrize(
    ("tokens", "options", "message"),
    [
        (torch.empty(1, 0, dtype=torch.long), {}, "the prompt is empty"),
        (torch.zeros(2, 2, dtype=torch.long), {"mask": torch.tensor([[True, True], [True, False]])}, r"rows \[1\]"),
        (torch.zeros(1, 2, dtype=torch.long), {"max_new_tokens": 0}, "at least 1, got 4 and 0"),
        (torch.zeros(1, 2, dtype=torch.long), {"n_beams": 0}, "at least 1, got 0 and 64"),
        (torch.zeros(1, 2, dtype=torch.long), {"length_penalty": -0.1}, "length_penalty must be at least 0, got -0.1"),
        (torch.zeros(1, 2, dtype=torch.long), {"end": 11}, r"end must be .* of the vocabulary \(0 .. 10\), got 11"),
        (torch.zeros(1, 2, dtype=torch.long), {"end": []}, r"end must be one or more tokens"),
    ],
)
def test_bad_input_is_an_error(tokens, options, message):
    model = decoder()
    with pytest.raises(ValueError, match=message):
        beam_search(model, tokens, model.new_state(len(tokens)), **{"end": 4} | options)


class OneEnd:
    """A model with two end tokens, as one that has only the first, and with the chances of both."""

    def __init__(self, model):
        self.model = model

    def step(self, tokens, state, mask=None):
        logits, state = self.model.step(tokens, state, mask)
        logits = logits.clone()
        logits[:, END] = logits[:, [END, 3]].logsumexp(1)
        logits[:, 3] = -1e9
        return logits, state


@pytest.mark.parametrize("n", [1, 3, 400])
def test_of_several_end_tokens_each_ends_a_continuation(n):
    model, prompt = Recurrent(rows=3, seed=2), torch.tensor([[0], [2], [0]])
    beams = beam_search(model, prompt, model.new_state(), end=[END, 3], n_beams=n, max_new_tokens=4)
    ended = torch.isin(beams.tokens, torch.tensor([END, 3]))
    for row, lengths in enumerate(beams.lengths.tolist()):
        for beam, length in enumerate(lengths):
            assert not ended[row, beam, : max(length - 1, 0)].any()
            assert ended[row, beam, length:].all()
    if n == 400:  # every continuation, so both find the same probability
        whole = beam_search(OneEnd(model), prompt, model.new_state(), end=END, n_beams=n, max_new_tokens=4)
        expected = whole.log_probabilities.exp().sum(1)
        torch.testing.assert_close(beams.log_probabilities.exp().sum(1), expected, rtol=1e-5, atol=0)
        assert set(beams.tokens[beams.lengths == 1][:, 0].tolist()) == {END, 3}
