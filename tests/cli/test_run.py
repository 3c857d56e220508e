"""`allyouneed run` on a user's own study, end to end, and everything it must refuse."""

import json

import pytest

from allyouneed.lab import engine

from ..lab.studies import write_coin


def test_a_users_study_runs_to_verdicts_a_report_and_a_record(cli, tmp_path):
    write_coin(tmp_path)
    answer = cli("run", "./coin_study.py", "--jobs", "2", "--record")
    assert answer.code == 0
    for words in ("C1", "holds", "contradicted", "not run", "coin at laptop scale: 1 holds", "first flips", "heads"):
        assert words in answer.out
    assert "\x1b[" not in answer.out
    assert max(map(len, answer.out.splitlines())) <= 80
    page = tmp_path / answer.out.split("report  ")[1].split("\n")[0]
    assert page.read_text().startswith("<!doctype html>")
    assert (tmp_path / "results" / "coin" / "laptop.json").is_file()
    assert cli("scoreboard").out.splitlines()[0].strip().endswith(": current")

    again = cli("run", "./coin_study.py", "--json")
    assert again.code == 0
    assert "reused" in again.err
    values = json.loads(again.out)
    assert [j["word"] for j in values["judgements"]] == ["holds", "contradicted", "not run"]
    assert {tuned["source"] for tuned in values["tuned"]} == {"recorded"}
    assert (tmp_path / values["report"]).samefile(page)


def test_a_failed_trial_is_named_and_the_exit_code_says_so(cli, tmp_path):
    write_coin(tmp_path, hook="if seed == 1: raise RuntimeError('the coin rolled away')")
    answer = cli("run", "coin_study.py", "--scale", "smoke", "--jobs", "2")
    assert answer.code == 1
    assert "toss · fair · seed 1: RuntimeError: the coin rolled away" in " ".join(answer.out.split())


def test_a_run_of_which_nothing_is_left_still_reports(cli, tmp_path):
    write_coin(tmp_path, hook="raise RuntimeError('no coin')")
    answer = cli("run", "coin_study.py", "--scale", "smoke", "--seeds", "2", "--jobs", "2")
    assert answer.code == 1
    assert "0 claims tested" in answer.out
    assert (tmp_path / answer.out.split("report  ")[1].strip()).is_file()


def test_an_interrupted_run_says_how_to_go_on(cli, monkeypatch):
    def stop(options, display):
        raise engine.Interrupted("stopped after 3 new trials")

    monkeypatch.setattr(engine, "run_study", stop)
    answer = cli("run", "rope")
    assert (answer.code, answer.err) == (130, "allyouneed: stopped after 3 new trials\n")


def test_every_option_reaches_the_engine(cli, monkeypatch):
    seen = []

    def note(options, display):
        seen.append(options)
        raise engine.Interrupted("seen")

    monkeypatch.setattr(engine, "run_study", note)
    words = "rope --scale gpu --seeds 9 --claims C1,C3 --data tinyshakespeare --device cuda --jobs 3 --out here"
    cli("run", *words.split(), "--set", "a=1", "--set", "b=x=y", "--arm", "mine=f.py:C", "--retune", "--grid", "lr=1,2")
    options = seen[0]
    assert (options.reference, options.scale, options.seeds, options.claims) == ("rope", "gpu", 9, ("C1", "C3"))
    assert (options.data, options.device, options.jobs, str(options.out)) == ("tinyshakespeare", "cuda", 3, "here")
    assert (options.overrides, options.arms) == ({"a": "1", "b": "x=y"}, {"mine": "f.py:C"})
    assert (options.retune, options.grid) == (True, {"lr": "1,2"})


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("roep",), 1, "Did you mean rope?"),
        (("./nothing.py",), 1, "there is no file"),
        (("coin_study.py", "--scale", "huge"), 1, "no scale 'huge'"),
        (("coin_study.py", "--set", "flops=3"), 1, "no value 'flops'"),
        (("coin_study.py", "--claims", "C9"), 1, "no claim C9"),
        (("coin_study.py", "--device", "abacus"), 1, "expected auto, cpu or cuda"),
        (("rope", "--set", "max_steps"), 2, "expected name=value"),
        (("rope", "--arm", "=x.py:C"), 2, "expected name=value"),
        (("rope", "--seeds", "0"), 2, "--seeds"),
        (("rope", "--record", "--set", "a=1"), 2, "--record"),
        (("rope", "--frob"), 2, "--frob"),
        ((), 2, "SLUG_OR_FILE"),
    ],
)
def test_bad_input_ends_in_a_clear_message_and_its_exit_code(cli, tmp_path, words, code, said):
    write_coin(tmp_path)
    answer = cli("run", *words)
    assert answer.code == code
    assert said in answer.err
    assert "Traceback" not in answer.err
    if code == 1:
        assert len(answer.err.splitlines()) == 1


def test_a_study_file_with_a_fault_is_named(cli, tmp_path):
    (tmp_path / "faulty.py").write_text("1 / 0\n")
    answer = cli("run", "faulty.py")
    assert answer.code == 1
    assert "faulty.py could not be imported: ZeroDivisionError" in answer.err


def test_a_failure_at_a_smaller_size_costs_neither_the_record_nor_the_exit_code(cli, tmp_path):
    file = write_coin(tmp_path, hook="assert scale.flips != 200, 'too few'")
    text = file.read_text().replace("seeds: int = 6\n", "seeds: int = 6\n    smaller: tuple = ()\n")
    text = text.replace("Scale(400)", "Scale(400, smaller=({'flips': 200},))").replace(
        'Table 1)")', 'Table 1)", trend=True)'
    )
    file.write_text(text)
    answer = cli("run", "coin_study.py", "--jobs", "2", "--record", "--json")
    assert answer.code == 0
    values = json.loads(answer.out)
    assert {f["size"] for f in values["failures"]} == {"flips 200"}
    assert (tmp_path / values["record"]).is_file()
