"""`data list` and `data get`."""

import json

from allyouneed.data import list_datasets
from allyouneed.data.open import KINDS


def test_list_has_the_built_in_texts_and_the_public_sets(cli):
    answer = cli("data", "list")
    assert answer.code == 0
    assert "tinyshakespeare" in answer.out
    sets = {entry["name"]: entry for entry in json.loads(cli("data", "list", "--json").out)}
    assert sets["python_code"]["status"] == "built in"
    assert sets["tinyshakespeare"]["licence"]


def test_list_has_everything_that_a_study_opens_by_its_name(cli):
    sets = {entry["name"]: entry for entry in json.loads(cli("data", "list", "--json").out)}
    assert {name for name, entry in sets.items() if entry["kind"] == "pairs"} == {
        "number_words",
        "date_words",
        "multi30k",
    }
    assert sets["sentence-classification"]["kind"] == "chats"
    held = {name for dataset in list_datasets() for name in dataset.holds}
    for kind in KINDS.values():
        assert set(kind.named) <= sets.keys() | held
    out = cli("data", "list").out
    assert all(name in out for name in sets)


def test_an_unknown_data_set_gives_the_nearest_names(cli):
    answer = cli("data", "get", "tinyshakespear")
    assert answer.code == 1
    assert "tinyshakespeare" in answer.err
    assert len(answer.err.splitlines()) == 1
