"""An endpoint that speaks OpenAI's protocol, played by a server on this machine, with everything that can go wrong."""

import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from allyouneed.clients import ClientError, Endpoint, Recording, Request, Retrying, Unavailable, Usage
from allyouneed.clients.specs import client
from allyouneed.errors import UserError

KEY = "sk-very-secret-0123456789"
USER = ({"role": "user", "content": "Hi"},)
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


def chat_answer(**changes):
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": USAGE,
    } | changes


def text_answer(text="on", reason="length"):
    choice = {"index": 0, "text": text, "finish_reason": reason, "logprobs": {"token_logprobs": [-0.5, -0.25]}}
    return {"id": "1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


class Server(ThreadingHTTPServer):
    """Gives the scripted answers in their order, each (status, body, headers), and notes what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.asked, self.keys = [], [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.asked.append((self.path, body))
        server.keys.append(self.headers.get("Authorization"))
        status, answer, headers = server.script.pop(0)
        if status == "wait":
            time.sleep(answer)
            return
        if status == "hang up":
            return
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(headers.pop("length", len(content))))
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = Server()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def script(server, *answers):
    server.script[:] = [(status, body, dict(*headers)) for status, body, *headers in answers]


def test_a_conversation(server):
    script(server, (200, chat_answer()))
    request = Request(USER, max_new_tokens=7, temperature=0.5, top_p=0.9, stop=("\n",), seed=3)
    answer = Endpoint("m", server.url).complete(request)
    assert (answer.text, answer.usage, answer.ended, answer.model) == (
        "Hello",
        Usage(9, 2),
        "stop",
        f"openai:m@{server.url}",
    )
    path, body = server.asked[0]
    assert path == "/v1/chat/completions"
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["\n"],
        "seed": 3,
    }
    assert server.keys == [f"Bearer {KEY}"]


def test_a_text_to_write_on_from_with_log_probabilities(server):
    script(server, (200, text_answer()))
    answer = Endpoint("m", server.url).complete(Request("Go", logprobs=True))
    assert (answer.text, answer.ended, answer.logprobs) == ("on", "length", (-0.5, -0.25))
    assert server.asked[0][0] == "/v1/completions"
    assert server.asked[0][1]["prompt"] == "Go"


def test_log_probabilities_of_a_conversation(server):
    answer = chat_answer()
    answer["choices"][0]["logprobs"] = {"content": [{"token": "Hello", "logprob": -0.125, "top_logprobs": []}]}
    script(server, (200, answer))
    assert Endpoint("m", server.url).complete(Request(USER, logprobs=True)).logprobs == (-0.125,)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_passes_is_unavailable_and_asked_again(server, status):
    error = {"error": {"message": "not now", "type": "t", "code": "c"}}
    script(server, (status, error, {"Retry-After": "2.5"}), (200, chat_answer()))
    with pytest.raises(Unavailable, match=r"not now") as caught:
        Endpoint("m", server.url).complete(Request(USER))
    assert caught.value.wait == 2.5
    script(
        server, (status, error), (status, b"<html>gateway</html>", {"Content-Type": "text/html"}), (200, chat_answer())
    )
    waits = []
    assert Retrying(Endpoint("m", server.url), sleep=waits.append).complete(Request(USER)).text == "Hello"
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("status", "code"), [(400, "c"), (401, "c"), (403, "c"), (404, "c"), (429, "insufficient_quota")]
)
def test_what_stays_is_an_error_at_once(server, status, code):
    script(server, (status, {"error": {"message": f"wrong key {KEY}", "code": code}}))
    with pytest.raises(ClientError) as caught:
        Retrying(Endpoint("m", server.url), sleep=pytest.fail).complete(Request(USER))
    assert not isinstance(caught.value, Unavailable)
    assert "wrong key ***" in str(caught.value)


def test_no_answer_in_time_is_unavailable(server):
    script(server, ("wait", 0.5))
    start = time.monotonic()
    with pytest.raises(Unavailable, match=r"no answer within 0.1 s"):
        Endpoint("m", server.url, timeout=0.1).complete(Request(USER))
    assert time.monotonic() - start < 0.45


GARBLED = {
    "no JSON": b'{"choices": [',
    "other JSON": b'{"hello": "world"}',
    "a list": b"[]",
    "null": b"null",
    "no choice": json.dumps(chat_answer(choices=[])).encode(),
    "no usage": json.dumps(chat_answer(usage=None)).encode(),
    "a number as text": json.dumps(
        chat_answer(choices=[{"message": {"content": 3}, "finish_reason": "stop"}])
    ).encode(),
    "words": b"internal error",
    "not UTF-8": b'{"choices": "\xff\xfe"}',
}


@pytest.mark.parametrize("body", GARBLED.values(), ids=GARBLED)
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_garbled_answer_is_unavailable(server, body, kind):
    script(server, (200, body, {"Content-Type": kind}))
    with pytest.raises(Unavailable, match=r"cannot be read|no connection"):
        Endpoint("m", server.url).complete(Request(USER))


def test_an_answer_that_breaks_off_is_unavailable(server):
    script(server, (200, b'{"choices": [', {"length": 1000}), ("hang up", b""))
    for _ in range(2):
        with pytest.raises(Unavailable):
            Endpoint("m", server.url).complete(Request(USER))


def test_nobody_there_is_unavailable():
    with pytest.raises(Unavailable, match=r"no connection"):
        Endpoint("m", "http://127.0.0.1:9/v1", timeout=2.0).complete(Request(USER))


def test_a_refusal_without_text_is_an_empty_answer(server):
    script(
        server,
        (200, chat_answer(choices=[{"message": {"role": "assistant", "content": None}, "finish_reason": "stop"}])),
    )
    assert Endpoint("m", server.url).complete(Request(USER)).text == ""


def test_the_key_is_in_the_request_and_nowhere_else(server, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    endpoint = Endpoint("m", server.url)
    script(server, (200, chat_answer()), (401, {"error": {"message": f"bad key: {KEY}"}}))
    Recording(endpoint, tmp_path / "said.jsonl").complete(Request(USER))
    with pytest.raises(ClientError) as caught:
        endpoint.complete(Request(USER))
    told = [str(caught.value), repr(vars(endpoint)), endpoint.name, (tmp_path / "said.jsonl").read_text(), caplog.text]
    assert KEY not in "".join(told)
    assert caught.value.__cause__ is None


def test_openais_own_server_needs_a_key_and_others_do_not(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ClientError, match=r"needs a key: set OPENAI_API_KEY"):
        Endpoint("m").complete(Request(USER))
    script(server, (200, chat_answer()))
    assert Endpoint("m", server.url).complete(Request(USER)).text == "Hello"


def test_a_spec_names_an_endpoint(server):
    script(server, (200, chat_answer()))
    found = client(f"openai:some/model:1@{server.url}/")
    assert found.name == f"openai:some/model:1@{server.url}"
    assert found.complete(Request(USER)).text == "Hello"
    assert server.asked[0][1]["model"] == "some/model:1"
    assert client("openai:m").name == "openai:m@https://api.openai.com/v1"


@pytest.mark.parametrize("spec", ["", "local", "local:", "gpt-4", "http://x", "openai:"])
def test_a_spec_of_no_form_is_told_the_forms(spec):
    with pytest.raises(UserError, match=r"names no client; it has one of the forms local:DIR"):
        client(spec)
