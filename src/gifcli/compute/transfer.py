"""Arrays to a device and back without making the host wait: pinned memory and non-blocking copies where there is a GPU."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gifcli.records import Array


def upload(array: Array, device: str) -> Tensor:
    """The array as a tensor on the device; the host goes on before the copy has ended, and need not keep the array."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True, slots=True)
class Landing:
    """Pixels (b h w 3) uint8 on their way from a device; `arrived` tells when they are there."""

    levels: Tensor
    arrived: torch.cuda.Event | None

    def pixels(self) -> Array:
        """Waits for them; any thread may ask, as often as it likes."""
        if self.arrived is not None:
            self.arrived.synchronize()
        pixels: np.ndarray = self.levels.numpy()
        return pixels


def land(images: Tensor) -> Landing:
    """Images (b 3 h w) in [-1, 1], clipped -> pixels, copied while the device works on.

    On a GPU the copy goes to pinned memory behind the work that is queued now.
    """
    levels = ((images.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    levels = levels.permute(0, 2, 3, 1).contiguous()
    if levels.device.type != "cuda":
        return Landing(levels.cpu(), None)
    host = torch.empty(levels.shape, dtype=torch.uint8, pin_memory=True)
    host.copy_(levels, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(levels.device))
    return Landing(host, arrived)
