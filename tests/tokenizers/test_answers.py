"""Which tokens of a conversation are the answers, for templates of many habits."""

import json

import pytest

from allyouneed.errors import UserError
from allyouneed.tokenizers import load
from allyouneed.tokenizers.answers import answer_tokens, last_answer, last_question, prompt_tokens
from allyouneed.tokenizers.subwords import train_subwords

from .test_chat import CHATML, LLAMA_2

CHAT = [
    {"role": "user", "content": "one?"},
    {"role": "assistant", "content": "two."},
    {"role": "user", "content": "three?"},
    {"role": "assistant", "content": "four."},
]
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    texts = ["<|im_start|>user one? three? assistant two. four. system You help. [INST] <think></think>\n: </s><s>"]
    learned = train_subwords(texts * 9, 90, special=("<|im_end|>", "</s>", "<s>"))

    def tokenizer(template=None, eos="<|im_end|>"):
        folder = tmp_path_factory.mktemp("tokenizer")
        description = json.loads(learned.to_dict()["description"])
        names = ("<|im_end|>", "</s>", "<s>")
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        description["added_tokens"] = [{"id": i, "content": name} | plain for i, name in enumerate(names)]
        (folder / "tokenizer.json").write_text(json.dumps(description))
        settings = {"eos_token": eos, "bos_token": "<s>", "chat_template": template}
        (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in settings.items() if v}))
        return load(folder)

    return tokenizer


def parts(tokenizer, chat):
    """The scored stretches as text."""
    tokens, scored = answer_tokens(tokenizer, chat)
    assert len(tokens) == len(scored)
    found, open_ = [], []
    for token, is_scored in [*zip(tokens, scored), (0, False)]:
        if is_scored:
            open_.append(token)
        elif open_:
            found.append(tokenizer.decode(open_))
            open_ = []
    return found


def test_answers_and_what_ends_them_are_scored_and_nothing_else(make):
    tokenizer = make(CHATML)
    assert parts(tokenizer, {"messages": CHAT}) == ["two.<|im_end|>", "four.<|im_end|>"]
    tokens, _ = answer_tokens(tokenizer, {"messages": CHAT})
    whole = tokenizer.chat(CHAT, add_generation_prompt=False)
    assert tokenizer.decode(tokens) == whole.removesuffix("\n")  # nothing is asked of what follows the last answer


def test_an_end_is_added_where_the_template_has_none(make):
    assert parts(make(PLAIN, "</s>"), {"messages": CHAT}) == ["assistant: two.\n", "assistant: four.\n</s>"]
    assert parts(make(LLAMA_2, "</s>"), {"messages": CHAT}) == [" two. </s>", " four. </s>"]
    assert parts(make(PLAIN, None), {"messages": CHAT})[-1] == "assistant: four.\n"


def test_an_answer_that_is_rewritten_later_is_not_scored(make):
    assert parts(make(THINKING), {"messages": CHAT}) == ["<think></think>four.<|im_end|>"]


def test_a_template_that_rewrites_every_answer_is_refused(make):
    changing = "{% for m in messages %}{{ messages | length }}{{ m.content }}{% endfor %}"
    with pytest.raises(UserError, match="rewrites every answer"):
        answer_tokens(make(changing), {"messages": [*CHAT, {"role": "user", "content": "x"}]})


def test_a_prompt_and_its_completion(make):
    tokenizer = make()
    chat = {"prompt": "one?", "completion": " two."}
    assert parts(tokenizer, chat) == [" two.<|im_end|>"]
    tokens, scored = answer_tokens(tokenizer, chat)
    assert tokens[: scored.index(True)] == prompt_tokens(tokenizer, chat)
    # A token across the border belongs to the answer.
    assert parts(tokenizer, {"prompt": "one? ", "completion": "two."}) == [" two.<|im_end|>"]


def test_the_prompt_is_what_stands_before_the_last_answer(make):
    tokenizer = make(CHATML)
    tokens, scored = answer_tokens(tokenizer, {"messages": CHAT})
    first_of_last = len(scored) - scored[::-1].index(False)
    assert prompt_tokens(tokenizer, {"messages": CHAT}) == tokens[:first_of_last]
    assert last_question({"messages": CHAT}) == "three?"
    assert last_answer({"messages": CHAT}) == "four."
    assert last_answer({"prompt": "a", "completion": "b"}) == "b"


def test_a_conversation_without_an_answer_says_so(make):
    with pytest.raises(UserError, match="no answer to learn"):
        answer_tokens(make(CHATML), {"messages": CHAT[:1]})
