"""What ends a row."""

from allyouneed.generation import Stop


class Words:
    """Token i is a word."""

    words = ("a", " ST", "OP b", "OP", "!")
    vocab_size = len(words)

    def encode(self, text):
        raise NotImplementedError

    def decode(self, ids):
        return "".join(self.words[i] for i in ids)

    def to_dict(self):
        raise NotImplementedError


def test_a_stop_string_may_lie_anywhere_in_its_tokens():
    stop = Stop(strings=["no", "STOP"], tokenizer=Words())
    assert [stop.ends(written) for written in ([0], [0, 1], [0, 1, 0], [0, 3])] == [False] * 4
    assert stop.ends([0, 1, 2])
    assert stop.ends([0, 1, 3])


def test_only_the_last_token_is_compared_with_stop_tokens():
    stop = Stop(tokens=[4, 2])
    assert stop.ends([0, 4])
    assert stop.ends([2])
    assert not stop.ends([4, 0])


def test_what_fills_up():
    assert Stop().filled([0, 3], 4) == [0, 3, 3, 3]
    assert Stop(pad_token=1).filled([0, 3], 4) == [0, 3, 1, 1]
    assert Stop().filled([], 0) == []
