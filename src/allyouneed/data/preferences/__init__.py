"""A prompt and two answers, of which one was preferred: files, a public set, batches."""

from allyouneed.data.preferences.preferences import PreferencePair as PreferencePair
from allyouneed.data.preferences.preferences import Preferences as Preferences

__all__ = ["PreferencePair", "Preferences"]
