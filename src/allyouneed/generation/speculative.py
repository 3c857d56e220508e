"""Speculative decoding: a small model guesses several tokens, the large one checks them all in one pass.

Leviathan, Kalman and Matias, "Fast Inference from Transformers via Speculative Decoding", 2023, arXiv:2211.17192.

The idea: a pass over a few tokens costs a large model little more than a pass over one, because its weights have to be
fetched either way. So a guess x of the draft is kept with probability min(1, p(x) / q(x)), and the first that is not
kept is replaced by a token of what the draft had left too little of. What is written has the target's distribution:

    min(p, q) + (1 - alpha) norm(max(0, p - q)) = p,      alpha = sum_x min(p(x), q(x))        (appendix A.1)
    tokens a pass = (1 - alpha^(gamma + 1)) / (1 - alpha)                                      (equation 1)

| here | paper | meaning |
| --- | --- | --- |
| `p` | p(x) | the target's distribution (section 2.1) after `Sampling`, which both models share (section 2.2) |
| `q` | q(x) | the draft's |
| `n_drafts` | gamma | guesses a pass |
| `accepted` | n | guesses kept of one pass (algorithm 1) |
| `residual` | p'(x) | norm(max(0, p - q)), from which the replacement is drawn (section 2.3) |
| `Speculated.accepted / drafted` | about alpha | kept guesses (definition 3.1 counts only those that were tested) |

**Going back.** After a pass both models have read guesses that may be wrong. Keys could be cut off token by token; the
state of a recurrent model cannot: it can only be restored to a snapshot, and what was right since must be read again.
One way serves both. The draft takes its snapshot when it has read what is certain, and goes back to it after
guessing. The target reads certain tokens and guesses in one call, so that its snapshot lies before both; tokens that
turn out right are not read again at once, which would cost a second pass, but ahead of the next guesses in the same
call. They are few and ride along. When they are more than `LONGEST_WAIT` a pass has no guesses: it reads them all,
draws one token as plain decoding would, and leaves nothing to undo.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from allyouneed.generation.draws import Draws
from allyouneed.generation.generate import check_max_new_tokens
from allyouneed.generation.reading import Writes, begin, head, left_pad, read_at_once, reading
from allyouneed.generation.sampling import Sampling, draw, seen_tokens, warp
from allyouneed.generation.stop import Stop

# With guesses that are kept 70 to 90 times of 100, waiting for 4 is best where one more token costs a seventh of a pass
# (a CPU's core), for 16 where it costs a 150th (a GPU); 8 loses a few per cent to either.
LONGEST_WAIT = 8


@dataclass(frozen=True)
class Speculated:
    """What was written, and what it took.

    tokens: the prompts and what was written after them, as `generate` gives them.
    drafted: guesses of the draft, all rows together.
    accepted: those of them that the target kept.
    passes: of the target, each over all rows that were open.
    """

    tokens: Int[Tensor, "batch longer"]
    drafted: int
    accepted: int
    passes: int


def speculate_step(
    p: Float[Tensor, "batch positions vocab"],
    q: Float[Tensor, "batch drafts vocab"],
    drafts: Int[Tensor, "batch drafts"],
    uniforms: Float[Tensor, "batch positions"],
) -> tuple[Int[Tensor, "batch"], Int[Tensor, "batch"]]:
    """How many of its drafts each row keeps, and the token that follows them (algorithm 1 of the paper).

    p: the target's distribution at each draft and behind the last, so that positions = drafts + 1.
    q: the distributions that the drafts were drawn from.
    uniforms: in [0, 1), one for the test of each draft and one to draw the token with.

    Raises ValueError if there is not one position more than there are drafts.
    """
    n_drafts = drafts.shape[1]
    if p.shape[1] != n_drafts + 1:
        raise ValueError(f"{n_drafts} drafts need the target at {n_drafts + 1} positions, got {p.shape[1]}")
    places = drafts[:, :, None]
    p_draft, q_draft = p[:, :-1].gather(2, places)[:, :, 0], q.gather(2, places)[:, :, 0]
    keep = uniforms[:, :-1] * q_draft < p_draft
    accepted = keep.long().cumprod(1).sum(1)
    rows = torch.arange(len(p), device=p.device)
    behind = torch.cat((q, torch.zeros_like(p[:, :1])), dim=1)  # behind the last draft nothing is taken off
    target = p[rows, accepted]
    residual = (target - behind[rows, accepted]).clamp(min=0)
    # Where p = q but for rounding nothing is left, and the test failed by that rounding alone.
    weights = residual.where(residual.sum(1, keepdim=True) > 0, target)
    return accepted, draw(weights, uniforms[:, -1])


def speculative(
    model: Writes,
    draft: Writes,
    tokens: Int[Tensor, "batch seq"],
    mask: Bool[Tensor, "batch seq"] | None = None,
    *,
    n_drafts: int = 4,
    max_new_tokens: int = 64,
    sampling: Sampling = Sampling(),
    stop: Stop = Stop(),
    seed: int | Sequence[int] = 0,
) -> Speculated:
    """What `generate` would write with `model`, in fewer passes of it: at temperature 0 the same tokens (up to
    rounding), else tokens of the same distribution.

    model, draft: of one vocabulary, with states that have `select`, `snapshot` and `restore`. The model is worth its
        while if it reads several tokens at once (`ReadsAtOnce`); one that can only step writes the same.
    tokens, mask: as in `generate`; models that have `begin` get them both as sources.
    n_drafts: guesses a pass; fewer near the end.
    seed: as in `stream`, but how many numbers a row draws depends on the rows beside it.

    Rows keep different numbers of guesses: what each has yet to read is padded on the left, and rows that have ended
    leave the batch. Raises ValueError as `generate` does, and for vocabularies of different sizes.
    """
    check_max_new_tokens(max_new_tokens)
    if n_drafts < 1:
        raise ValueError(f"n_drafts must be at least 1, got {n_drafts}")
    with reading(model), reading(draft):
        target, guesser = _Reader(model, tokens, mask), _Reader(draft, tokens, mask)
        run = _Run(target, guesser, sampling, stop, Draws(seed, len(tokens), tokens.device))
        written: list[list[int]] = [[] for _ in tokens]
        rows = list(range(len(tokens))) if max_new_tokens else []
        while rows:
            room = max_new_tokens - max(len(written[row]) for row in rows)
            still = []
            for place, (row, new) in enumerate(zip(rows, run.round(min(n_drafts, room - 1)))):
                if not _add(written[row], new, stop) and len(written[row]) < max_new_tokens:
                    still.append(place)
            if 0 < len(still) < len(rows):
                run.keep(still)
            rows = [rows[place] for place in still]
    longest = max(map(len, written))
    filled = torch.tensor([stop.filled(new, longest) for new in written], dtype=torch.long, device=tokens.device)
    return Speculated(torch.cat((target.prompt, filled), dim=1), run.drafted, run.accepted, run.passes)


def _add(written: list[int], new: list[int], stop: Stop) -> bool:
    """Write what a row may still write of these, and say whether it ends with one of them."""
    for token in new:
        written.append(token)
        if stop.ends(written):
            return True
    return False


class _Reader:
    """One of the two models, the state of what it has read, and what of each row waits to be read."""

    def __init__(self, model: Writes, tokens: Tensor, mask: Tensor | None) -> None:
        self.model = model
        self.prompt, mask, self.state = begin(model, tokens, mask)
        real = torch.ones_like(self.prompt, dtype=torch.bool) if mask is None else mask
        self.waiting: list[list[int]] = [row[keep].tolist() for row, keep in zip(self.prompt, real)]

    def read(self, drafts: Int[Tensor, "rows drafts"]) -> Float[Tensor, "rows positions vocab"]:
        """Read what waits and then `drafts`: logits for each of them and for the token behind."""
        tokens, mask = left_pad(self.waiting, device=drafts.device)
        tokens, mask = torch.cat((tokens, drafts), dim=1), torch.cat((mask, torch.ones_like(drafts).bool()), dim=1)
        hidden, self.state = read_at_once(self.model, tokens, self.state, mask)
        return head(self.model, hidden[:, -1 - drafts.shape[1] :])

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows only."""
        self.state = self.state.select(torch.tensor(rows, device=self.prompt.device))
        self.waiting = [self.waiting[row] for row in rows]


