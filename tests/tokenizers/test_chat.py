"""Conversations become the text that transformers makes of them, and bad templates an error that says so."""

import datetime

import pytest

from allyouneed.errors import UserError
from allyouneed.tokenizers import load

from .folders import json_folder, llama_folder, write

CHATML = """\
{% for message in messages %}
    {% if loop.first and message.role != 'system' %}
<|im_start|>system
You help.<|im_end|>
    {% endif %}
<|im_start|>{{ message['role'] }}
{{ message.content | trim }}<|im_end|>
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
"""

LLAMA_2 = """\
{% if messages[0]['role'] == 'system' %}
    {% set rest = messages[1:] %}
    {% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}
{% else %}
    {% set rest = messages %}
    {% set system = '' %}
{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('user and assistant must take turns') }}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{- bos_token + '[INST] ' + (system if loop.first else '') + message['content'].strip() + ' [/INST]' }}
    {%- else %}
        {{- ' ' + message['content'].strip() + ' ' + eos_token }}
    {%- endif %}
{% endfor %}
"""

LLAMA_3 = """\
{{- bos_token }}
{%- set ns = namespace(started=false) %}
{%- for message in messages %}
    {%- set head = '<|start|>' ~ message.role ~ '<|end|>\\n\\n' %}
    {%- if message.tool_calls is defined %}
        {{- head ~ (message.tool_calls | tojson) ~ eos_token }}
        {%- continue %}
    {%- endif %}
    {%- if message.role == 'stop' %}{% break %}{% endif %}
    {%- set ns.started = true %}
    {{- head + message['content'] | trim + '<|eot|>' }}
{%- endfor %}
{%- if tools %}{{- tools | tojson(indent=2) }}{% endif %}
{%- if documents is not none %}{{- documents[0].title }}{% endif %}
{%- if add_generation_prompt and ns.started %}{{- '<|start|>assistant<|end|>\\n\\n' }}{%- endif %}
"""

LEARNED = "{% for m in messages %}\n    {% generation %}\n[{{ m.content }}]\n    {% endgeneration %}\n{% endfor %}\n"

TEMPLATES = {"chatml": CHATML, "llama 2": LLAMA_2, "llama 3": LLAMA_3, "learned part": LEARNED}

USER = {"role": "user", "content": '  Hi <b>"you"</b> & 你好 👋\n'}
CHATS = {
    "one": [USER],
    "system": [{"role": "system", "content": "Be brief."}, USER],
    "turns": [USER, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Bye"}],
    "call": [USER, {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {"x": "é<'"}}]}],
    "nothing said": [USER, {"role": "assistant", "content": "ok", "tool_calls": None}],
    "stop": [USER, {"role": "stop", "content": ""}, USER],
}
NAMES = {"bos_token": "<s>", "eos_token": "</s>"}


def transformers_tokenizer(folder):
    return pytest.importorskip("transformers").PreTrainedTokenizerFast.from_pretrained(folder)


@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_as_transformers(tmp_path, template, chat):
    folder = json_folder(tmp_path, chat_template=TEMPLATES[template], **NAMES)
    ours, theirs = load(folder), transformers_tokenizer(folder)
    for prompt in (False, True):
        options = {"add_generation_prompt": prompt}
        try:
            expected = theirs.apply_chat_template(CHATS[chat], tokenize=False, **options)
        except Exception as refusal:
            with pytest.raises(UserError, match=str(refusal)):
                ours.chat(CHATS[chat], **options)
        else:
            assert ours.chat(CHATS[chat], **options) == expected
            assert ours.encode(expected) == theirs.apply_chat_template(CHATS[chat], return_dict=False, **options)


