"""Measures against trec_eval itself (pytrec_eval), and by hand."""

import numpy as np
import pytest
import pytrec_eval

from allyouneed.retrieval import measures

KS = (1, 3, 10)


def draw(seed, n_queries=40, n_passages=60, longest=30):
    """Rankings with ties and judgements with grades; some queries without hits, some without judgements."""
    random = np.random.default_rng(seed)
    runs, judged = [], []
    for _ in range(n_queries):
        found = random.choice(n_passages, size=random.integers(0, longest), replace=False).tolist()
        runs.append({number: int(random.integers(0, 6)) for number in found})
        some = random.choice(n_passages, size=random.integers(0, 12), replace=False).tolist()
        judged.append({number: int(random.integers(-1, 4)) for number in some})
    return runs, judged


def as_trec_ranks(run):
    """Best score first, ties by the name of the document, the last in the alphabet first."""
    return sorted(sorted(run, key=lambda number: f"d{number:03}", reverse=True), key=lambda number: -run[number])


def as_rows(rankings):
    width = max(map(len, rankings))
    return np.array([[*ranking, *[-1] * (width - len(ranking))] for ranking in rankings])


def by_trec_eval(runs, judged):
    names = {"ndcg_cut", "recip_rank", "recall", "map", "success"}
    cuts = {f"{n}.{','.join(map(str, KS))}" if n in ("ndcg_cut", "recall", "success") else n for n in names}
    qrels = {f"q{i}": {f"d{n:03}": g for n, g in of_query.items()} for i, of_query in enumerate(judged)}
    run = {f"q{i}": {f"d{n:03}": float(s) for n, s in of_query.items()} for i, of_query in enumerate(runs)}
    return pytrec_eval.RelevanceEvaluator(qrels, cuts).evaluate(run)


@pytest.mark.parametrize("seed", range(5))
def test_every_measure_is_trec_evals(seed):
    runs, judged = draw(seed)
    theirs = by_trec_eval(runs, judged)
    ids = as_rows([as_trec_ranks(run) for run in runs])
    ours = {"map": measures.average_precision(ids, judged), "recip_rank": measures.reciprocal_rank(ids, judged)}
    for k in KS:
        ours[f"ndcg_cut_{k}"] = measures.ndcg(ids, judged, k)
        ours[f"recall_{k}"] = measures.recall(ids, judged, k)
        ours[f"success_{k}"] = measures.accuracy(ids, judged, k)
    assert len(theirs) > 30
    for name, values in ours.items():
        for i, value in enumerate(values):
            # a query that found nothing is missing there, and counts 0 in a mean over all queries
            assert value == pytest.approx(theirs.get(f"q{i}", {}).get(name, 0.0), abs=1e-12), (name, i)


def test_by_hand():
    ids = np.array([[4, 2, 9], [1, -1, -1]])
    judged = [{2: 2, 7: 1, 9: 0}, {3: 1}]
    assert measures.first_rank(ids, judged).tolist() == [2.0, np.inf]
    assert measures.ndcg(ids, judged, 3)[0] == pytest.approx((2 / np.log2(3)) / (2 + 1 / np.log2(3)))
    assert measures.recall(ids, judged, 3).tolist() == [0.5, 0.0]
    assert measures.average_precision(ids, judged).tolist() == [0.25, 0.0]
    assert measures.accuracy(ids, judged, 1).tolist() == [0.0, 0.0]


def test_documents_stand_where_their_first_passage_does():
    ids = np.array([[3, 0, 2, 1], [1, -1, -1, -1]])
    assert measures.by_document(ids, [5, 5, 7, 7]).tolist() == [[7, 5, -1, -1], [5, -1, -1, -1]]


def test_what_is_no_ranking_is_refused():
    with pytest.raises(ValueError, match="one passage twice"):
        measures.recall(np.array([[1, 1]]), [{1: 1}], 2)
    with pytest.raises(ValueError, match="judgements for 2"):
        measures.recall(np.array([[1, 2]]), [{1: 1}, {}], 2)
