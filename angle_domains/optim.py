"""One safe step down a loss, copies that follow, and the optimiser that PyTorch lacks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from angle_domains.errors import TrainingError


def descend(
    loss: Tensor, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], max_grad_norm: float
) -> Tensor:
    """One step of the optimiser with the gradient's global norm held at `max_grad_norm`; gives the norm before that.

    With `math.inf` it is left as it is. Raises TrainingError, the parameters untouched, where the loss or the gradient
    is not finite.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None], foreach=True)
    if not torch.isfinite(norm + loss.detach()):
        raise TrainingError(f"the loss is {loss.item():g} and the norm of its gradient {norm.item():g}: not finite")
    if norm + 1e-6 > max_grad_norm:  # else all would be multiplied by 1
        clip_grads_with_norm_(parameters, max_grad_norm, norm, foreach=True)
    optimizer.step()
    return norm


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, tau: float) -> None:
    """Moves a copy's parameters the share `tau` of the way to those of its source."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), tau)


def gradients(network: nn.Module, name: str = "gradient") -> dict[str, Tensor]:
    """What the last step went by: the gradients of each part that has some, flat, as `<name>/<part>`."""
    found: dict[str, list[Tensor]] = {}
    for place, parameter in network.named_parameters():
        if parameter.grad is not None:
            found.setdefault(f"{name}/{place.partition('.')[0]}", []).append(parameter.grad.flatten())
    return {part: torch.cat(each) for part, each in found.items()}


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


class RMSpropTF(torch.optim.Optimizer):
    """RMSprop as TensorFlow 1 had it, on which A2C was tuned: g / sqrt(s + eps), with s beginning at 1.

    `torch.optim.RMSprop` divides by sqrt(s) + eps, with s beginning at 0: its first steps are far longer.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, alpha: float = 0.99, eps: float = 1e-5) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Moves every parameter that has a gradient; closures are not supported."""
        if closure is not None:
            raise ValueError("RMSpropTF takes no closure")
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if moved:
                self._move(moved, group)

    def _move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        for p in parameters:
            if not self.state[p]:
                self.state[p]["square_average"] = torch.ones_like(p)
        averages = [self.state[p]["square_average"] for p in parameters]
        torch._foreach_mul_(averages, group["alpha"])
        torch._foreach_addcmul_(averages, gradients, gradients, value=1.0 - group["alpha"])
        roots = torch._foreach_add(averages, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(parameters, gradients, roots, value=-group["lr"])
