"""Start an AutoencoderDC at the best linear code of 8x8 patches (PCA), so that training begins at 28 dB, not at 10.

Every residual branch starts at zero; what remains is linear but for the decoder's last norm and ReLU. The decoder is
set by hand (the stream carries the pixels of each cell, then +pixels, -pixels and constants that keep the norm
steady); the encoder keeps its random linear path, and its last convolution is fitted by least squares.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderDC
from torch import Tensor, nn
from torch.nn import functional as F

CELL = 8
STEADY = 6.0  # constants beside pixels in [-1, 1]: the last RMS norm then varies by about 1%


@torch.no_grad()
def warm_start(model: AutoencoderDC, x: Tensor) -> None:
    """Set `model` to the principal code of the cells of x (b 3 h w) in [-1, 1], each latent channel of unit std."""
    cells = F.pixel_unshuffle(x, CELL).movedim(1, -1).reshape(-1, 3 * CELL**2)
    mean, channels = cells.mean(0), model.config["latent_channels"]
    values, vectors = torch.linalg.eigh(torch.cov(cells.T))
    basis = vectors[:, -channels:].flip(1) * values[-channels:].flip(0).sqrt()  # (192 channels), z ~ unit std
    for name, p in model.named_parameters():
        if name.endswith("norm.weight"):
            nn.init.zeros_(p)
    _decoder(model.decoder, basis, mean)
    _encoder(model.encoder, x, (cells - mean) @ torch.linalg.pinv(basis).T)


def _decoder(decoder: nn.Module, basis: Tensor, mean: Tensor) -> None:
    first = decoder.conv_in
    _point(first, basis - _repeat(first.out_channels, first.in_channels, decoder.in_shortcut_repeats), mean)
    ups = [block[0] for block in decoder.up_blocks[1:-1]]  # 1/4, then 1/2 -- listed from fine to coarse
    for up, cell in zip(reversed(ups), (4, 2), strict=True):
        conv = up.conv
        weight = -_repeat(conv.out_channels, conv.in_channels, up.repeats)
        bias = torch.zeros(conv.out_channels)
        for c in range(3):
            for y in range(2 * cell):
                for x in range(2 * cell):
                    source = (c * 2 * cell + y) * 2 * cell + x
                    target = ((c * cell + y % cell) * cell + x % cell) * 4 + y // cell * 2 + x // cell
                    weight[target, source] += 1
                    if cell == 2:
                        weight[target + 12 * 4, source] -= 1
        if cell == 2:
            bias[24 * 4 :] = STEADY
        _point(conv, weight, bias)
    last, n = decoder.conv_out.conv, decoder.norm_out.weight.numel()
    gain = STEADY * ((n - 24) / n) ** 0.5  # the norm divides by about this
    decoder.norm_out.weight.fill_(1.0)
    decoder.norm_out.bias.zero_()
    weight = torch.zeros(12, n)
    weight[:, :12], weight[:, 12:24] = gain * torch.eye(12), -gain * torch.eye(12)
    _point(last, weight, torch.zeros(12))


def _encoder(encoder: nn.Module, x: Tensor, z: Tensor) -> None:
    last = encoder.conv_out
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    features: list[Tensor] = []
    hook = last.register_forward_hook(lambda _, inputs, __: features.append(inputs[0]))
    shortcut = torch.cat([encoder(part) for part in x.split(64)]).movedim(1, -1).reshape(len(z), -1)
    hook.remove()
    h = torch.cat(features).movedim(1, -1).reshape(len(z), -1)
    h = torch.cat([h, torch.ones(len(h), 1)], 1)
    gram = h.T @ h
    gram += 1e-6 * gram.trace() / len(gram) * torch.eye(len(gram))
    solution = torch.linalg.solve(gram.double(), (h.T @ (z - shortcut)).double()).float().T
    _point(last, solution[:, :-1], solution[:, -1])


def _repeat(out: int, inside: int, repeats: int) -> Tensor:
    """The matrix (out inside) of a shortcut that repeats each channel."""
    return torch.eye(inside).repeat_interleave(repeats, 0)[:out]


def _point(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    """Make a 3x3 convolution act on the middle pixel only, as the matrix `weight` plus `bias`."""
    nn.init.zeros_(conv.weight)
    conv.weight[:, :, 1, 1] = weight
    conv.bias.copy_(bias)
