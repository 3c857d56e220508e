"""Public data sets of preferences."""

import gzip
from collections.abc import Iterable

from allyouneed.data import registry
from allyouneed.data.json_lines import parsed_lines
from allyouneed.data.preferences.preferences import ASSISTANT, PreferencePair, Preferences, in_splits


def hh_rlhf() -> Preferences:
    """2,307 dialogues about harmful wishes, and which of two last answers a person preferred (the held-out part of
    harmless-base; Bai et al., 2022, arXiv:2204.05862). Five whose texts differ before the last answer are left out.

    Downloads what is not here yet. Raises UserError if it cannot be had.
    """
    dataset = registry.find("hh-rlhf")
    path = registry.get_file(dataset, dataset.files[0], progress=True)
    return in_splits("hh-rlhf", _dialogues(gzip.decompress(path.read_bytes()), path.name))


def _dialogues(content: bytes, name: str) -> Iterable[PreferencePair]:
    """hh-rlhf writes both conversations out whole; the prompt is what they share, up to the last answer."""
    for values, _ in parsed_lines(content, name):
        ends = [values[key].rfind(ASSISTANT) + len(ASSISTANT) for key in ("chosen", "rejected")]
        prompts = [values[key][:end] for key, end in zip(("chosen", "rejected"), ends)]
        if prompts[0] == prompts[1]:
            yield PreferencePair(prompts[0], values["chosen"][ends[0] :], values["rejected"][ends[1] :])
