"""The live display of a run in a notebook: one output that is drawn anew in place, and stays as it ends.

rich's own display needs ipywidgets there, and without them shows nothing. This one needs only what every
kernel has: an output with an id, whose content can be replaced.
"""

import importlib
import io
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from allyouneed.lab.reports.display import LiveDisplay

SECONDS = 0.5  # between two drawings
WIDTH = 100
PAGE = '<pre style="white-space:pre-wrap;line-height:1.3;margin:0">{code}</pre>'


def is_notebook() -> bool:
    """Whether this process is a notebook's kernel; IPython in a terminal is none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class NotebookDisplay(LiveDisplay):
    """What was said, and below it how the run stands; when it ends, how far it got."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO(), width=WIDTH, force_jupyter=False))
        self.kept: list[Text] = []
        self.standing: Callable[[], RenderableType] = Group
        self.drawn = 0.0
        self.output: Any = None

    def keep(self, text: Text) -> None:
        self.kept.append(text)
        self._draw()

    def begin(self) -> None:
        self.standing = self.picture

    def waiting(self) -> None:
        self._draw()

    def close(self) -> None:
        if self.total:
            self.standing = lambda: self.bar
        self._draw(at_once=True)

    def _draw(self, at_once: bool = False) -> None:
        """Replace the output by one that is current, unless that was done a moment ago."""
        if not at_once and time.monotonic() - self.drawn < SECONDS:
            return
        self.drawn = time.monotonic()
        bundle = _bundle(Group(*self.kept, self.standing()))
        if self.output is None:
            display = importlib.import_module("IPython.display").display
            self.output = display(bundle, raw=True, display_id=True)
        else:
            self.output.update(bundle, raw=True)


def _bundle(picture: RenderableType) -> dict[str, str]:
    """One picture for those who read HTML and those who read text."""
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_jupyter=False, highlight=False)
    console.print(picture)
    return {
        "text/html": console.export_html(inline_styles=True, code_format=PAGE, clear=False),
        "text/plain": console.export_text(),
    }
