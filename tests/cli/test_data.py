"""`data list` and `data get`."""

import json


def test_list_has_the_built_in_texts_and_the_public_sets(cli):
    answer = cli("data", "list")
    assert answer.code == 0
    assert "tinyshakespeare" in answer.out
    sets = {entry["name"]: entry for entry in json.loads(cli("data", "list", "--json").out)}
    assert sets["python_code"]["status"] == "built in"
    assert sets["tinyshakespeare"]["licence"]


def test_an_unknown_data_set_gives_the_nearest_names(cli):
    answer = cli("data", "get", "tinyshakespear")
    assert answer.code == 1
    assert "tinyshakespeare" in answer.err
    assert len(answer.err.splitlines()) == 1
