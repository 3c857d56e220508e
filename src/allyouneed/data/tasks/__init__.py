"""Generators of problems with known answers."""

from allyouneed.data.tasks.arithmetic import Arithmetic as Arithmetic
from allyouneed.data.tasks.copying import Copying as Copying
from allyouneed.data.tasks.mixture import Mixture as Mixture
from allyouneed.data.tasks.spelled import SpelledArithmetic as SpelledArithmetic
from allyouneed.data.tasks.task import Task as Task
from allyouneed.data.tasks.task import TaskStream as TaskStream
from allyouneed.data.tasks.task import exact_match as exact_match

__all__ = ["Arithmetic", "Copying", "Mixture", "SpelledArithmetic", "Task", "TaskStream", "exact_match"]
