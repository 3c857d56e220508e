"""From measurements to a word: units, effects, intervals, verdicts."""
