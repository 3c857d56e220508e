"""The training loop: the one home of training by gradient, whatever the model, the loss or the data."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from allyouneed.errors import UserError
from allyouneed.objectives.loss import Loss, Objective
from allyouneed.training.interrupt import held_back_interrupt
from allyouneed.training.keeper import Keeper
from allyouneed.training.nest import map_tensors, micro_batches
from allyouneed.training.optimizer import adamw
from allyouneed.training.schedules import Schedule, cosine
from allyouneed.training.state import TrainingState
from allyouneed.training.stream import Saved

Precision = Literal["fp32", "bf16"]


class NonFiniteLoss(UserError):
    """The loss or its gradient became NaN or infinite; the weights are those of the step before."""

    def __init__(self, step: int, loss: float, grad_norm: float, checkpoint: Path | None) -> None:
        self.step, self.checkpoint = step, checkpoint
        last = f"the last good checkpoint is {checkpoint}" if checkpoint else "no checkpoint was written"
        super().__init__(
            f"step {step}: the loss is {loss}, the norm of its gradient {grad_norm}; {last}. "
            "A lower lr or a longer warm-up often helps"
        )


@dataclass(frozen=True)
class FitResult:
    """What training leaves beside the weights: all that was logged, and the step it was resumed from (0: none)."""

    log: list[dict[str, Any]]
    resumed_from: int

    @property
    def loss(self) -> float:
        """The training loss of the last step."""
        return self.log[-1]["loss"]


def fit(
    model: nn.Module,
    objective: Objective,
    stream: Iterator[Any],
    *,
    max_steps: int,
    lr: float,
    warmup_steps: int = 0,
    schedule: Schedule = cosine,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: float = 1e-8,
    grad_clip: float | None = 1.0,
    micro_batch_size: int | None = None,
    precision: Precision = "fp32",
    seed: int = 0,
    after_step: Sequence[Callable[[int, nn.Module], object]] = (),
    keep: Mapping[str, Saved] | None = None,
    log: Callable[..., object] | None = None,
    log_every: int = 50,
    dir: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
) -> FitResult:
    """Train `model` in place for `max_steps` updates and leave it in training mode.

    stream: yields the whole batch of each step, any nest of tensors with a leading batch axis; it is
        moved to the model's device. With `micro_batch_size` it goes through the model that many rows
        at a time, and the gradient is that of the whole batch however raggedly it is masked.
    lr, warmup_steps, schedule: the rate of step s is `lr * schedule(s, max_steps, warmup_steps)`.
    weight_decay, betas, eps: AdamW's; see `training.optimizer`.
    grad_clip: the largest norm of the whole gradient; None does not clip.
    precision: "bf16" runs the forward pass under autocast; weights and optimiser keep their type.
    seed: of torch's global generators, set at the start (dropout, masks).
    after_step: each is called as `f(step, model)` after the update.
    keep: what must be saved with the training, by name: an EMA, a replay buffer.
    log: called as `log(step=, loss=, lr=, grad_norm=, **metrics)` at step 1, every `log_every` steps
        and at the last; a resumed training first repeats what it had logged.
    dir: a folder of this training's own. The training is saved there every `checkpoint_seconds`, on
        Ctrl-C and at the end, and the same call goes on from there: on a CPU bit for bit as if it had
        never stopped. A finished one returns at once with its final weights.

    Raises NonFiniteLoss; ValueError for settings out of range, a stream that ends early or a batch that
    scores nothing; UserError if `dir` holds another training or cannot be written.
    """
    _check_settings(max_steps, warmup_steps, log_every, micro_batch_size, precision)
    rates = [lr * schedule(step, max_steps, warmup_steps) for step in range(1, max_steps + 1)]
    optimizer = adamw(model, lr, weight_decay, betas, eps)
    state = TrainingState(model, optimizer, stream, keep or {})
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    autocast = torch.autocast(state.device.type, torch.bfloat16, enabled=precision == "bf16")
    torch.manual_seed(seed)
    model.train()
    keeper = None
    if dir is not None:
        settings = {
            "max_steps": max_steps,
            "learning rates": [rates[0], rates[max_steps // 2], rates[-1], sum(rates)],
            "weight_decay": weight_decay,
            "betas": betas,
            "eps": eps,
            "grad_clip": grad_clip,
            "micro_batch_size": micro_batch_size,
            "precision": precision,
            "seed": seed,
            "keep": sorted(keep or {}),
        }
        keeper = Keeper(Path(dir), state, settings, checkpoint_seconds)
        keeper.restore()
    resumed_from = state.step
    for entry in state.log:
        _tell(log, entry)

    with held_back_interrupt() if keeper else nullcontext(lambda: False) as interrupted:
        for step in range(resumed_from + 1, max_steps + 1):
            for group in optimizer.param_groups:
                group["lr"] = rates[step - 1]
            optimizer.zero_grad()
            loss = _accumulate(model, objective, _next_batch(stream, step, state.device), micro_batch_size, autocast)
            mean, grad_norm = _scale_gradients(weights, loss, grad_clip)
            if not (math.isfinite(mean) and math.isfinite(grad_norm)):
                raise NonFiniteLoss(step, mean, grad_norm, keeper.latest() if keeper else None)
            optimizer.step()
            for hook in after_step:
                hook(step, model)
            state.step = step
            if step == 1 or step % log_every == 0 or step == max_steps:
                metrics = {name: float(value) / float(loss.count) for name, value in loss.metrics.items()}
                state.log.append({"step": step, "loss": mean, "lr": rates[step - 1], "grad_norm": grad_norm, **metrics})
                _tell(log, state.log[-1])
            if keeper:
                keeper.save_if_due(at_once=step == max_steps or interrupted())
            if interrupted():
                raise KeyboardInterrupt
    return FitResult(state.log, resumed_from)


def _next_batch(stream: Iterator[Any], step: int, device: torch.device) -> Any:
    try:
        batch = next(stream)
    except StopIteration:
        raise ValueError(f"the stream ended before step {step}; training needs one batch a step") from None
    # What a model sampled in inference mode cannot be saved for a backward pass until it is cloned.
    return map_tensors(lambda tensor: (tensor.clone() if tensor.is_inference() else tensor).to(device), batch)


def _accumulate(
    model: nn.Module, objective: Objective, batch: Any, micro_batch_size: int | None, autocast: torch.autocast
) -> Loss:
    """Add the gradient of the batch's total to the weights' `.grad`; its metrics come back as sums over the items."""
    total, count = torch.zeros(()), torch.zeros((), dtype=torch.long)
    metrics: dict[str, Tensor] = {}
    for part in micro_batches(batch, micro_batch_size):
        with autocast:
            loss = objective(model, part)
        loss.total.backward()
        total, count = total + loss.total.detach(), count + loss.count
        for name, value in loss.metrics.items():
            metrics[name] = metrics.get(name, 0) + value.detach() * loss.count
    return Loss(total, count, metrics)


def _scale_gradients(weights: list[nn.Parameter], loss: Loss, grad_clip: float | None) -> tuple[float, float]:
    """Turn the gradient of the total into that of the mean and clip it: (mean loss, its gradient's norm)."""
    count = float(loss.count)
    if count == 0:
        raise ValueError("the objective scored nothing in a whole batch (count 0)")
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    grad_norm = float(get_total_norm(gradients)) / count
    shrink = 1.0 if grad_clip is None else min(1.0, grad_clip / (grad_norm + 1e-6))
    torch._foreach_mul_(gradients, shrink / count)
    return float(loss.total) / count, grad_norm


def _tell(log: Callable[..., object] | None, entry: dict[str, Any]) -> None:
    if log is not None:
        log(**entry)


def _check_settings(
    max_steps: int, warmup_steps: int, log_every: int, micro_batch_size: int | None, precision: str
) -> None:
    if max_steps < 1 or log_every < 1:
        raise ValueError(f"max_steps and log_every must be at least 1, got {max_steps} and {log_every}")
    if not 0 <= warmup_steps <= max_steps:
        raise ValueError(f"warmup_steps must lie in 0 .. max_steps ({max_steps}), got {warmup_steps}")
    if micro_batch_size is not None and micro_batch_size < 1:
        raise ValueError(f"micro_batch_size must be at least 1, got {micro_batch_size}")
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision must be 'fp32' or 'bf16', got {precision!r}")
