"""Preferences from files: both forms, splits that share no beginning, and bad lines named by file and line."""

import gzip
import hashlib
import json

import pytest

from allyouneed.data import datasets, open_data, registry
from allyouneed.data.preferences.files import read_preferences
from allyouneed.data.preferences.preferences import PreferencePair, in_splits
from allyouneed.errors import UserError

PAIR = {"prompt": "2 + 2 =", "chosen": " 4", "rejected": " 5"}
HI = [{"role": "user", "content": "Hi"}]


def write(folder, *lines):
    path = folder / "pairs.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_texts_and_messages(tmp_path):
    said = [{"role": "assistant", "content": "Hello!"}]
    path = write(tmp_path, PAIR | {"id": 7}, "", {"prompt": HI, "chosen": said, "rejected": "What?"})
    first, second = read_preferences(path)
    assert first == PreferencePair("2 + 2 =", " 4", " 5")
    assert first.chats[1] == {"prompt": "2 + 2 =", "completion": " 5"}
    assert second.chats[0] == {"messages": [*HI, *said]}
    assert second.chats[1]["messages"][-1] == {"role": "assistant", "content": "What?"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "x", ', "not JSON"),
        ("[1]", "expected a JSON object, found list"),
        ({"prompt": "x", "chosen": "y"}, "there is no rejected"),
        ({"chosen": "y", "rejected": "z"}, "there is no prompt"),
        (PAIR | {"prompt": 3}, "the prompt must be"),
        (PAIR | {"prompt": ""}, "the prompt must be"),
        (PAIR | {"prompt": []}, "no message"),
        (PAIR | {"prompt": [{"content": "x"}]}, "message 1 of the prompt has no role"),
        (PAIR | {"prompt": [*HI, {"role": "user"}]}, "message 2 of the prompt (user) has no text"),
        (PAIR | {"prompt": [{"role": "assistant", "content": "x"}]}, "ends with the assistant's"),
        (PAIR | {"chosen": "  "}, "chosen must be a text"),
        (PAIR | {"rejected": HI}, "rejected must be a text"),
        ({"prompt": HI, "chosen": HI, "rejected": "x"}, "chosen must be a text or one message"),
        (PAIR | {"rejected": " 4"}, "the same text"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, line, said):
    path = write(tmp_path, PAIR, "", line)
    with pytest.raises(UserError, match=r"pairs.jsonl:3: ") as error:
        read_preferences(path)
    assert said in str(error.value)


def test_files_that_hold_nothing_or_are_not_there(tmp_path):
    with pytest.raises(UserError, match="holds no preference"):
        read_preferences(write(tmp_path))
    with pytest.raises(UserError, match="cannot read"):
        read_preferences(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xe4"}\n')
    with pytest.raises(UserError, match=r"latin.jsonl:1: not UTF-8"):
        read_preferences(tmp_path / "latin.jsonl")


def test_what_begins_alike_shares_a_split_and_nothing_counts_twice():
    pairs = [
        PreferencePair(f"\n\nHuman: {i}\n\nAssistant: Hm.{n * 'x'}\n\nAssistant:", "y", "z")
        for i in range(4000)
        for n in (0, 3)
    ]
    data = in_splits("dialogues", [*pairs, *pairs])
    sizes = [len(split) for split in (data.train, data.tune, data.test)]
    assert sum(sizes) == len(pairs)
    assert [size / len(pairs) for size in sizes] == pytest.approx([0.7, 0.1, 0.2], abs=0.03)
    begins = [
        {pair.prompt.split("\n\nAssistant:")[0] for pair in split} for split in (data.train, data.tune, data.test)
    ]
    assert not begins[0] & begins[1]
    assert not begins[0] & begins[2]
    assert not begins[1] & begins[2]
    assert in_splits("dialogues", pairs).version == data.version
    assert in_splits("dialogues", pairs[1:]).version != data.version


def test_hh_rlhf_is_cut_at_the_last_answer(tmp_path, monkeypatch):
    before = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    lines = [{"chosen": before + " yes", "rejected": before + " no"}]
    lines += [{"chosen": before + " yes", "rejected": "\n\nHuman: d\n\nAssistant: no"}]
    packed = gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode())
    file = datasets.File("some.jsonl.gz", "http://nowhere.invalid/", len(packed), hashlib.sha256(packed).hexdigest())
    dataset = datasets.Dataset("hh-rlhf", (file,), "MIT", "")
    monkeypatch.setattr(registry, "DATASETS", (dataset,))
    monkeypatch.setenv("ALLYOUNEED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALLYOUNEED_DATA", str(tmp_path))
    (tmp_path / "hh-rlhf").mkdir()
    (tmp_path / "hh-rlhf" / "some.jsonl.gz").write_bytes(packed)
    data = open_data("hh-rlhf", "preferences")
    assert [*data.train, *data.tune, *data.test] == [PreferencePair(before, " yes", " no")]
