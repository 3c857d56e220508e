"""Preference pairs as tokens: shifting, padding, epochs, limits on the length, and what a template judges."""

import json

import numpy as np
import pytest

import allyouneed as ayn
from allyouneed.data.batch import IGNORE
from allyouneed.data.preferences import PreferencePair
from allyouneed.data.preferences.batches import encode_preferences, encode_texts, judged_tokens
from allyouneed.tokenizers.subwords import train_subwords

PAIRS = [
    (([1, 2, 3, 4], [False, False, True, True]), ([1, 2, 5], [False, False, True])),
    (([6, 7], [False, True]), ([6, 8, 9], [False, True, True])),
    (([1, 1, 1], [False, True, True]), ([1, 2, 2], [False, True, True])),
]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    words = train_subwords(["<user>Hi there<end><assistant>Hello! What? bye"], 60, special=("<end>",))
    description = json.loads(words.to_dict()["description"])
    description["added_tokens"] = [
        {
            "id": 0,
            "content": "<end>",
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
    ]
    (folder / "tokenizer.json").write_text(json.dumps(description))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<end>", "chat_template": TEMPLATE}))
    return ayn.tokenizer(folder)


def test_targets_are_what_follows_where_it_is_judged():
    batch = encode_preferences(PAIRS).at(np.array([1, 0]))
    assert batch.tokens.tolist() == [[[6, 7, 0], [6, 8, 9]], [[1, 2, 3], [1, 2, 5]]]
    assert batch.targets.tolist() == [[[7, IGNORE, IGNORE], [8, 9, IGNORE]], [[IGNORE, 3, 4], [IGNORE, 5, IGNORE]]]
    assert batch.reference is None


def test_the_reference_goes_along_with_its_pair():
    reference = np.arange(6.0).reshape(3, 2)
    data = encode_preferences(PAIRS).with_reference(reference)
    assert data.at(np.array([2, 0])).reference.tolist() == [[4, 5], [0, 1]]
    assert data.answer_lengths.tolist() == [[2, 1], [1, 2], [2, 2]]


def test_every_epoch_has_each_pair_once_and_a_stream_goes_on_where_it_stood():
    data = encode_preferences(PAIRS).with_reference(np.arange(6.0).reshape(3, 2))
    stream = data.stream(2, seed=0)
    seen = [row[0] / 2 for _ in range(6) for row in next(stream).reference.tolist()]
    assert [sorted(seen[i : i + 3]) for i in range(0, 12, 3)] == [[0, 1, 2]] * 4
    assert len({tuple(seen[i : i + 3]) for i in range(0, 12, 3)}) > 1
    again = data.stream(2, seed=0)
    again.load_state_dict(stream.state_dict())
    assert next(again).tokens.tolist() == next(stream).tokens.tolist()
    with pytest.raises(ValueError, match="another source"):
        data.with_reference(np.ones((3, 2))).stream(2, seed=0).load_state_dict(stream.state_dict())
    with pytest.raises(ValueError, match="batch_size"):
        data.batches(0)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([], "no pair"),
        ([PAIRS[0], (([1, 2], [False]), PAIRS[0][1])], "pair 1 has 2 tokens and 1 marks"),
        ([(([1, 2], [False, False]), PAIRS[0][1])], "pair 0 needs a judged token"),
        ([(([1, 2], [True, True]), PAIRS[0][1])], "one before the first"),
    ],
)
def test_what_is_no_pair_of_texts(pairs, said):
    with pytest.raises(ValueError, match=said):
        encode_preferences(pairs)


def test_only_the_last_answer_is_judged_with_its_end(tokenizer):
    asked = [
        {"role": role, "content": text} for role, text in (("user", "Hi"), ("assistant", "Hello!"), ("user", "Hi"))
    ]
    pair = PreferencePair(asked, "bye", "What?")
    for (tokens, scored), answer in zip(judged_tokens(tokenizer, pair), ("bye", "What?")):
        judged = [token for token, mark in zip(tokens, scored) if mark]
        assert tokenizer.decode(judged) == answer + "<end>"
        assert tokenizer.decode(tokens) == f"<user>Hi<end><assistant>Hello!<end><user>Hi<end><assistant>{answer}<end>"


def test_an_end_is_put_behind_answers_to_plain_prompts(tokenizer):
    for tokens, scored in judged_tokens(tokenizer, PreferencePair("Hi", " Hello", " there")):
        assert tokens[-1] == 0
        assert scored[-1]
        assert not scored[0]


def test_prompts_lose_their_beginning_and_answers_nothing(tokenizer):
    pairs = [PreferencePair("Hi there " * n, "Hello! " * k, "bye") for n, k in ((1, 1), (9, 1), (1, 40))]
    whole, kept_all = encode_texts(pairs, tokenizer, 10_000)
    assert (kept_all.n_cut, kept_all.n_left_out) == (0, 0)
    limit = 30
    data, fitted = encode_texts(pairs, tokenizer, limit)
    assert (fitted.n_cut, fitted.n_left_out, fitted.kept.tolist()) == (1, 1, [0, 1])
    assert fitted.longest == int(whole.tokens.lengths.max())
    assert int(data.tokens.lengths.max()) == limit
    assert data.answer_lengths.tolist() == whole.answer_lengths[:2].tolist()
    long, cut = whole.at(np.array([1])), data.at(np.array([1]))
    shift = int(whole.tokens.lengths[2]) - limit
    for side in (0, 1):  # both texts have lost the same tokens, and still begin alike
        n = int(data.tokens.lengths[2 + side]) - 1
        assert cut.tokens[0, side, :n].tolist() == long.tokens[0, side, shift : shift + n].tolist()
    with pytest.raises(ValueError, match="of 3 pairs none"):
        encode_texts(pairs, tokenizer, 2)
