"""Speculative decoding writes what the target writes: by enumeration, by counting, and greedily token by token."""

from dataclasses import dataclass
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from allyouneed.blocks import CrossAttention, Learned, Rope
from allyouneed.generation import Sampling, Stop, generate, left_pad, speculate_step, speculative, warp
from allyouneed.generation.speculative import LONGEST_WAIT
from allyouneed.models import Decoder, DecoderConfig, EncoderConfig, EncoderDecoder, EncoderDecoderConfig

VOCAB = 4
GREEDY = Sampling(temperature=0)


# One step, and all that can come of it


def quarters(generator):
    """Probabilities that are whole quarters, 0 among them."""
    return torch.randint(VOCAB, (4,), generator=generator).bincount(minlength=VOCAB).double() / 4


def outcomes(target, draft, before, n_drafts):
    """Every (tokens, probability) that one pass can write after `before`.

    All probabilities are quarters, so whatever is compared with a uniform number is a whole number of twelfths: their
    midpoints stand for all numbers.
    """
    middles = (torch.arange(12, dtype=torch.float64) + 0.5) / 12
    uniforms = torch.cartesian_prod(*[middles] * (n_drafts + 1)).view(-1, n_drafts + 1)
    for drafts in product(range(VOCAB), repeat=n_drafts):
        texts = [before + drafts[:i] for i in range(n_drafts + 1)]
        p, q = torch.stack([target[text] for text in texts]), torch.stack([draft[text] for text in texts[:-1]])
        likely = float(q.gather(1, torch.tensor(drafts)[:, None]).prod())
        if likely == 0:
            continue
        rows = len(uniforms)
        accepted, token = speculate_step(
            p.expand(rows, -1, -1), q.expand(rows, -1, -1), torch.tensor(drafts).expand(rows, -1), uniforms
        )
        for (n, last), count in zip(*torch.stack((accepted, token), 1).unique(dim=0, return_counts=True)):
            yield (*drafts[: int(n)], int(last)), likely * int(count) / rows


