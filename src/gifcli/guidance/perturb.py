"""The perturbation of a latent: f' = P_{f,eps}((1 + z) * f + b)."""

from collections.abc import Sequence

from torch import Tensor

from gifcli.errors import UsageError


def perturb(f: Tensor, z: Tensor, b: Tensor, eps: float) -> Tensor:
    """Perturbs a latent: f' = P_{f,eps}((1 + z) * f + b), GIF (arXiv 2211.13976) eq. 1; P clamps elements to f +- eps.

    f (b *shape), z and b (b *noise_shape); eps and b in units of the latent's standard deviation. The gradient ignores P
    (projected gradient ascent): an element that starts outside of the ball would otherwise have none, and stay there.
    """
    free = (1 + z) * f + b
    projected = free.detach().clamp(f - eps, f + eps)
    return free + (projected - free.detach())


def noise_shape(f_shape: Sequence[int], granularity: str) -> tuple[int, ...]:
    """The shape of z and b for a latent of that shape: (C, 1, 1) by channel, (T, 1) by token, else the latent's own.

    Raises:
        UsageError: no granularity has that name, or the latent has no such axis.

    """
    shape = tuple(f_shape)
    match granularity, len(shape):
        case ("element", _) | (("vector" | "view"), 1):
            return shape
        case ("channel", 3) | ("token", 2):
            return (shape[0], *(1 for _ in shape[1:]))
        case (("channel" | "token" | "vector" | "view"), _):
            raise UsageError(f"guidance.granularity: a latent of shape {shape} has no {granularity}; try element")
        case _:
            raise UsageError(
                f"guidance.granularity: expected channel, element, token, vector or view; found {granularity!r}"
            )
