"""Warped logits against transformers' own processors, in the order in which its `generate` applies them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.generation import Sampling, seen_tokens, warp

processors = pytest.importorskip("transformers.generation.logits_process")


def theirs(logits, tokens, mask, sampling):
    chain = []
    if sampling.repetition_penalty is not None:
        padding = mask.int().argmax(1)
        chain.append(processors.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty, padding))
    chain.append(processors.TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k is not None:
        chain.append(processors.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p is not None:
        chain.append(processors.TopPLogitsWarper(sampling.top_p))
    if sampling.min_p is not None:
        chain.append(processors.MinPLogitsWarper(sampling.min_p))
    for processor in chain:
        logits = processor(tokens, logits)
    return logits


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.3, 1.0, 2.5]),
    st.sampled_from([None, 1, 5, 40, 1000]),
    st.sampled_from([None, 0.1, 0.6, 0.95]),
    st.sampled_from([None, 0.02, 0.3, 0.9]),
    st.sampled_from([None, 0.8, 1.3, 5.0]),
)
def test_every_combination_is_that_of_transformers(seed, temperature, top_k, top_p, min_p, penalty):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(3, 60, generator=generator, dtype=torch.float64)
    tokens = torch.randint(60, (3, 12), generator=generator)
    mask = torch.arange(12) >= torch.tensor([[0], [4], [11]])
    tokens = tokens.where(mask, 7)
    sampling = Sampling(temperature, top_k, top_p, min_p, penalty)
    expected = theirs(logits, tokens, mask, sampling)
    found = warp(logits, sampling, seen_tokens(tokens, mask, 60))
    # A logit is multiplied or divided twice at most: a few units in the last of 53 bits.
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)
