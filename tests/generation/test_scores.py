"""Scores of what was written: known values, and sacrebleu's own command."""

import math
import subprocess
import sys

import pytest

from allyouneed.errors import MissingExtra
from allyouneed.generation import bleu, exact_match

WRITTEN = ["The cat sat on the mat, didn't it?", "It costs $3.50 (or so).", "a b c d e f", "Nothing alike"]
REFERENCES = ["The cat sat on a mat, didn't it?", "It costs $3.50, or so.", "a b c d e g", "quite other words"]


def test_a_perfect_translation_scores_100_and_one_without_a_common_word_0():
    assert bleu(REFERENCES, REFERENCES) == pytest.approx(100)
    assert bleu(["q r s t"], ["a b c d"]) == 0


def test_it_is_the_geometric_mean_of_precisions_times_the_brevity_penalty():
    # Of the 5 words, 4 pairs, 3 triples and 2 quadruples that were written all but the last of each are right,
    # and the reference is one word longer.
    expected = 100 * math.exp(1 - 6 / 5) * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert bleu(["a b c d x"], ["a b c d e f"]) == pytest.approx(expected)


def test_it_counts_over_the_corpus_and_not_by_sentence():
    both = bleu(["a b c d e", "f g"], ["a b c d e", "h i"])
    # 5 of 7 words, 4 of 5 pairs, all triples and quadruples
    assert both == pytest.approx(100 * (5 / 7 * 4 / 5) ** 0.25)


def test_case_counts_and_punctuation_is_a_word_of_its_own():
    assert bleu(["A b c d"], ["a b c d"]) < 100
    assert bleu(["a b c d."], ["a b c d ."]) == pytest.approx(100)


def test_it_is_what_sacrebleus_command_prints(tmp_path):
    (tmp_path / "written").write_text("\n".join(WRITTEN) + "\n")
    (tmp_path / "references").write_text("\n".join(REFERENCES) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "references", "-i", "written", "-m", "bleu", "-w", "12", "-b"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert 0 < bleu(WRITTEN, REFERENCES) < 100
    assert bleu(WRITTEN, REFERENCES) == pytest.approx(float(printed), abs=1e-11)  # the digits asked for


def test_an_exact_match_is_every_character():
    assert exact_match(["one", "two", "Two", "two "], ["one", "two", "two", "two"]) == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("score", [bleu, exact_match])
@pytest.mark.parametrize(("written", "references"), [([], []), (["a"], ["a", "b"])])
def test_sentences_without_a_reference_are_an_error(score, written, references):
    with pytest.raises(ValueError, match=f"got {len(written)} sentences and {len(references)} references"):
        score(written, references)


def test_without_sacrebleu_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(MissingExtra, match=r"allyouneed\[translation\]"):
        bleu(WRITTEN, REFERENCES)
