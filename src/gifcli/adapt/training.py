"""The loop that teaches: AdamW, warm-up and cosine; every update's randomness is its own, so a resumed one is the same."""

import hashlib
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from gifcli.compute.batching import out_of_memory
from gifcli.errors import EnvironmentFault
from gifcli.reporter import Reporter
from gifcli.state.shards import write_atomic

if TYPE_CHECKING:
    from gifcli.adapt import AdaptSettings

WARM_UP = 20
CHECKPOINTS = 20
"""Times that the state is saved on the way."""
MOST_NORM = 1.0


class Lesson(Protocol):
    """What is learned, of how many images."""

    count: int
    rate: float
    device: torch.device

    def parameters(self) -> dict[str, Tensor]:
        """What changes, by name."""
        ...

    def losses(self, rows: list[int], generator: torch.Generator) -> Tensor:
        """(b): the loss of each image of `rows`, with noise and times from `generator`; differentiable."""
        ...

    def weights(self) -> tuple[str, bytes]:
        """File name and content of what was learned."""
        ...


def train(lesson: Lesson, wanted: "AdaptSettings", rng: int, state: Path, reporter: Reporter) -> float:
    """Learns for `wanted.steps` updates, from where `state` stands; -> the mean loss of the last tenth.

    Raises:
        EnvironmentFault: out of memory with one image at a time.
    """
    parameters = lesson.parameters()
    optimizer = torch.optim.AdamW(list(parameters.values()), lr=lesson.rate, weight_decay=1e-2)
    step, losses = _restore(state, parameters, optimizer)
    every = max(1, wanted.steps // CHECKPOINTS)
    together = wanted.batch
    reporter.start("adapt", wanted.steps * wanted.batch)
    reporter.advance(step * wanted.batch)
    try:
        while step < wanted.steps:
            for group in optimizer.param_groups:
                group["lr"] = lesson.rate * schedule(step, wanted.steps)
            loss, together = _update(lesson, batch_rows(lesson.count, wanted.batch, step, rng), together, (rng, step))
            torch.nn.utils.clip_grad_norm_(parameters.values(), MOST_NORM)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss)
            step += 1
            reporter.advance(wanted.batch)
            if step % every == 0 and step < wanted.steps:
                _save(state, step, losses, parameters, optimizer)
    finally:
        reporter.finish()
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)


def schedule(step: int, steps: int) -> float:
    """The share of the learning rate at an update: linear warm-up, then a cosine to 0."""
    warm = min(1.0, (step + 1) / min(WARM_UP, max(1, steps // 5)))
    return warm * 0.5 * (1 + math.cos(math.pi * step / steps))


def batch_rows(count: int, batch: int, step: int, rng: int) -> list[int]:
    """The images of an update: each epoch has all of them once, in its own order; an update may reach into the next."""
    rows: list[int] = []
    place = step * batch
    while len(rows) < batch:
        epoch, start = divmod(place, count)
        order = torch.randperm(count, generator=_generator(rng, f"epoch {epoch}")).tolist()
        taken = order[start : start + batch - len(rows)]
        rows += taken
        place += len(taken)
    return rows


def _update(lesson: Lesson, rows: list[int], together: int, place: tuple[int, int]) -> tuple[float, int]:
    """Adds an update's gradient, `together` images at a time, fewer where memory runs out -> its loss, and that number."""
    while True:
        try:
            return _accumulate(lesson, rows, together, _generator(place[0], f"update {place[1]}")), together
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if together == 1:
                raise EnvironmentFault(
                    "adapt: out of memory with one image at a time; try a smaller --size or another --device"
                ) from error
        together //= 2
        for parameter in lesson.parameters().values():
            parameter.grad = None  # of the part that fitted


def _accumulate(lesson: Lesson, rows: list[int], together: int, generator: torch.Generator) -> float:
    total = 0.0
    for start in range(0, len(rows), together):
        loss = lesson.losses(rows[start : start + together], generator).sum() / len(rows)
        loss.backward()
        total += loss.item()
    return total


def _generator(rng: int, purpose: str) -> torch.Generator:
    digest = hashlib.sha256(f"{rng}\0adapt\0{purpose}".encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _save(
    path: Path, step: int, losses: list[float], parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """The state of the loop, whole or not at all."""
    buffer = io.BytesIO()
    values = {name: parameter.detach().cpu() for name, parameter in parameters.items()}
    torch.save({"step": step, "losses": losses, "values": values, "optimizer": optimizer.state_dict()}, buffer)
    write_atomic(path, buffer.getvalue())


def _restore(path: Path, parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> tuple[int, list[float]]:
    """The next update, and the losses so far; 0 where nothing was saved."""
    if not path.is_file():
        return 0, []
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state["values"][name])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), list(state["losses"])
