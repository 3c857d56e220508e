"""Public data sets of questions with what models answered, or with the right answers."""

import csv
import io
import math
from pathlib import Path

from allyouneed.data import registry
from allyouneed.data.answers.answers import Answers, in_splits, log_of
from allyouneed.errors import UserError

# Dollars for a token read and for one written. GPT-4-1106's are those of gpt-4-turbo in FrugalGPT's own price list
# (config/serviceinfo.json); Mixtral's, $0.24 for a million, is RouteLLM's (arXiv:2406.18665, from memory).
PRICES = {"mixtral-8x7b": (0.24e-6, 0.24e-6), "gpt-4-1106": (1e-5, 3e-5)}
_BYTES_A_TOKEN = 4  # of English; the files hold no counts of tokens


def routellm() -> Answers:
    """Mixtral-8x7B's and GPT-4-1106's right and wrong answers to 9,765 questions of MMLU, by RouteLLM.

    The texts of the answers are not kept: each is one letter, and "" here. Groups are the subjects. Costs are those of
    PRICES for a token each four bytes of the question, and one for the answer. Downloads what is not here yet.
    """
    dataset = registry.find("routellm")
    rows = []
    for file in dataset.files:
        subject = Path(file.path).stem.removeprefix("mmlu_")
        for prompt, *right in _table(registry.get_file(dataset, file, progress=True)):
            n_tokens = math.ceil(len(prompt.encode()) / _BYTES_A_TOKEN)
            answers = {
                model: {"text": "", "cost": c_in * n_tokens + c_out, "correct": is_right == "True"}
                for (model, (c_in, c_out)), is_right in zip(PRICES.items(), right, strict=True)
            }
            rows.append({"query": prompt, "answers": answers, "group": subject})
    return in_splits("routellm", log_of(tuple(PRICES), rows))


def headlines() -> Answers:
    """HEADLINES as FrugalGPT's authors give it: 5,000 headlines, each with the direction of the gold price.

    The right answers are "up", "down", "neutral" and "none"; no model has been asked yet. The file is the authors'
    training part. Downloads what is not here yet.
    """
    dataset = registry.find("frugalgpt")
    table = _table(registry.get_file(dataset, dataset.files[0], progress=True), header=False)
    rows = [{"query": prompt.removeprefix("Q: ").removesuffix("\nA:"), "gold": gold} for prompt, gold, _ in table]
    return in_splits("headlines", log_of((), rows))


def _table(path: Path, header: bool = True) -> list[list[str]]:
    """The rows of a CSV file. Raises UserError if one is not as long as the first."""
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    if len({len(row) for row in rows}) != 1:
        raise UserError(f"{path} is not the table that is expected: its rows differ in length")
    return rows[header:]
