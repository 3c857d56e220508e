"""Conversations from files, packed into rows that do not see one another."""

import json

import numpy as np
import pytest
import torch

from allyouneed.blocks import Rope
from allyouneed.data import kind_of, open_data
from allyouneed.data.batch import IGNORE
from allyouneed.data.chats.batches import encode_chats, pack
from allyouneed.data.chats.files import chats_file, read_chats
from allyouneed.data.chats.labelled_batches import label_texts
from allyouneed.errors import UserError
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.objectives import causal_lm
from allyouneed.tokenizers import CheckpointTokenizer
from allyouneed.tokenizers.subwords import train_subwords

TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]


@pytest.fixture(scope="module")
def tokenizer():
    learned = train_subwords(["what is number 0 1 2 3 4 5 6 7 8 9? it is "] * 3, 60, special=("<end>",))
    return CheckpointTokenizer(learned, {"eos": 0}, (0,), {}, "test")


def some(n):
    return [{"prompt": f"what is {i}? ", "completion": "it is " * (i % 5) + str(i)} for i in range(n)]


def test_both_forms_are_read_and_other_keys_dropped(tmp_path):
    lines = [{"messages": TALK, "id": 3}, {"prompt": "a", "completion": "b", "x": 1}]
    (tmp_path / "c.jsonl").write_text("\ufeff" + "\n\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert read_chats(tmp_path / "c.jsonl") == [{"messages": TALK}, {"prompt": "a", "completion": "b"}]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "a"', "not JSON"),
        ("[1]", "expected a JSON object, found list"),
        ('{"text": "a"}', "it is an object with text"),
        ('{"prompt": "a", "completion": " "}', "the completion is empty"),
        ('{"prompt": 3, "completion": "a"}', "prompt must be a text, got 3"),
        ('{"messages": []}', "at least one message"),
        ('{"messages": [{"content": "a"}]}', "message 1 has no role"),
        ('{"messages": [{"role": "user"}]}', r"message 1 \(user\) has no text"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "no message is the assistant's"),
        ('{"messages": [{"role": "assistant", "content": ""}]}', "an answer of the assistant is empty"),
        ("\xff", "not UTF-8 text"),
    ],
)
def test_a_bad_line_is_named_with_its_number(line, said, tmp_path):
    good = json.dumps({"prompt": "a", "completion": "b"})
    (tmp_path / "c.jsonl").write_bytes(f"{good}\n\n{line}\n".encode("latin-1"))
    with pytest.raises(UserError, match=rf"c.jsonl:3: .*{said}"):
        read_chats(tmp_path / "c.jsonl")


def test_files_that_hold_nothing(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match="holds no conversation"):
        read_chats(tmp_path / "empty.jsonl")
    with pytest.raises(UserError, match=r"cannot read .*missing"):
        read_chats(tmp_path / "missing.jsonl")


def test_a_file_opens_as_data_in_splits_that_share_no_beginning(tmp_path):
    chats = [*some(200), *some(200), *({"prompt": f"what is {i}? ", "completion": "none"} for i in range(200))]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    data = open_data(str(tmp_path / "c.jsonl"), "chats")
    splits = (data.train, data.tune, data.test)
    assert sum(map(len, splits)) == 400  # each once
    prompts = [{chat["prompt"] for chat in split} for split in splits]
    assert not prompts[0] & prompts[1] | prompts[0] & prompts[2] | prompts[1] & prompts[2]
    assert data.version == chats_file(tmp_path / "c.jsonl").version
    (tmp_path / "c.jsonl").write_text(json.dumps(chats[0]))
    with pytest.raises(UserError, match="too few conversations"):
        chats_file(tmp_path / "c.jsonl")
    assert kind_of("sst2") == kind_of("docstring_chats") == "chats"


def test_packing_fills_rows_and_loses_nothing():
    lengths = np.random.default_rng(0).integers(1, 64, size=500).tolist()
    rows = pack(lengths, 64)
    assert sorted(item for row in rows for item in row) == list(range(500))
    filled = [sum(lengths[item] for item in row) for row in rows]
    assert max(filled) <= 64
    assert len(rows) <= 1.1 * sum(lengths) / 64  # in rows of one chat each it would be 1.9


def test_a_packed_batch_scores_as_each_chat_alone(tokenizer):
    chats = some(40)
    model = Decoder(DecoderConfig(vocab_size=tokenizer.vocab_size, positions=Rope(), max_seq_len=64)).double()
    together, alone = encode_chats(chats, tokenizer, 64), [encode_chats([chat], tokenizer, 64) for chat in chats]
    assert len(together) < 20
    packed = [causal_lm(model, batch) for batch in together.batches(4)]
    single = [causal_lm(model, batch) for encoded in alone for batch in encoded.batches(1)]
    torch.testing.assert_close(sum(x.total for x in packed), sum(x.total for x in single), rtol=1e-12, atol=0)
    assert sum(int(x.count) for x in packed) == sum(int(x.count) for x in single) == together.n_scored


def test_targets_follow_their_inputs_within_a_chat(tokenizer):
    batch = next(encode_chats(some(9), tokenizer, 64).batches(9))
    for row in range(len(batch.tokens)):
        for place in range(batch.tokens.shape[1] - 1):
            if batch.targets[row, place] != IGNORE and batch.segments[row, place] == batch.segments[row, place + 1]:
                assert batch.targets[row, place] == batch.tokens[row, place + 1]
    assert int((batch.targets == 0).sum()) == 9  # every answer's end is learned


def test_what_is_too_long_loses_its_end_and_is_counted(tokenizer):
    encoded = encode_chats(some(10), tokenizer, 12)
    assert encoded.width <= 12
    assert encoded.n_cut > 0
    with pytest.raises(ValueError, match="of 10 chats none has an answer within the first 3 tokens"):
        encode_chats(some(10), tokenizer, 3)


def test_every_epoch_has_every_row_once_and_resumes(tokenizer):
    encoded = encode_chats(some(60), tokenizer, 32)
    stream = encoded.stream(4, seed=1)
    first, second = ([next(stream) for _ in range(stream.batches_per_epoch)] for _ in range(2))

    def rows(batches):
        return sorted(tuple(row[row != 0].tolist()) for batch in batches for row in batch.tokens)

    assert rows(first) == rows(second) == rows(encoded.batches(5))
    again = encoded.stream(4, seed=1)
    again.load_state_dict(stream.state_dict())
    assert torch.equal(next(again).tokens, next(stream).tokens)
    with pytest.raises(ValueError, match="another source"):
        encode_chats(some(59), tokenizer, 32).stream(4, seed=1).load_state_dict(stream.state_dict())


def test_labelled_texts_are_drawn_with_their_labels(tokenizer):
    chats = [{"prompt": f"what is {i}?", "completion": "even" if i % 2 == 0 else "odd"} for i in range(50)]
    texts = label_texts(chats, ("even", "odd"), tokenizer, 8)
    stream = texts.stream(7, seed=0)
    drawn = [next(stream) for _ in range(8)]
    pairs = [
        (tokenizer.decode(row[mask].tolist()), int(label))
        for batch in drawn
        for row, mask, label in zip(batch.tokens, batch.mask, batch.labels)
    ]
    shown = [tokenizer.decode(tokenizer.encode(chat["prompt"])[:8]) for chat in chats]
    assert all(length <= 8 for length in texts.texts.lengths)
    if len(set(shown)) == 50:
        assert sorted(pairs) == sorted(zip(shown, [i % 2 for i in range(50)]))
    assert len(pairs) == 50
    with pytest.raises(ValueError, match="'odd'"):
        label_texts(chats, ("even",), tokenizer, 8)
