"""Shapes in annotations are checked at run time in every test of the rooms that hold tensors."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Corpora and downloads of the tests stay out of the user's own cache; built once for all of them.
os.environ["ALLYOUNEED_CACHE"] = str(Path(__file__).parents[1] / "build" / "test-cache")
# So do marks and notes on the reading list.
os.environ["ALLYOUNEED_HOME"] = str(Path(__file__).parents[1] / "build" / "test-home")

import sys
from types import ModuleType

import torch
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

torch.set_num_threads(1)

ROOMS = (
    "blocks",
    "models",
    "objectives",
    "generation",
    "training",
    "adaptation",
    "alignment",
    "diffusion",
    "retrieval",
)
ROOMS_OF_TENSORS = [f"allyouneed.{room}" for room in ROOMS]

# As everywhere in Python, an int is welcome where a float is expected.
shape_checks = ModuleType("shape_checks")
shape_checks.checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
sys.modules["shape_checks"] = shape_checks

# Before any test module imports these rooms; the hook stays for the whole run.
install_import_hook(ROOMS_OF_TENSORS, "shape_checks.checked")
