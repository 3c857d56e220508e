"""Chat templates: a conversation as the text that a model was trained on.

A template is a Jinja program that came with somebody's checkpoint, so it runs in Jinja's sandbox, in which it can
neither reach Python's inside nor change what it is given. It sees what templates are written for: blocks trimmed,
`break` and `continue`, `raise_exception`, `strftime_now`, and `tojson` that keeps every character as it is.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node, Scope
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from allyouneed.errors import UserError


def render(template: str, variables: Mapping[str, Any], source: str) -> str:
    """`template` filled in. Raises UserError, which names `source`, for a template that cannot be read, does what
    the sandbox forbids, or refuses the conversation."""
    try:
        return _compiled(template).render(**variables)
    except Exception as error:  # A template is a program: it can fail in any way.
        raise UserError(f"the chat template of {source} failed: {error or type(error).__name__}") from error


@lru_cache(maxsize=16)
def _compiled(template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _raise, "strftime_now": _now}
    return environment.from_string(template)


class _Generation(Extension):
    """`{% generation %}...{% endgeneration %}` marks what the model is to learn in training; the text is its inside."""

    tags = {"generation"}  # noqa: RUF012 (so Jinja declares it)

    def parse(self, parser: Parser) -> Node:
        line = next(parser.stream).lineno
        return Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
