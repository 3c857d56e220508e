"""The page and the file that a fine-tuning leaves beside what it trained."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from allyouneed.adaptation.finetuning import Answered
from allyouneed.data.cache import atomic_write

PAGE, FACTS = "report.md", "finetune.json"


def write_report(folder: Path, facts: Mapping[str, Any], answers: Sequence[Answered], commands: Sequence[str]) -> Path:
    """Write report.md and finetune.json; returns the page."""
    values = {**facts, "answers": [vars(answer) for answer in answers], "next": list(commands)}
    atomic_write(folder / FACTS, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())
    atomic_write(folder / PAGE, _page(facts, answers, commands).encode())
    return folder / PAGE


def _page(facts: Mapping[str, Any], answers: Sequence[Answered], commands: Sequence[str]) -> str:
    lines = ["# Fine-tuning", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {_said(value)} |" for name, value in facts.items()]
    lines += ["", "## Held-out answers, before and after", ""]
    for answer in answers:
        texts = {"asked": answer.question, "expected": answer.expected, "before": answer.before, "after": answer.after}
        lines += [f"**{name}**\n{_quoted(text)}\n" for name, text in texts.items()] + ["---", ""]
    return "\n".join([*lines, "## Next", "", *(f"    {command}" for command in commands), ""])


def _said(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")


def _quoted(text: str) -> str:
    """A block of text that nothing in it can end."""
    return "\n".join(f"    {line}" for line in text.split("\n"))
