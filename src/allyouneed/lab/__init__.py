"""The study engine: trials, statistics, verdicts, reports. It knows no model."""

from allyouneed.lab.study import Study as Study
from allyouneed.lab.study import grid as grid

__all__ = ["Study", "grid"]
