"""`allyouneed replicate` on a user's own study, end to end; and `--budget` on the command line."""

import json

import pytest

from allyouneed.lab import replication
from allyouneed.lab.engine import Interrupted
from allyouneed.lab.judging.replication import compare
from allyouneed.lab.reports import records, replications

from ..lab.outcomes import make_outcome
from ..lab.studies import write_coin
from ..lab.test_replication import lucky_salt, write_noise


@pytest.fixture
def coin(cli, tmp_path):
    """A record of the coin study at smoke scale."""
    write_coin(tmp_path)
    assert cli("run", "./coin_study.py", "--scale", "smoke", "--jobs", "2", "--record").code == 0


def test_a_record_that_stands_says_so_in_the_table_on_the_board_and_by_its_exit_code(cli, coin, tmp_path):
    answer = cli("replicate", "./coin_study.py", "--scale", "smoke", "--jobs", "2", "--record")
    assert answer.code == 0
    said = " ".join(answer.out.split())
    assert "coin at smoke scale, recorded" in said
    assert "with seeds 0-5, and now with 6-11" in said
    for words in ("predicted", "C1", "C2", "contradicted", "not comparable", "chance alone", "recorded in"):
        assert words in said
    assert said.count("stands:") == 2
    table = answer.out.split("recorded in")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert "…" not in answer.out
    page = tmp_path / answer.out.split("report  ")[1].split("\n")[0]
    assert "allyouneed replicate ./coin_study.py --scale smoke --seeds 6 --device cpu" in page.read_text()

    rows = json.loads(cli("scoreboard", "--json").out)
    mine = {row["claim"]: row["verdict"] for row in rows if row["paper"] == "coin"}
    assert mine["C1"] == "holds at smoke scale; replicated: stands (6 new seeds)"
    assert mine["C3"] == "not run: no edge in this model"


def test_show_says_what_replicated_a_paper(cli, tmp_path):
    outcome = make_outcome(tmp_path / "run")
    records.record(outcome, None, tmp_path / "results")
    (record,) = records.read_records([tmp_path / "results"])
    replications.write(record, "current", outcome, [compare(j, j) for j in record.judgements])
    assert "replicated:" in cli("show", "rope").out
    mine = next(r for r in json.loads(cli("show", "rope", "--json").out)["records"] if r["file"] == str(record.file))
    assert mine["replicated"]["C1"] == ["replicated: stands (5 new seeds)"]


def test_a_replication_leaves_the_studys_own_report_alone(cli, coin, tmp_path):
    page = cli("report", "coin").out
    text = (tmp_path / page.strip()).read_text()
    cli("replicate", "./coin_study.py", "--scale", "smoke", "--jobs", "2")
    assert cli("report", "coin").out == page
    assert (tmp_path / page.strip()).read_text() == text


def test_json_has_every_number_and_nothing_else_on_stdout(cli, coin):
    answer = cli("replicate", "./coin_study.py", "--scale", "smoke", "--jobs", "2", "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert [claim["outcome"] for claim in values["claims"]] == ["stands", "stands", "not comparable"]
    assert values["seeds"] == list(range(6, 12))
    assert values["record"] is None
    assert len(values["claims"][0]["predicted"]) == 2
    assert "12 trials" in answer.err


def test_a_record_that_falls_ends_with_exit_code_1_and_is_kept_as_well(cli, tmp_path):
    write_noise(tmp_path, 1e-9, lucky_salt(1e-9, range(6)))
    cli("run", "./noise_study.py", "--jobs", "2", "--record")
    answer = cli("replicate", "./noise_study.py", "--jobs", "2", "--record")
    assert answer.code == 1
    assert "does not stand" in answer.out
    assert "Traceback" not in answer.err
    board = " ".join(cli("scoreboard").out.split())
    assert "does not stand" in board


def test_what_failed_is_named_and_not_recorded(cli, tmp_path):
    write_coin(tmp_path, hook="if seed == 7: raise ValueError('rolled away')")
    cli("run", "./coin_study.py", "--scale", "smoke", "--jobs", "2", "--record")
    answer = cli("replicate", "./coin_study.py", "--scale", "smoke", "--jobs", "2", "--record")
    assert answer.code == 1
    assert "rolled away" in answer.out
    assert "nothing was recorded" in answer.err
    assert not (tmp_path / "results" / "coin" / "replications").exists()


def test_another_version_is_said_beside_the_outcome(cli, coin, monkeypatch):
    monkeypatch.setattr(replication.records, "status", lambda record: "not comparable: recorded with torch 1.0")
    answer = cli("replicate", "./coin_study.py", "--scale", "smoke", "--jobs", "2")
    assert answer.code == 0
    assert "the record is not comparable: recorded with torch 1.0" in answer.out


def test_an_interrupted_replication_says_how_to_go_on(cli, monkeypatch):
    def stop(options, display):
        raise Interrupted("stopped after 3 new trials")

    monkeypatch.setattr(replication, "replicate", stop)
    answer = cli("replicate", "rope")
    assert (answer.code, answer.err) == (130, "allyouneed: stopped after 3 new trials\n")


def test_every_option_reaches_the_replication(cli, monkeypatch):
    seen = []

    def note(options, display):
        seen.append(options)
        raise Interrupted("seen")

    monkeypatch.setattr(replication, "replicate", note)
    words = "rope --scale gpu --budget 2h --claims C1,C3 --data tinyshakespeare --device cuda --jobs 3 --out here"
    cli("replicate", *words.split())
    cli("replicate", "rope", "--seeds", "9")
    options = seen[0]
    assert (options.reference, options.scale, options.budget, options.claims) == ("rope", "gpu", "2h", ("C1", "C3"))
    assert (options.data, options.device, options.jobs, str(options.out)) == ("tinyshakespeare", "cuda", 3, "here")
    assert seen[1].seeds == 9


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("replicate", "roep"), 1, "Did you mean rope?"),
        (("replicate", "coin_study.py"), 1, "allyouneed run coin_study.py --scale laptop --record"),
        (("replicate", "coin_study.py", "--record", "--claims", "C1"), 2, "--record"),
        (("replicate", "coin_study.py", "--seeds", "0"), 2, "--seeds"),
        (("replicate",), 2, "SLUG_OR_FILE"),
        (("run", "coin_study.py", "--budget", "soon"), 1, "--budget soon: give a time like 8h"),
        (("run", "coin_study.py", "--budget", "8h", "--seeds", "3"), 1, "leave out --seeds"),
        (("run", "coin_study.py", "--budget", "0.1s"), 1, "2 seeds, the fewest that say anything, take"),
    ],
)
def test_bad_input_ends_in_a_clear_message_and_its_exit_code(cli, tmp_path, words, code, said):
    write_coin(tmp_path)
    answer = cli(*words)
    assert answer.code == code
    assert said in answer.err
    assert "Traceback" not in answer.err
    if code == 1:
        assert len(answer.err.splitlines()) == 1


def test_a_budget_is_decided_and_said_first(cli, tmp_path):
    write_coin(tmp_path)
    answer = cli("run", "coin_study.py", "--scale", "smoke", "--jobs", "2", "--budget", "1s", "--json")
    assert answer.code == 0
    # 0.01 minutes on 2 cores for 6 seeds: 0.2 s a seed, and smoke runs do not tune.
    assert answer.err.startswith("budget 1s: 10 seeds (")
    values = json.loads(answer.out)
    assert values["seeds"] == list(range(10))
