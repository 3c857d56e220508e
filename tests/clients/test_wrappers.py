"""Clients around clients: waits, costs, what is kept, what is recorded, and many requests at once."""

import json
import threading
import time
from decimal import Decimal

import pytest

from allyouneed.clients import (
    Cached,
    Client,
    ClientError,
    Completion,
    Metered,
    Price,
    Recording,
    Replay,
    Request,
    Retrying,
    Unavailable,
    Usage,
    complete_all,
)
from allyouneed.clients.client import Batches

CHAT = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi ✓"})


class Parrot:
    """Answers with the prompt turned round, after failing as often as it is told to."""

    def __init__(self, *failures, name="parrot"):
        self.failures, self.name, self.asked = list(failures), name, 0

    def complete(self, request):
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return Completion(request.text[::-1], Usage(len(request.text), 3), model=self.name, logprobs=(-0.5, -0.25))


def test_all_are_clients():
    parrot = Parrot()
    assert isinstance(parrot, Client)
    assert isinstance(Retrying(parrot), Client)
    assert not isinstance(Retrying(parrot), Batches)


# Requests


def test_a_key_is_of_the_content_alone():
    assert Request("a").key() == Request("a", temperature=0.0, stop=()).key()
    changed = [Request("b"), Request("a", seed=1), Request("a", stop=("x",)), Request(CHAT), Request("a", top_p=0.5)]
    keys = {request.key() for request in [Request("a"), *changed]}
    assert len(keys) == 6
    assert Request("a").key("one model") != Request("a").key("another")
    assert Request("a").content() == {"prompt": "a"}  # so that a setting that is added later changes no key


@pytest.mark.parametrize(
    "settings", [{"prompt": ""}, {"prompt": "a", "max_new_tokens": 0}, {"prompt": "a", "stop": "x"}]
)
def test_requests_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=r"prompt|max_new_tokens|stop"):
        Request(**settings)


def test_a_conversation_as_text_is_all_that_is_said():
    assert Request(CHAT).text == "Be brief.\nHi ✓"
    assert Request(CHAT).messages == [dict(message) for message in CHAT]


# Retrying


def waits(client, draw=lambda: 0.0, **settings):
    slept = []
    answer = Retrying(client, sleep=slept.append, draw=draw, **settings).complete(Request("ab"))
    return answer.text, slept


def test_waits_double_up_to_the_longest_and_are_drawn_from_their_upper_half():
    failures = [Unavailable("busy")] * 4
    assert waits(Parrot(*failures), first=1.0, longest=3.0) == ("ba", [0.5, 1.0, 1.5, 1.5])
    assert waits(Parrot(*failures), draw=lambda: 1.0, first=1.0, longest=3.0) == ("ba", [1.0, 2.0, 3.0, 3.0])


def test_a_server_that_says_when_to_come_back_is_heard():
    assert waits(Parrot(Unavailable("busy", wait=7.0)))[1] == [7.0]


def test_after_the_last_attempt_the_failure_says_how_often_it_was_asked():
    parrot = Parrot(*[Unavailable("busy")] * 9)
    with pytest.raises(Unavailable, match=r"busy \(asked 3 times\)"):
        waits(parrot, attempts=3)
    assert parrot.asked == 3


def test_no_attempt_is_begun_after_the_time_is_up():
    parrot = Parrot(*[Unavailable("busy", wait=4.0)] * 9)
    now = [0.0]
    client = Retrying(parrot, within=10.0, sleep=lambda s: now.__setitem__(0, now[0] + s), clock=lambda: now[0])
    with pytest.raises(Unavailable, match=r"asked 3 times"):
        client.complete(Request("a"))
    assert now[0] == 8.0


def test_what_no_waiting_helps_raises_at_once():
    parrot = Parrot(ClientError("no such model"))
    with pytest.raises(ClientError, match=r"^no such model$"):
        waits(parrot)
    assert parrot.asked == 1


# Metered


def test_costs_are_counted_to_the_token_and_add_up_exactly():
    price = Price(Decimal("0.00001"), Decimal("0.00003"), Decimal("0.0005"))
    client = Metered(Parrot(), price)
    completions = complete_all(client, [Request("x" * n) for n in range(1, 1001)])
    assert completions[6].cost == 7 * Decimal("0.00001") + 3 * Decimal("0.00003") + Decimal("0.0005")
    assert client.spent == Decimal("0.00001") * 500_500 + 1000 * (Decimal("0.00009") + Decimal("0.0005"))
    assert (client.usage, client.n_requests) == (Usage(500_500, 3000), 1000)


def test_prices_below_nothing_are_refused():
    with pytest.raises(ValueError, match=r"negative"):
        Price(Decimal(-1), Decimal(0))


# Cached


