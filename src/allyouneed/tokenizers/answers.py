"""A conversation as tokens, and which of them are the answers: what fine-tuning scores.

A chat is an object of one of two forms:

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}
    {"prompt": "2 + 2 =", "completion": " 4"}

Messages are written by the checkpoint's own template. Which part of the text is an answer is found by writing the
conversation up to it and up to its end, so that templates need not mark it.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from allyouneed.errors import UserError
from allyouneed.tokenizers.checkpoint import CheckpointTokenizer

Chat = Mapping[str, Any]


def answer_tokens(tokenizer: CheckpointTokenizer, chat: Chat) -> tuple[list[int], list[bool]]:
    """The tokens of a chat, and True at those of the assistant's answers, the token that ends each included.

    Prompt and answer are cut into tokens together; where a token lies across the border, it counts to the answer. An
    end-of-text token is added where the template has none after the last answer. An earlier answer that the template
    rewrites once the conversation has gone on (some drop its reasoning) is not scored: no model is asked for it in
    that form. Raises UserError if there is no answer, or for a conversation that the template refuses.
    """
    if "messages" not in chat:
        before = tokenizer.encode(chat["prompt"], special=True)
        tokens = tokenizer.encode(chat["prompt"] + chat["completion"], special=True)
        border = shared_start(before, tokens)
        scored = [place >= border for place in range(len(tokens))]
    else:
        tokens, scored = _of_messages(tokenizer, chat["messages"])
    length = len(scored) - scored[::-1].index(True)  # nothing is asked of what comes behind the last answer
    if tokenizer.eos_ids and tokens[length - 1] not in tokenizer.eos_ids:
        return [*tokens[:length], tokenizer.eos_ids[0]], [*scored[:length], True]
    return tokens[:length], scored[:length]


def prompt_tokens(tokenizer: CheckpointTokenizer, chat: Chat) -> list[int]:
    """What the model is given to write the last answer itself. Raises UserError if there is no answer."""
    if "messages" in chat:
        messages = chat["messages"]
        return tokenizer.encode(tokenizer.chat(messages[: _answers(messages)[-1]]))
    tokens = tokenizer.encode(chat["prompt"], special=True)
    return tokens[:-1] if tokens[-1:] and tokens[-1] in tokenizer.eos_ids else tokens


def last_answer(chat: Chat) -> str:
    """The text of the last answer. Raises UserError if there is none."""
    return chat["messages"][_answers(chat["messages"])[-1]]["content"] if "messages" in chat else chat["completion"]


def last_question(chat: Chat) -> str:
    """The text that the last answer answers: the message before it, or the prompt."""
    if "messages" not in chat:
        return chat["prompt"]
    place = _answers(chat["messages"])[-1]
    return chat["messages"][place - 1]["content"] if place else ""


def _of_messages(tokenizer: CheckpointTokenizer, messages: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[bool]]:
    text = tokenizer.chat(messages, add_generation_prompt=False)
    tokens = tokenizer.encode(text)
    scored = [False] * len(tokens)
    for place in _answers(messages):
        asked = tokenizer.chat(messages[:place]) if place else ""
        answered = tokenizer.chat(messages[: place + 1], add_generation_prompt=False)
        if not text.startswith(answered):
            continue
        first = shared_start(tokenizer.encode(text[: shared_start(asked, text)]), tokens)
        last = shared_start(tokenizer.encode(answered), tokens)
        ends = [i for i in range(first, last) if tokens[i] in tokenizer.eos_ids]
        for i in range(first, ends[-1] + 1 if ends else last):  # what follows the end is never written
            scored[i] = True
    if not any(scored):
        raise UserError(f"{tokenizer.source}: its chat template rewrites every answer, so that none can be scored")
    return tokens, scored


def _answers(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    if not places:
        raise UserError("a conversation without a message of the assistant has no answer to learn")
    return places


def shared_start(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many tokens (or characters) both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other)))
