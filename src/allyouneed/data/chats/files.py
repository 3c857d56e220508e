"""A user's own conversations: a JSONL file.

A line is an object of one of two forms:

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}
    {"prompt": "2 + 2 =", "completion": " 4"}
"""

import json
from pathlib import Path
from typing import Any

from allyouneed.data.chats.chats import Chat, Chats
from allyouneed.data.documents import split_of
from allyouneed.data.json_lines import json_lines
from allyouneed.errors import UserError


def chats_file(path: Path) -> Chats:
    """The conversations of a file: about 90 % train, 5 % tune, 5 % test, by the hash of their first text.

    So those that begin alike share a split, and stay there when others come or go. One counts once. Raises UserError
    as `read_chats`, and for too few conversations.
    """
    splits: dict[str, list[Chat]] = {"train": [], "tune": [], "test": []}
    each = {json.dumps(chat, sort_keys=True): chat for chat in read_chats(path)}
    for chat in each.values():
        splits[split_of(chat["messages"][0]["content"] if "messages" in chat else chat["prompt"])].append(chat)
    for name, split in splits.items():
        if not split:
            raise UserError(f"{path} has too few conversations: none falls into the {name} split")
    return Chats(path.name, splits["train"], splits["tune"], splits["test"])


def read_chats(path: Path) -> list[Chat]:
    """The conversations of a JSONL file, empty lines left out; keys that mean nothing here are dropped.

    Raises UserError, with file and line, for what is not one of the two forms or has no answer.
    """
    chats = [_chat(values, place) for values, place in json_lines(path)]
    if not chats:
        raise UserError(f"{path} holds no conversation")
    return chats


def _chat(values: Chat, place: str) -> Chat:
    if not ("messages" in values or {"prompt", "completion"} <= values.keys()):
        forms = '{"messages": [...]} or {"prompt": ..., "completion": ...}'
        found = ", ".join(values) or "nothing"
        raise UserError(f"{place}: expected {forms}; it is an object with {found}")
    if "messages" in values:
        return {"messages": _messages(values["messages"], place)}
    for key in ("prompt", "completion"):
        if not isinstance(values[key], str):
            raise UserError(f"{place}: {key} must be a text, got {values[key]!r:.40}")
        if not values[key].strip():
            raise UserError(f"{place}: the {key} is empty")
    return {key: values[key] for key in ("prompt", "completion")}


def _messages(messages: Any, place: str) -> list[dict[str, Any]]:
    if not isinstance(messages, list) or not messages:
        raise UserError(f"{place}: messages must be a list of at least one message")
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise UserError(f"{place}: message {number} has no role")
        if not isinstance(message.get("content"), str) and not message.get("tool_calls"):
            raise UserError(f"{place}: message {number} ({message['role']}) has no text under content")
    answers = [message for message in messages if message["role"] == "assistant"]
    if not answers:
        raise UserError(f"{place}: no message is the assistant's, so there is no answer to learn")
    if any(not (answer.get("content") or "").strip() and not answer.get("tool_calls") for answer in answers):
        raise UserError(f"{place}: an answer of the assistant is empty")
    return messages