@pytest.mark.parametrize("metered_inside", [True, False])
def test_what_was_answered_is_not_asked_again_and_costs_nothing(tmp_path, metered_inside):
    price, parrot = Price(Decimal(1), Decimal(1)), Parrot()
    inside, outside = Cached(Metered(parrot, price), tmp_path), Metered(Cached(parrot, tmp_path), price)
    client = inside if metered_inside else outside
    first, again = client.complete(Request(CHAT)), client.complete(Request(CHAT))
    assert parrot.asked == 1
    assert (first.kept, first.cost) == (False, Decimal(17))
    assert (again.kept, again.cost) == (True, 0)
    assert (again.text, again.usage, again.logprobs) == (first.text, first.usage, first.logprobs)


def test_another_client_and_another_seed_are_asked_for_themselves(tmp_path):
    one, other = Parrot(), Parrot(name="other")
    for client in (one, other):
        for seed in (0, 1):
            Cached(client, tmp_path).complete(Request("a", temperature=1.0, seed=seed))
    assert (one.asked, other.asked) == (2, 2)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"completion": {}}', b"[1]", b'{"completion": 3}', b"\xff"])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    parrot = Parrot()
    client = Cached(parrot, tmp_path)
    client.complete(Request("ab"))
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(damage)
    assert client.complete(Request("ab")).text == "ba"
    assert client.complete(Request("ab")).kept
    assert parrot.asked == 2


# Recorded


def test_what_was_recorded_is_played_back_as_it_was(tmp_path):
    file = tmp_path / "folder" / "said.jsonl"
    requests = [Request("ab"), Request(CHAT, stop=("x", "y"), logprobs=True), Request("ab", seed=1)]
    recorded = [Recording(Metered(Parrot(), Price(Decimal("0.1"), Decimal(0))), file).complete(r) for r in requests]
    assert [Replay(file).complete(request) for request in requests] == recorded
    assert recorded[0].cost == Decimal("0.2")


def test_a_request_that_was_not_recorded_is_named(tmp_path):
    file = tmp_path / "said.jsonl"
    Recording(Parrot(), file).complete(Request("ab"))
    with pytest.raises(ClientError, match=r'said.jsonl has no answer .*1 others.*"prompt": "cd"'):
        Replay(file).complete(Request("cd"))


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    file = tmp_path / "said.jsonl"
    Recording(Parrot(), file).complete(Request("ab"))
    whole = file.read_text()
    file.write_text(whole + whole[:40])
    assert Replay(file).complete(Request("ab")).text == "ba"
    Recording(Parrot(), file).complete(Request("cd"))
    assert Replay(file).complete(Request("cd")).text == "dc"


@pytest.mark.parametrize("line", ["nonsense", "{}", '{"request": {"prompt": "a"}, "completion": {"text": 1}}', "[]"])
def test_a_damaged_line_is_named(tmp_path, line):
    file = tmp_path / "said.jsonl"
    Recording(Parrot(), file).complete(Request("ab"))
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(ClientError, match=r"said.jsonl:2: not a recorded answer"):
        Replay(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ClientError, match=r"cannot read .*no.jsonl: No such file"):
        Replay(tmp_path / "no.jsonl")


def test_many_threads_record_whole_lines(tmp_path):
    file = tmp_path / "said.jsonl"
    complete_all(Recording(Parrot(), file), [Request(f"{n}" * 50) for n in range(200)], at_once=16)
    assert len([json.loads(line) for line in file.read_text().splitlines()]) == 200


# Many at once


class Slow:
    """Notes how many ask at the same time."""

    name = "slow"

    def __init__(self):
        self.now = self.most = self.asked = 0
        self.lock = threading.Lock()

    def complete(self, request):
        with self.lock:
            self.now += 1
            self.asked += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01 if request.text != "0" else 0.05)  # the first is the last to be answered
        with self.lock:
            self.now -= 1
        if request.text == "bad":
            raise ClientError("no")
        return Completion(request.text, Usage(1, 1))


def test_no_more_than_so_many_are_under_way_and_the_order_is_kept():
    slow = Slow()
    answers = complete_all(slow, [Request(str(n)) for n in range(12)], at_once=4)
    assert [answer.text for answer in answers] == [str(n) for n in range(12)]
    assert slow.most == 4


def test_after_a_failure_nothing_more_is_asked():
    slow = Slow()
    with pytest.raises(ClientError, match=r"no"):
        complete_all(slow, [Request("bad"), *(Request(str(n)) for n in range(1, 100))], at_once=2)
    assert slow.asked < 20


def test_a_client_that_takes_many_at_once_is_given_them():
    class Choir(Parrot):
        def complete_batch(self, requests):
            return [Completion("la", Usage(1, 1)) for _ in requests]

    choir = Choir()
    assert [answer.text for answer in complete_all(choir, [Request("a"), Request("b")])] == ["la", "la"]
    assert choir.asked == 0


def test_nobody_at_once_is_refused():
    with pytest.raises(ValueError, match=r"at_once"):
        complete_all(Parrot(), [Request("a")], at_once=0)
