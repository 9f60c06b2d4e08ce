"""Prompts as the denoiser's condition: the token states of one text encoder (SD) or two (SDXL), computed once a prompt."""

from collections import OrderedDict
from threading import Lock
from typing import Any

import torch
from torch import Tensor

KEPT = 256
"""Prompts whose embeddings are kept: one of SDXL takes 0.6 MB in float32."""

Embedding = dict[str, Tensor]
""""states" (77 d), and for SDXL "pooled" (p)."""


class Texts:
    """Embeds prompts; those of lately used ones are kept.

    zeros  whether the empty prompt stands for zeros, as in SDXL, rather than for its embedding
    """

    def __init__(self, tokenizers: list[Any], encoders: list[Any], device: torch.device, *, zeros: bool) -> None:
        self.tokenizers, self.encoders, self.device, self.zeros = tokenizers, encoders, device, zeros
        self._known: OrderedDict[str, Embedding] = OrderedDict()
        self._lock = Lock()

    def embed(self, prompts: list[str]) -> dict[str, Tensor]:
        """Prompts (n) -> "states" (n 77 d) and, with two encoders, "pooled" (n p); too long ones are cut."""
        with self._lock:
            for prompt in dict.fromkeys(prompts):
                self._known[prompt] = self._known.pop(prompt) if prompt in self._known else self._embed(prompt)
            rows = [self._known[prompt] for prompt in prompts]
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def nothing(self, rows: int) -> dict[str, Tensor]:
        """The empty prompt, which classifier-free guidance leads away from, `rows` times."""
        one = self.embed([""])
        return {
            name: (torch.zeros_like(part) if self.zeros else part).expand(rows, *part.shape[1:])
            for name, part in one.items()
        }

    @torch.no_grad()
    def _embed(self, prompt: str) -> Embedding:
        """One prompt at a time, so that its embedding is the same in any company."""
        outputs = [
            encoder(self._tokens(tokenizer, prompt), output_hidden_states=True)
            for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True)
        ]
        if len(outputs) == 1:
            return {"states": outputs[0][0][0]}
        states = torch.cat([output.hidden_states[-2] for output in outputs], -1)
        return {"states": states[0], "pooled": outputs[-1][0][0]}

    def _tokens(self, tokenizer: Any, prompt: str) -> Tensor:
        length = tokenizer.model_max_length
        made = tokenizer([prompt], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        tokens: Tensor = made.input_ids.to(self.device)
        return tokens
