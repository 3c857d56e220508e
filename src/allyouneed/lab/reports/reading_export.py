"""The reading list with the user's progress, as rows: for a table, for JSON, and for files that other programs read."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from allyouneed.lab.progress import Progress, Status
from allyouneed.lab.reading_list import Item


def rows(items: Mapping[str, Item], progress: Mapping[str, Progress]) -> list[dict[str, Any]]:
    """A row an item, in the list's order, with status, date and note.

    Progress with items that this version's list does not have comes last, its other fields empty.
    """
    unknown = {"kind": "", "title": "", "by": "", "url": "", "lists": ()}
    known = {key: asdict(item) for key, item in items.items()}
    return [
        known.get(key, {"key": key} | unknown) | asdict(progress.get(key, Progress())) for key in {**known, **progress}
    ]


def counted(rows: Iterable[dict[str, Any]]) -> str:
    """`12 of 109 read, 3 being read`."""
    statuses = [row["status"] for row in rows]
    return f"{statuses.count('read')} of {len(statuses)} read, {statuses.count('reading')} being read"


def to_csv(rows: list[dict[str, Any]]) -> str:
    """A table with a header; the lists of an item are joined by `; `."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(row | {"lists": "; ".join(row["lists"])} for row in rows)
    return text.getvalue()


def to_markdown(rows: list[dict[str, Any]]) -> str:
    """A checklist, the notes quoted under their items."""
    return "\n".join(["# Reading list", "", f"{counted(rows)}.", "", *map(_checked, rows)]) + "\n"


def _checked(row: dict[str, Any]) -> str:
    title = _escaped(row["title"] or row["key"])
    linked = f"[{title}](<{row['url']}>)" if row["url"] else title
    by = f", {_escaped(row['by'])}" if row["by"] else ""
    since = f" ({row['status']} {row['since']})" if row["since"] else ""
    note = "".join(f"\n  > {_escaped(line)}" for line in row["note"].splitlines())
    return f"- [{'x' if row['status'] == Status.READ else ' '}] {linked}{by}{since}{note}"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)