def test_the_templates_say_what_they_should(tmp_path):
    """So that two equal mistakes cannot hide behind the comparison."""
    hello = CHATS["turns"][:2]
    assert chat(tmp_path, CHATML, [USER]) == (
        "<|im_start|>system\nYou help.<|im_end|>\n"
        '<|im_start|>user\nHi <b>"you"</b> & 你好 👋<|im_end|>\n<|im_start|>assistant\n'
    )
    said = '<s>[INST] Hi <b>"you"</b> & 你好 👋 [/INST] Hello. </s>'
    assert chat(tmp_path, LLAMA_2, hello) == said
    assert '{"x": "é<\'"}' in chat(tmp_path, LLAMA_3, CHATS["call"])


def chat(folder, template, messages, **values):
    return load(json_folder(folder, chat_template=template, **NAMES)).chat(messages, **values)


def test_tools_and_other_variables(tmp_path):
    folder = json_folder(tmp_path, chat_template=LLAMA_3, **NAMES)
    given = {"tools": [{"type": "function", "function": {"name": "é"}}], "documents": [{"title": "T", "text": ""}]}
    expected = transformers_tokenizer(folder).apply_chat_template([USER], tokenize=False, **given)
    assert load(folder).chat([USER], add_generation_prompt=False, **given) == expected
    assert '"name": "é"' in expected


def test_today(tmp_path):
    today = chat(tmp_path, "{{ strftime_now('%d %b %Y') }}", [USER])
    assert abs(datetime.datetime.now() - datetime.datetime.strptime(today, "%d %b %Y")) < datetime.timedelta(days=2)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{ raise_exception('no system please') }}", "no system please"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "not safely callable|unsafe"),
        ("{{ messages[0].update({'role': 'x'}) }}", "not safely callable|unsafe"),
        ("{{ (''|attr('__class__')).mro() }}", "unsafe"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{{ 1 + messages }}", "unsupported operand"),
        ("{% for %}", "Expected|expected"),
        ("{{ messages[0].nothing.at.all }}", "no attribute"),
        ("{{ 10 / 0 }}", "division"),
        ("{% for i in range(10**9) %}{% endfor %}", "Range too big"),
    ],
)
def test_a_template_that_fails_is_named(tmp_path, template, complaint):
    with pytest.raises(UserError, match=rf"the chat template of .*{tmp_path.name} failed: .*({complaint})"):
        chat(tmp_path, template, [USER])


def test_nothing_of_the_messages_is_changed(tmp_path):
    messages = [{"role": "user", "content": "a", "tool_calls": None}]
    chat(tmp_path, CHATML, messages)
    assert messages == [{"role": "user", "content": "a", "tool_calls": None}]


def test_without_a_template_its_place_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no chat template.*chat_template\.jinja.*tokenizer_config\.json"):
        load(llama_folder(tmp_path)).chat([USER])


def test_without_a_message(tmp_path):
    with pytest.raises(UserError, match="at least one message"):
        chat(tmp_path, CHATML, [])


def test_named_templates(tmp_path):
    named = [{"name": "default", "template": "usual"}, {"name": "tool_use", "template": "tools"}]
    ours = load(json_folder(tmp_path, chat_template=named))
    assert ours.chat([USER]) == "usual"
    assert ours.chat([USER], tools=[{"name": "f"}]) == "tools"
    assert ours.chat([USER], template="default", tools=[{"name": "f"}]) == "usual"
    with pytest.raises(UserError, match="no chat template 'rag', only default, tool_use"):
        ours.chat([USER], template="rag")


def test_where_templates_stand(tmp_path):
    """In the order in which transformers lets one win over another."""
    folder = write(json_folder(tmp_path), chat_template__json={"chat_template": "third"})
    assert load(folder).chat([USER]) == "third"
    folder = json_folder(tmp_path, chat_template="second")
    assert load(folder).chat([USER]) == "second"
    write(folder, chat_template__jinja="first")
    write(folder / "additional_chat_templates", rag__jinja="named")
    assert (
        load(folder).chat([USER])
        == "first"
        == transformers_tokenizer(folder).apply_chat_template([USER], tokenize=False)
    )
    assert load(folder).chat([USER], template="rag") == "named"