class _Run:
    """Both models over the rows that are still open."""

    def __init__(self, target: _Reader, draft: _Reader, sampling: Sampling, stop: Stop, draws: Draws) -> None:
        self.target, self.draft, self.sampling, self.stop, self.draws = target, draft, sampling, stop, draws
        self.texts = [list(row) for row in target.waiting]  # prompt and what was written
        self.drafted = self.accepted = self.passes = 0

    def round(self, n_drafts: int) -> list[list[int]]:
        """The next tokens of each row: one at least, `n_drafts` + 1 at most."""
        if max(map(len, self.target.waiting)) > LONGEST_WAIT:
            n_drafts = 0
        drafts, distributions = self._guess(n_drafts)
        before = self.target.state.snapshot()
        logits = self.target.read(drafts)
        p = warp(logits, self.sampling, self._seen(drafts, logits.shape[2])).softmax(-1)
        q = torch.stack(distributions, dim=1) if distributions else p[:, :0]
        if p.shape[2] != q.shape[2]:
            raise ValueError(f"model and draft need one vocabulary, got {p.shape[2]} and {q.shape[2]} tokens")
        self.stop.check(p.shape[2])
        accepted, token = speculate_step(p, q, drafts, self.draws.next(n_drafts + 1))
        kept = accepted.tolist()
        self._count(n_drafts, kept)
        new = [[*row[:n], last] for row, n, last in zip(drafts.tolist(), kept, token.tolist())]
        if min(kept) < n_drafts:
            self.target.state = self.target.state.restore(before)
            _append(self.target.waiting, new)
        else:
            self.target.waiting = [row[-1:] for row in new]
        _append(self.draft.waiting, new)
        _append(self.texts, new)
        return new

    def _guess(self, n_drafts: int) -> tuple[Int[Tensor, "rows drafts"], list[Float[Tensor, "rows vocab"]]]:
        """The draft's guesses, and the distribution that each was drawn from; afterwards it has read what waited."""
        reader, distributions = self.draft, []
        drafts = torch.empty(len(reader.waiting), 0, dtype=torch.long, device=reader.prompt.device)
        if n_drafts == 0:
            return drafts, []
        logits = reader.read(drafts)[:, 0]
        certain = reader.state.snapshot()
        uniforms = self.draws.next(n_drafts)
        for place in range(n_drafts):
            if place:
                logits, reader.state = reader.model.step(drafts[:, -1:], reader.state)
            seen = self._seen(drafts, logits.shape[1])
            distributions.append(warp(logits, self.sampling, None if seen is None else seen[:, -1]).softmax(-1))
            guess = draw(distributions[-1], uniforms[:, place])
            drafts = torch.cat((drafts, guess[:, None]), dim=1)
        reader.state = reader.state.restore(certain)
        reader.waiting = [[] for _ in reader.waiting]
        return drafts, distributions

    def _seen(self, drafts: Int[Tensor, "rows drafts"], vocab_size: int) -> Bool[Tensor, "rows positions vocab"] | None:
        """The tokens seen at each draft and behind the last; None if nobody asks."""
        if self.sampling.repetition_penalty is None:
            return None
        seen = [seen_tokens(*left_pad(self.texts, device=drafts.device), vocab_size)]
        for guess in drafts.unbind(1):
            seen.append(seen[-1].scatter(1, guess[:, None], True))
        return torch.stack(seen, dim=1)

    def _count(self, n_drafts: int, kept: list[int]) -> None:
        self.passes += 1
        self.drafted += n_drafts * len(kept)
        self.accepted += sum(kept)

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows only."""
        self.target.keep(rows)
        self.draft.keep(rows)
        self.draws.keep(rows)
        self.texts = [self.texts[row] for row in rows]


def _append(rows: list[list[int]], new: list[list[int]]) -> None:
    for row, more in zip(rows, new):
        row += more
