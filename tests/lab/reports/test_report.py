"""The report: everything on it, nothing from outside, nothing obeyed that should be shown."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from allyouneed.errors import UserError
from allyouneed.lab.judging.evidence import Evidence
from allyouneed.lab.outcome import Failure
from allyouneed.lab.reports import report, saved, summary
from allyouneed.lab.reports.interval_plot import interval_plot

from ..outcomes import make_outcome, study


class Page(HTMLParser):
    """Collects a page's text, tags and addresses, and checks that tags close."""

    VOID = frozenset({"meta", "img", "source", "br", "hr", "link", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "srcset", "href") and tag != "a"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return make_outcome(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(outcome) -> Page:
    return Page(report.write(outcome).read_text())


def test_every_claim_stands_there_with_its_verdict_and_scale(page, outcome):
    for judgement in outcome.judgements:
        assert judgement.statement in page.text
        assert judgement.paper in page.text
    assert "holds at laptop scale" in page.text
    assert "contradicted at laptop scale" in page.text
    assert "the corpus may not be shared" in page.text
    assert "language modelling instead of translation" in page.text
    assert str(outcome.judgements[0].evidence) in page.text
    assert "3 claims tested" in page.text


def test_nothing_comes_from_outside(page):
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)


def test_the_sheet_asks_for_nothing_either(outcome):
    style = re.search("<style>(.*?)</style>", report.render(outcome, [], ""), re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "prefers-color-scheme: dark" in style[1]
    assert "@media print" in style[1]


def test_html_in_a_sample_or_a_failure_is_shown_not_obeyed(tmp_path):
    hostile = "<img src=http://example.com/x onerror=alert(1)></pre><script>alert(1)</script>"
    changed = {
        "sample": ("a <b>label</b>", hostile),
        "failures": [Failure("train", "<i>arm</i>", 0, hostile)],
        "notes": [hostile],
    }
    page = Page(report.render(make_outcome(tmp_path, **changed), [], hostile))
    assert "script" not in page.tags
    assert "i" not in page.tags
    assert page.text.count("onerror=alert(1)") == 4


def test_tuning_gates_command_and_provenance_stand_there(page):
    for words in (
        "lr=0.003",
        "lies on the edge of its grid",
        "a byte trigram model",
        "✓ passed",
        "torch 2.13.0",
        "python_code",
    ):
        assert words in page.text
    assert "allyouneed run rope --scale laptop --device cpu" in page.text


def test_shared_artifacts_and_later_seeds_are_owned_up_to(outcome, monkeypatch):
    assert "Artifacts" not in report.provenance(outcome)
    shared = replace(study.trials["train"], shared_artifacts=True)
    monkeypatch.setitem(study.trials, "train", shared)
    rows = report.provenance(replace(outcome, extended_from=3))
    assert "given one base" in rows["Artifacts"]
    assert rows["Seeds"] == "0-4 (extended from n=3)"


def test_arms_that_did_not_learn_are_named(tmp_path):
    outcome = make_outcome(tmp_path, floors={"sinusoidal": 3.0, "learned": 1.5, "rope": 1.4})
    page = Page(report.render(outcome, [], ""))
    assert "sinusoidal did not learn" in page.text
    stopped = [j.id for j in outcome.judgements if j.verdict == "inconclusive: sinusoidal did not learn"]
    assert stopped == ["C1", "C2"]  # C3 never reads it


def test_figures_lie_beside_the_page_in_both_themes(outcome, page):
    for name in study.figures:
        for file in (f"{name}.png", f"{name}-dark.png"):
            assert (outcome.folder / file).read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_fails_is_named_and_the_report_stands(tmp_path, monkeypatch):
    def broken(m):
        raise KeyError("no such thing")

    monkeypatch.setattr(study, "figures", {"broken": broken})
    page = Page(report.write(make_outcome(tmp_path)).read_text())
    assert "broken could not be drawn: KeyError: 'no such thing'" in page.text


def test_a_study_without_notes_or_sample_has_a_report(tmp_path):
    outcome = make_outcome(tmp_path, sample=None, data=None, tuned=[])
    outcome.study.paper, paper = "my_own", outcome.study.paper
    try:
        page = Page(report.render(outcome, [], ""))
    finally:
        outcome.study.paper = paper
    assert "my_own" in page.text
    assert "Notes on the paper" not in page.text


def test_the_table_has_every_number_once(outcome, page):
    with (outcome.folder / "measurements.csv").open() as file:
        rows = list(csv.DictReader(file))
    m = outcome.measurements["train"]
    assert len(rows) == len({(r["arm"], r["seed"], r["measurement"], r["index"]) for r in rows}) == 5 * 3 * 5
    mine = [float(r["value"]) for r in rows if (r["arm"], r["measurement"]) == ("rope", "test_loss")]
    assert mine == m.values("test_loss", "rope").tolist()


def test_an_outcome_survives_its_file(outcome, page):
    values = json.loads((outcome.folder / saved.FILE).read_text())
    again = saved.from_dict(values, study, outcome.folder)
    assert saved.to_dict(again) == saved.to_dict(outcome)
    assert again.judgements == outcome.judgements
    assert again.tuned == outcome.tuned
    assert report.render(again, [], "again") == report.render(outcome, [], "again")


def test_numbers_that_are_none_survive_too(tmp_path):
    outcome = make_outcome(tmp_path)
    first = next(iter(outcome.tuned))
    diverged = replace(outcome, tuned=[replace(first, tried=(({"lr": 0.1}, float("inf")),))])
    saved.write(diverged)
    values = json.loads((tmp_path / saved.FILE).read_text())
    assert saved.from_dict(values, study, tmp_path).tuned[0].tried == (({"lr": 0.1}, float("inf")),)


def test_a_folder_without_a_run_or_with_a_broken_one_is_refused(tmp_path):
    with pytest.raises(UserError, match="no finished run"):
        saved.read(tmp_path)
    (tmp_path / saved.FILE).write_text('{"paper": "ro')
    with pytest.raises(UserError, match="damaged"):
        saved.read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": [0, 1, 2]}, "--seeds 3"),
        ({"data": ("my text/", "ab")}, "--data 'my text/'"),
        ({"overrides": {"max_steps": "9"}}, "--set max_steps=9"),
        ({"device": "cuda"}, "--device cuda"),
    ],
)
def test_the_command_says_what_differs_from_the_default(tmp_path, changes, words):
    outcome = make_outcome(tmp_path)
    assert words not in summary.command(outcome)
    assert words in summary.command(replace(outcome, **changes))


def test_the_command_names_the_claims_if_not_all_were_judged(tmp_path):
    outcome = make_outcome(tmp_path)
    assert "--claims C1" in summary.command(replace(outcome, judgements=outcome.judgements[:1]))
    assert "--arm mine=./a.py:B" in summary.command(outcome, {"mine": "./a.py:B"})


def evidence(low, high, claimed):
    return Evidence(
        (low + high) / 2, low, high, 5, "seeds", 0.95, "in words", "holds", 0.1, (low, high), claimed=claimed
    )


def test_the_interval_stands_right_of_the_bar_if_it_lies_above():
    plot = interval_plot(evidence(0.1, 0.3, (0, float("inf"))))
    assert plot.bars[0].x < plot.low < plot.middle < plot.high < plot.claimed[1]
    assert plot.claimed[0] == plot.bars[0].x


def test_an_exact_claim_has_no_picture():
    exact = Evidence(0.0, None, None, 9, "exact", 0.95, "within ±1e-06", "holds", None, (0.0,))
    assert interval_plot(exact) is None
