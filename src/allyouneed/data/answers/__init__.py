"""What several models answered to the same questions: logs on file, and public ones."""

from allyouneed.data.answers.answers import Answers as Answers
from allyouneed.data.answers.answers import Log as Log

__all__ = ["Answers", "Log"]