class Quarters(dict):
    """A distribution after every text, drawn when it is first asked for."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def __missing__(self, text):
        self[text] = quarters(self.generator)
        return self[text]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_the_first_token_of_a_pass_has_the_targets_distribution(seed):
    target, draft = Quarters(seed), Quarters(seed + 1)
    found = torch.zeros(VOCAB, dtype=torch.float64)
    for tokens, probability in outcomes(target, draft, (), 1):
        found[tokens[0]] += probability
    torch.testing.assert_close(found, target[()], rtol=0, atol=1e-14)


@pytest.mark.parametrize(("n_drafts", "seed"), [(1, 0), (2, 1), (2, 2)])
def test_every_sequence_of_3_has_the_targets_probability(n_drafts, seed):
    target, draft = Quarters(seed), Quarters(seed + 100)
    reached = {(): 1.0}
    written = dict.fromkeys(product(range(VOCAB), repeat=3), 0.0)
    for length in range(3):
        for before in [text for text in reached if len(text) == length]:
            for tokens, probability in outcomes(target, draft, before, n_drafts):
                text = (before + tokens)[:3]
                into = written if len(text) == 3 else reached
                into[text] = into.get(text, 0.0) + reached[before] * probability
    for text, probability in written.items():
        expected = torch.stack([target[text[:i]][text[i]] for i in range(3)]).prod()
        assert probability == pytest.approx(float(expected), rel=0, abs=1e-14)


def test_where_target_and_draft_agree_everything_is_kept():
    p = torch.rand(500, 3, 7, dtype=torch.float64).softmax(-1)
    drafts = torch.randint(7, (500, 2))
    uniforms = torch.full((500, 3), 1 - 2**-53, dtype=torch.float64)
    accepted, token = speculate_step(p, p[:, :2], drafts, uniforms)
    assert accepted.tolist() == [2] * 500
    assert token.tolist() == [6] * 500


def test_where_rounding_leaves_no_residual_the_target_is_drawn_from():
    q = torch.tensor([[[0.5, 0.5]]], dtype=torch.float64)
    p = torch.tensor([[[0.5 - 1e-16, 0.5], [0.0, 1.0]]], dtype=torch.float64)
    uniforms = torch.tensor([[1 - 2**-53, 0.25]], dtype=torch.float64)
    accepted, token = speculate_step(p, q, torch.tensor([[0]]), uniforms)
    assert (accepted.item(), token.item()) == (0, 0)


@pytest.mark.parametrize("n_drafts", [1, 4, 7])
def test_tokens_a_pass_are_those_of_the_papers_equation_1(n_drafts):
    generator = torch.Generator().manual_seed(n_drafts)
    p, q = (torch.randn(9, generator=generator, dtype=torch.float64).softmax(-1) for _ in range(2))
    rows = 40_000
    drafts = torch.multinomial(q, rows * n_drafts, True, generator=generator).view(rows, n_drafts)
    uniforms = torch.rand(rows, n_drafts + 1, generator=generator, dtype=torch.float64)
    wide = p.expand(rows, n_drafts + 1, -1), q.expand(rows, n_drafts, -1)
    tokens = speculate_step(*wide, drafts, uniforms)[0] + 1.0
    alpha = float(torch.minimum(p, q).sum())
    expected = (1 - alpha ** (n_drafts + 1)) / (1 - alpha)
    # five standard errors
    assert abs(float(tokens.mean()) - expected) < 5 * float(tokens.std()) / rows**0.5


def test_the_target_is_needed_behind_the_last_draft():
    p = torch.full((1, 2, 3), 1 / 3)
    with pytest.raises(ValueError, match="2 drafts need the target at 3 positions, got 2"):
        speculate_step(p, p, torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2))


# Whole runs, counted


@dataclass
class Place:
    """Where each row stands in the tree of all texts: a state that cannot be cut, as a recurrent one."""

    node: torch.Tensor

    def select(self, rows):
        return Place(self.node[rows])

    def snapshot(self):
        return self

    def restore(self, snapshot):
        return snapshot


class Tree:
    """Not a module, and it can only step: random logits for every text of up to 8 tokens."""

    def __init__(self, noise=0.0):
        generator = torch.Generator().manual_seed(0)
        values = torch.randn(2, sum(VOCAB**i for i in range(9)), VOCAB, generator=generator, dtype=torch.float64)
        self.logits = values[0] + noise * values[1]

    def new_state(self, batch_size):
        return Place(torch.zeros(batch_size, dtype=torch.long))

    def step(self, tokens, state, mask=None):
        node = state.node
        for place in range(tokens.shape[1]):
            below = node * VOCAB + 1 + tokens[:, place]
            node = below if mask is None else below.where(mask[:, place], node)
        return self.logits[node], Place(node)


def decoder(seed=0, vocab=VOCAB, positions=None, factor=6.0, **options):
    """In float64 with large weights, so that choices vary and never tie."""
    config = DecoderConfig(
        vocab_size=vocab,
        d_model=16,
        n_layers=2,
        max_seq_len=32,
        positions=positions or Rope(),
        tie_embeddings=False,
        **options,
    )
    model = Decoder(config, seed=seed).double()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(factor)
    return model


def like(model, noise):
    """A draft that often agrees with the model."""
    other = type(model)(model.config, seed=9).double()
    for theirs, ours in zip(other.parameters(), model.parameters()):
        theirs.data.mul_(noise).add_(ours.data)
    return other


@torch.no_grad()
def exact_probabilities(model, prompt, sampling, length):
    """Of every text of `length` tokens, by the target alone."""
    found = {}
    for text in product(range(VOCAB), repeat=length):
        probability = 1.0
        for i in range(length):
            before = torch.tensor([[*prompt, *text[:i]]])
            logits, _ = model.step(before, model.new_state(1))
            seen = torch.zeros(1, VOCAB, dtype=torch.bool).scatter(1, before, True)
            probability *= float(warp(logits, sampling, seen).softmax(-1)[0, text[i]])
        found[text] = probability
    return found


@pytest.mark.parametrize("sampling", [Sampling(1.0), Sampling(0.7, top_k=3, top_p=0.95, repetition_penalty=1.4)])
@pytest.mark.parametrize(
    ("model", "draft"),
    [(Tree(), Tree(1.0)), (decoder(factor=1), like(decoder(factor=1), 0.2))],
    ids=["tree", "decoder"],
)
def test_20000_runs_are_distributed_as_the_target(model, draft, sampling):
    prompt, runs = [2], 20_000
    tokens = torch.tensor([prompt]).expand(runs, -1)
    found = speculative(model, draft, tokens, n_drafts=2, max_new_tokens=3, sampling=sampling)
    assert 0.2 < found.accepted / found.drafted < 0.95  # both ways are taken
    counts = dict.fromkeys(product(range(VOCAB), repeat=3), 0)
    for text in found.tokens[:, 1:].tolist():
        counts[tuple(text)] += 1
    expected = exact_probabilities(model, prompt, sampling, 3)
    assert sum(expected.values()) == pytest.approx(1)
    common = [text for text in counts if runs * expected[text] >= 5]
    rare = [text for text in counts if text not in common]
    assert all(counts[text] == 0 for text in rare if expected[text] == 0)
    seen = [*(counts[text] for text in common), sum(counts[text] for text in rare)]
    wanted = [*(runs * expected[text] for text in common), sum(runs * expected[text] for text in rare)]
    if wanted[-1] < 1:  # nothing to compare there
        seen, wanted = seen[:-1], [w * sum(seen[:-1]) / sum(wanted[:-1]) for w in wanted[:-1]]
    assert stats.chisquare(seen, wanted).pvalue > 0.001


def test_a_run_takes_as_many_passes_as_the_papers_equation_1_says():
    class Same(Tree):
        """The same distribution after every text."""

        def step(self, tokens, state, mask=None):
            return self.logits[:1].expand(len(tokens), -1), state

    model, draft, sampling, new = Same(), Same(0.7), Sampling(1.0), 1000
    found = speculative(model, draft, torch.zeros(1, 1).long(), n_drafts=3, max_new_tokens=new, sampling=sampling)
    p, q = model.logits[0].softmax(-1), draft.logits[0].softmax(-1)
    alpha = float(torch.minimum(p, q).sum())
    guessing = found.drafted / 3  # the last pass may have had fewer
    assert found.accepted + found.passes == new
    shares = torch.tensor([1 - alpha, alpha * (1 - alpha), alpha**2 * (1 - alpha), alpha**3], dtype=torch.float64)
    kept = torch.arange(4, dtype=torch.float64)
    expected = float(shares @ kept)
    assert expected + 1 == pytest.approx((1 - alpha**4) / (1 - alpha))
    # four standard errors
    error = 4 * (float(shares @ kept**2) - expected**2) ** 0.5 / guessing**0.5
    assert error < 0.3
    assert found.accepted / guessing == pytest.approx(expected, abs=error)


# Greedy: token by token what plain decoding writes

PROMPTS = [[1, 2, 3, 4, 5], [7, 8], [9], [10, 3, 3]]


@dataclass
class Hidden:
    """What a recurrent model remembers."""

    hidden: torch.Tensor

    def select(self, rows):
        return Hidden(self.hidden[rows])

    def snapshot(self):
        return self.hidden

    def restore(self, snapshot):
        return Hidden(snapshot)


class Recurrent:
    """Not a module, and it can only step; what it has read cannot be cut off again."""

    def __init__(self, seed=0, noise=0.0, vocab=11, width=8):
        generator, other = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
        self.embedding, self.recurrent, self.out = (
            torch.randn(shape, generator=generator, dtype=torch.float64)
            + noise * torch.randn(shape, generator=other, dtype=torch.float64)
            for shape in ((vocab, width), (width, width), (width, vocab))
        )

    def new_state(self, batch_size):
        return Hidden(torch.zeros(batch_size, len(self.recurrent), dtype=torch.float64))

    def step(self, tokens, state, mask=None):
        hidden = state.hidden
        for place in range(tokens.shape[1]):
            read = torch.tanh(hidden @ self.recurrent + self.embedding[tokens[:, place]])
            hidden = read if mask is None else read.where(mask[:, place, None], hidden)
        return hidden @ self.out, Hidden(hidden)


ROPE, LEARNED, RECURRENT = decoder(1, 11, n_kv_heads=2), decoder(1, 11, Learned()), Recurrent()
PAIRS = {
    "rope, itself": (ROPE, ROPE),
    "rope, like it": (ROPE, like(ROPE, 0.1)),
    "rope, recurrent": (ROPE, Recurrent(3)),
    "learned, like it": (LEARNED, like(LEARNED, 0.1)),
    "learned, unlike it": (LEARNED, decoder(7, 11, Learned())),
    "recurrent, itself": (RECURRENT, RECURRENT),
    "recurrent, like it": (RECURRENT, Recurrent(noise=0.1)),
    "recurrent, unlike it": (RECURRENT, decoder(7, 11)),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("n_drafts", "penalty"), [(1, None), (3, 1.3), (6, None)])
def test_greedy_writing_is_that_of_the_target_alone(pair, n_drafts, penalty):
    model, draft = PAIRS[pair]
    tokens, mask = left_pad(PROMPTS)
    # The longest prompt reaches the last of the learned positions, and nothing is read beyond it.
    settings_ = {"max_new_tokens": 27, "sampling": Sampling(temperature=0, repetition_penalty=penalty)}
    expected = generate(model, tokens, mask, temperature=0, max_new_tokens=27, repetition_penalty=penalty)
    found = speculative(model, draft, tokens, mask, n_drafts=n_drafts, **settings_)
    assert torch.equal(found.tokens, expected)
    assert len(set(found.tokens[:, 5:].flatten().tolist())) > 3
    if "itself" in pair:
        assert found.accepted == found.drafted
        assert found.passes <= 27 // (n_drafts + 1) + 2
    else:
        assert 0 < found.accepted < found.drafted


@pytest.mark.parametrize("pair", ["rope, like it", "recurrent, unlike it"])
@pytest.mark.parametrize("pad_token", [None, 0])
def test_rows_end_as_they_do_in_plain_writing(pair, pad_token):
    model, draft = PAIRS[pair]
    tokens, mask = left_pad(PROMPTS)
    free = generate(model, tokens, mask, temperature=0, max_new_tokens=30)[:, 5:].tolist()
    stops = [max(row, key=row.index) for row in free[:2]]  # what each writes last for the first time
    plain = {"temperature": 0, "stop_tokens": stops, "pad_token": pad_token, "max_new_tokens": 30}
    expected = generate(model, tokens, mask, **plain)
    assert len({(expected[row] == stops[0]).long().argmax().item() for row in range(4)}) > 1
    stop = Stop(stops, pad_token=pad_token)
    found = speculative(model, draft, tokens, mask, max_new_tokens=30, sampling=GREEDY, stop=stop)
    assert torch.equal(found.tokens, expected)


def test_a_model_with_a_source_is_served_too():
    class Translator(EncoderDecoder):
        def begin(self, tokens, mask=None):
            return torch.ones(len(tokens), 2, dtype=torch.long), self.new_state(tokens, mask)

    sizes = {"vocab_size": 11, "d_model": 16, "n_layers": 2, "max_seq_len": 64, "positions": Rope()}
    writer = DecoderConfig(**sizes, cross=CrossAttention())
    model = Translator(EncoderDecoderConfig(encoder=EncoderConfig(**sizes), decoder=writer)).double()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(6)
    draft = like(model, 0.1)
    tokens, mask = left_pad(PROMPTS)
    expected = generate(model, tokens, mask, temperature=0, max_new_tokens=40)
    found = speculative(model, draft, tokens, mask, max_new_tokens=40, sampling=GREEDY)
    assert torch.equal(found.tokens, expected)
    assert 0 < found.accepted < found.drafted


def test_passes_are_few_and_short_and_the_prompt_is_read_once(monkeypatch):
    model, draft, read, guessed = ROPE, like(ROPE, 0.1), [], []
    plain, plain_draft = type(model).hidden, draft.hidden
    monkeypatch.setattr(model, "hidden", lambda t, *a, **k: (read.append(t.shape[1]), plain(model, t, *a, **k))[1])
    monkeypatch.setattr(draft, "hidden", lambda t, *a, **k: (guessed.append(t.shape[1]), plain_draft(t, *a, **k))[1])
    prompt = torch.tensor([[1, 2, 3, 4, 5] * 4])
    found = speculative(model, draft, prompt, n_drafts=3, max_new_tokens=44, sampling=GREEDY)
    assert found.passes == len(read) < 44
    assert read[0] == 20
    assert max(read[1:]) <= LONGEST_WAIT + 4
    assert guessed[0] == 21  # the prompt and the target's first token
    assert max(guessed[1:]) <= 4


def test_the_seed_decides_modes_come_back_and_the_global_generator_is_left_alone():
    model, draft = decoder(1, 11, dropout=0.5).train(), decoder(2, 11).train()
    prompt, before = torch.tensor(PROMPTS[:1]).expand(4, -1), torch.get_rng_state()
    runs = [
        speculative(model, draft, prompt, seed=seed, max_new_tokens=12, sampling=Sampling(2.0)).tokens
        for seed in (0, 0, 1)
    ]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert len({tuple(row) for row in runs[0].tolist()}) == 4
    assert model.training
    assert draft.training


def test_nothing_new_gives_the_prompt():
    found = speculative(ROPE, RECURRENT, torch.tensor([[1, 2]]), max_new_tokens=0)
    assert found.tokens.tolist() == [[1, 2]]
    assert found.passes == found.drafted == found.accepted == 0


@pytest.mark.parametrize(
    ("draft", "options", "message"),
    [
        (Recurrent(vocab=12), {}, "one vocabulary, got 11 and 12"),
        (ROPE, {"n_drafts": 0}, "n_drafts must be at least 1, got 0"),
        (ROPE, {"max_new_tokens": -1}, "max_new_tokens must be at least 0, got -1"),
        (ROPE, {"stop": Stop([11])}, "got 11"),
        (ROPE, {"mask": torch.tensor([[True, False]])}, "end with padding"),
        (ROPE, {"seed": [1, 2]}, "each of the 1 rows; got 2"),
    ],
)
def test_bad_input_is_an_error(draft, options, message):
    with pytest.raises(ValueError, match=message):
        speculative(ROPE, draft, torch.tensor([[1, 2]]), **options)
