"""A user's own preferences: a JSONL file with a pair in each line, of texts or messages.

    {"prompt": "2 + 2 =", "chosen": " 4", "rejected": " 5"}
    {"prompt": [{"role": "user", "content": "Hi"}], "chosen": "Hello!", "rejected": "What?"}

After a prompt of messages an answer is a text or a list of one message, the assistant's.
"""

from pathlib import Path
from typing import Any

from allyouneed.data.json_lines import json_lines
from allyouneed.data.preferences.preferences import PreferencePair, Preferences, in_splits
from allyouneed.errors import UserError

_FORM = '{"prompt": ..., "chosen": ..., "rejected": ...}'


def preferences_file(path: Path) -> Preferences:
    """The pairs of a file in splits; see `in_splits`. Raises UserError as `read_preferences` does."""
    return in_splits(path.name, read_preferences(path))


def read_preferences(path: Path) -> list[PreferencePair]:
    """The pairs of a JSONL file, in its order; other keys are left out.

    Raises UserError for a file that cannot be read or holds nothing, and with file and line for what is no pair.
    """
    pairs = [_pair(values, place) for values, place in json_lines(path)]
    if not pairs:
        raise UserError(f"{path} holds no preference; expected lines {_FORM}")
    return pairs


def _pair(values: dict[str, Any], place: str) -> PreferencePair:
    missing = [key for key in ("prompt", "chosen", "rejected") if key not in values]
    if missing:
        raise UserError(f"{place}: there is no {' and no '.join(missing)}; expected {_FORM}")
    prompt = values["prompt"]
    if isinstance(prompt, list):
        _check_messages(prompt, place)
    elif not isinstance(prompt, str) or not prompt:
        raise UserError(f"{place}: the prompt must be a text or a list of messages, and not empty")
    chosen, rejected = (_answer(values[key], key, isinstance(prompt, list), place) for key in ("chosen", "rejected"))
    if chosen == rejected:
        raise UserError(f"{place}: chosen and rejected are the same text, which prefers nothing")
    return PreferencePair(prompt, chosen, rejected)


def _answer(value: Any, key: str, to_messages: bool, place: str) -> str:
    if to_messages and isinstance(value, list):
        if len(value) != 1 or not isinstance(value[0], dict) or value[0].get("role") != "assistant":
            raise UserError(f"{place}: {key} must be a text or one message, the assistant's")
        value = value[0].get("content")
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{place}: {key} must be a text that is not empty")
    return value


def _check_messages(messages: list[Any], place: str) -> None:
    if not messages:
        raise UserError(f"{place}: the prompt has no message")
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise UserError(f"{place}: message {number} of the prompt has no role")
        if not isinstance(message.get("content"), str):
            raise UserError(f"{place}: message {number} of the prompt ({message['role']}) has no text under content")
    if messages[-1]["role"] == "assistant":
        raise UserError(f"{place}: the prompt ends with the assistant's message; the answers are chosen and rejected")
