"""`data list` and `data get`."""

import json


def test_list_has_the_built_in_texts_and_the_public_sets(cli):
    answer = cli("data", "list")
    assert answer.code == 0
    assert "tinyshakespeare" in answer.out
    sets = {entry["name"]: entry for entry in json.loads(cli("data", "list", "--json").out)}
    assert sets["python_code"]["status"] == "built in"
    assert sets["tinyshakespeare"]["licence"]


def test_list_tells_pairs_from_text_and_counts_them(cli):
    out = cli("data", "list").out
    sets = {entry["name"]: entry for entry in json.loads(cli("data", "list", "--json").out)}
    assert {name for name, entry in sets.items() if entry["kind"] == "pairs"} == {
        "number_words",
        "date_words",
        "multi30k",
    }
    for name, size in (("number_words", 55_700), ("date_words", 22_000)):
        assert sets[name]["pairs"] == size
        assert f"{size:,} pairs" in out


def test_an_unknown_data_set_gives_the_nearest_names(cli):
    answer = cli("data", "get", "tinyshakespear")
    assert answer.code == 1
    assert "tinyshakespeare" in answer.err
    assert len(answer.err.splitlines()) == 1
