"""A small classifier of pictures, whose last hidden layer says what a picture shows: the eyes of a Fréchet distance.

Inception, which the distance was made with, has nothing to see in 8 x 8 pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.objectives.classification import classify
from allyouneed.training import constant, fit

N_FEATURES = 32
WEIGHTS = "classifier.safetensors"


class Classifier(nn.Module):
    """Two hidden layers; the second is the features."""

    def __init__(self, n_pixels: int, n_classes: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(n_pixels, 256), nn.Linear(256, N_FEATURES)
        self.head = nn.Linear(N_FEATURES, n_classes)

    def features(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features"]:
        """What the head reads."""
        return self.second(self.first(pixels.flatten(1)).relu()).relu()

    def forward(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Logits of the classes."""
        return self.head(self.features(pixels))


def digit_classifier(run: Any, max_steps: int) -> None:
    """Train one on the train split of `run.data` and keep its weights in `run.dir`.

    Raises UserError for pictures without classes.
    """
    images = run.data
    if len(images.classes) < 2:
        raise UserError(
            f"{images.name} has no classes to tell apart, which is how pictures are judged: sort it into folders"
        )
    torch.manual_seed(run.seed)
    model = Classifier(int(np.prod(images.shape)), len(images.classes)).to(run.device)
    stream = images.train.stream(64, seed=run.seed)
    fit(model, classify, stream, max_steps=max_steps, lr=2e-3, schedule=constant, weight_decay=1e-2, seed=run.seed)
    save_file(model.state_dict(), run.dir / WEIGHTS)


def read_classifier(folder: Path) -> Classifier:
    """The classifier that the recipe kept."""
    weights = load_file(folder / WEIGHTS)
    model = Classifier(weights["first.weight"].shape[1], len(weights["head.bias"]))
    model.load_state_dict(weights)
    return model.eval()


@torch.no_grad()
def features(
    classifier: Classifier, pixels: Float[Tensor, "items channels height width"]
) -> Float[np.ndarray, "items features"]:
    """What the classifier sees in pictures of -1..1."""
    return classifier.features(pixels.float().cpu()).numpy()
