"""Sentences with labels, as questions whose answer is one of a few words: the label's name is the completion."""

from allyouneed.data import registry
from allyouneed.data.chats.chats import Chat, Chats
from allyouneed.data.documents import split_of

SENTIMENTS = ("negative", "positive")
QUESTIONS = ("description", "entity", "abbreviation", "person", "place", "number")  # what is asked for


def sst2() -> Chats:
    """SST-2 (Socher et al., 2013): film reviews, a sentence each, "negative" or "positive".

    The 6,920 to train on, without a tenth by hash to tune; the data set's own 872 for development to test.
    """
    train, tune = _tenth(_sentences("stsa.binary.train", SENTIMENTS))
    return Chats("sst2", train, tune, _sentences("stsa.binary.dev", SENTIMENTS))


def trec() -> Chats:
    """TREC (Li and Roth, 2002): questions and the kind of thing that each asks for, one of six.

    Of the 5,452 to train on about a fifth by hash to test and a tenth of the others to tune: the data set's own test
    is not among these files.
    """
    each = _sentences("TREC.train.all", QUESTIONS, "latin-1")
    first, test = _tenth(each)
    rest, more = _tenth(first, "again ")
    train, tune = _tenth(rest, "to tune ")
    return Chats("trec", train, tune, test + more)


def _sentences(path: str, names: tuple[str, ...], encoding: str = "utf-8") -> list[Chat]:
    """The lines of a file, its label's number first; a sentence counts once. Downloads what is not here yet."""
    dataset = registry.find("sentence-classification")
    (file,) = (file for file in dataset.files if file.path == path)
    text = registry.get_file(dataset, file, progress=True).read_text(encoding=encoding)
    labelled: dict[str, str] = {}
    for line in text.strip().split("\n"):
        number, _, sentence = line.strip().partition(" ")
        labelled.setdefault(sentence, names[int(number)])
    return [{"prompt": sentence, "completion": name} for sentence, name in labelled.items()]


def _tenth(chats: list[Chat], salt: str = "") -> tuple[list[Chat], list[Chat]]:
    """Nine tenths, and one tenth by the hash of the prompts."""
    is_train = [split_of(salt + chat["prompt"]) == "train" for chat in chats]
    kept = [chat for chat, train in zip(chats, is_train) if train]
    return kept, [chat for chat, train in zip(chats, is_train) if not train]
