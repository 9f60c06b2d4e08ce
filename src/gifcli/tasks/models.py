"""The models that a process loads, once, and what it has learned of the batches that fit."""

from contextlib import nullcontext
from functools import lru_cache
from threading import Lock

from gifcli.compute.batching import MOST, PROBE, BatchLimit, CudaMemory
from gifcli.encoders import Encoder, make_encoder
from gifcli.engines.pulse import beat
from gifcli.priors import Prior, make_prior
from gifcli.recipe.recipe import Recipe
from gifcli.tasks.arguments import prior_settings

LOADING = Lock()


def load_models(recipe: Recipe, device: str) -> tuple[Prior, Encoder]:
    """Loaded once a process, whichever thread asks first."""
    dtype = recipe.run.dtype
    with LOADING:
        return _prior(prior_settings(recipe), device, dtype), _encoder(recipe.encoder.name, device, dtype)


@lru_cache
def batch_limit(stage: str, device: str, batch_size: int) -> BatchLimit:  # noqa: ARG001 - one limit a stage
    """What this process has learned of the batches that fit, for one stage on one device."""
    turn = _turn(device) if device.startswith("cuda") else nullcontext()
    if batch_size:
        return BatchLimit(batch_size, batch_size, beat=beat, turn=turn)
    return BatchLimit(PROBE, MOST, CudaMemory(device), beat=beat, turn=turn)


@lru_cache
def _turn(device: str) -> Lock:  # noqa: ARG001 - one lock a device
    """Of the threads that share a GPU."""
    return Lock()


_prior = lru_cache(maxsize=1)(make_prior)
_encoder = lru_cache(maxsize=1)(make_encoder)
