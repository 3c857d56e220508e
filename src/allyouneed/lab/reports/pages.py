"""Self-contained HTML pages: one template environment, Markdown and highlighted source.

A page needs no script, no network and nothing beside it, reads well light and dark, and escapes
everything that it is given: a model's sample may well be HTML.
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from allyouneed.lab.reports.summary import chosen, digits

_CODE = "source"


def render(template: str, **values: Any) -> str:
    """A page from one of the templates beside this file."""
    return _environment().get_template(template).render(values)


def markdown(text: str) -> Markup:
    """Markdown as HTML. HTML within it is shown, not obeyed; headings go one level down, below the page's own."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def source(file: Path, anchor: str) -> Markup:
    """A Python file, highlighted, each line with its number and the anchor `{anchor}-{number}`."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    look = HtmlFormatter(cssclass=_CODE, linenos="inline", lineanchors=anchor, anchorlinenos=True)
    return Markup(highlight(file.read_text(encoding="utf-8"), PythonLexer(), look))


def source_style() -> Markup:
    """The style sheet of highlighted source, light and dark."""
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=name, cssclass=_CODE).get_style_defs() for name in ("friendly", "github-dark"))
    return Markup(f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"chosen": chosen, "digits": digits}
    return environment
