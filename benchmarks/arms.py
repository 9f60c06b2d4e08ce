"""What is compared in generate.py: ways to turn the same seeds into images, each with the same checkpoint."""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from diffusers import AutoencoderTiny, DPMSolverMultistepScheduler, StableDiffusionImg2ImgPipeline
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from gifcli.engines import Engine, EngineSettings, Job, make_engine
from gifcli.state.shards import ShardStore
from gifcli.tasks.reading import read_seeds
from gifcli.tasks.task import StageTask

PROMPT = "a photo of a cat"


@dataclass(frozen=True)
class Setting:
    """How images are sampled; `batch` images together, but for the reference, which takes two."""

    steps: int
    strength: float
    scale: float
    batch: int
    device: str
    dtype: str
    tiny: bool
    """Decode with the tiny autoencoder."""


Arm = Callable[[], int]
"""Makes images; -> how many."""


def stage(root: Path, task: StageTask, jobs: list[Job], engine: Engine) -> Arm:
    """Our generate stage: read the shards, sample, encode JPEGs, pack, commit; the models are loaded."""

    def run() -> int:
        store, images = ShardStore(root), 0
        for result in engine.run(task, jobs):
            store.write("generate", result.shard, result.members, result.mark)
            images += result.images
        return images

    list(engine.run(task, jobs))
    return run


def inline(device: str) -> Engine:
    return make_engine(EngineSettings("inline", (device,)))


def pool(workers: int, devices: tuple[str, ...]) -> Engine:
    return make_engine(EngineSettings("local", devices, workers))


def ray(workers: int) -> Engine:
    """On a Ray of its own on this machine."""
    return make_engine(EngineSettings("ray", ("cpu",), workers))


def bare(prior: Any, root: Path, jobs: list[Job], setting: Setting) -> Arm:
    """A sampler and decode loop written out: diffusers' UNet, scheduler and autoencoder, all else computed beforehand."""
    seeds = [seed for job in jobs for seed in read_seeds(ShardStore(root), job.shard.n).values()]
    count = sum(len(job.items) for job in jobs)
    unet, vae = prior.unet, prior.autoencoder.tiny if setting.tiny else prior.autoencoder.vae
    dtype = next(unet.parameters()).dtype
    f = torch.from_numpy(np.stack([seeds[i % len(seeds)].latent for i in range(count)])).to(setting.device)
    states = prior.texts.embed([PROMPT])["states"].to(setting.device, dtype)
    empty = prior.texts.embed([""])["states"].to(setting.device, dtype)

    @torch.inference_mode()
    def run() -> int:
        for start in range(0, count, setting.batch):
            x = f[start : start + setting.batch]
            scheduler = DPMSolverMultistepScheduler.from_config(prior.denoiser.own.config)
            timesteps = _timesteps(scheduler, setting)
            x = scheduler.add_noise(x, torch.randn_like(x), timesteps[:1])
            guided = setting.scale > 1
            told = torch.cat([empty, states]).repeat_interleave(len(x), 0) if guided else states.expand(len(x), -1, -1)
            for t in timesteps:
                twice = torch.cat([x, x]) if guided else x
                out = unet(twice.to(dtype), t, told).sample.float()
                if guided:
                    without, given = out.chunk(2)
                    out = without + setting.scale * (given - without)
                x = scheduler.step(out, t, x).prev_sample
            images = vae.decode((x / vae.config.scaling_factor).to(dtype)).sample
            (images.float().clamp(-1, 1) * 127.5 + 127.5).to(torch.uint8).cpu()
        return count

    run()
    return run


def _timesteps(scheduler: Any, setting: Setting) -> torch.Tensor:
    scheduler.set_timesteps(setting.steps)
    first = setting.steps - max(1, int(setting.steps * setting.strength))
    scheduler.set_begin_index(first)
    return scheduler.timesteps[first:]


def stock(folder: Path, root: Path, jobs: list[Job], setting: Setting) -> Arm:
    """Diffusers' own img2img pipeline in batches, PIL in and JPEG out."""
    options = {"torch_dtype": getattr(torch, setting.dtype), "safety_checker": None}
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(folder, **options).to(setting.device)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    if setting.tiny:
        tiny = AutoencoderTiny.from_pretrained(folder / "tiny_vae", torch_dtype=options["torch_dtype"])
        pipeline.vae = tiny.to(setting.device)
    pipeline.set_progress_bar_config(disable=True)
    images = _pictures(root, jobs)

    def run() -> int:
        for start in range(0, len(images), setting.batch):
            batch = images[start : start + setting.batch]
            made = pipeline(
                prompt=[PROMPT] * len(batch), image=batch, strength=setting.strength,
                num_inference_steps=setting.steps, guidance_scale=setting.scale,
            ).images  # fmt: skip
            for image in made:
                image.save(io.BytesIO(), "JPEG", quality=95)
        return len(images)

    pipeline(prompt=[PROMPT], image=images[:1], strength=setting.strength, num_inference_steps=2)
    return run


def reference(folder: Path, root: Path, jobs: list[Job], setting: Setting, encoder: Any) -> Arm:
    """The released code's procedure: two images at a time in float32, seed and text encoded anew for each, one ascent step
    through the whole VAE, denoising with guidance, decoding.
    """
    options = {"torch_dtype": torch.float32, "safety_checker": None}
    pipe = StableDiffusionImg2ImgPipeline.from_pretrained(folder, **options).to(setting.device)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    images = _pictures(root, jobs)

    def run() -> int:
        for start in range(0, len(images), 2):
            pair = images[start : start + 2]
            pixels = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in pair])
            pixels = pixels.to(setting.device).float() / 127.5 - 1
            with torch.no_grad():
                f = pipe.vae.encode(pixels).latent_dist.sample() * pipe.vae.config.scaling_factor
                target = encoder.images(pixels)
            b = torch.zeros(len(pair), 4, 1, 1, device=setting.device, requires_grad=True)
            seen = encoder.images(pipe.vae.decode((f + b) / pipe.vae.config.scaling_factor).sample)
            (gradient,) = torch.autograd.grad((seen * target).sum(), b)
            made = pipe(
                prompt=[PROMPT] * len(pair), image=f + 0.1 * gradient.sign(), strength=setting.strength,
                num_inference_steps=setting.steps, guidance_scale=setting.scale,
            ).images  # fmt: skip
            for image in made:
                image.save(io.BytesIO(), "PNG")
        return len(images)

    return run


def guidance_costs(prior: Any, encoder: Any, setting: Setting, rounds: int) -> dict[str, float]:
    """Milliseconds an image: one evaluation of the denoiser, one ascent step through the tiny and through the whole VAE."""
    side = int(prior.unet.config.sample_size)
    x = torch.randn(setting.batch, 4, side, side, device=setting.device)
    dtype = next(prior.unet.parameters()).dtype
    states = prior.texts.embed([PROMPT])["states"].to(setting.device, dtype).expand(setting.batch, -1, -1)

    def evaluate() -> None:
        with torch.inference_mode():
            prior.unet(x.to(dtype), 500, states)

    def ascend(decode: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], None]:
        def step() -> None:
            z = x.clone().requires_grad_()
            torch.autograd.grad(encoder.images(decode(z), 128).sum(), z)

        return step

    steps = {
        "denoiser": evaluate,
        "tiny": ascend(prior.autoencoder.decode_cheaply),
        "vae": ascend(prior.autoencoder.decode),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            times[name].append(timed(step, setting.device) * 1000 / setting.batch)
    return {name: float(np.median(found[1:])) for name, found in times.items()}


def matmul_share(prior: Any, setting: Setting, rounds: int) -> tuple[float, float, float]:
    """-> GFLOP of one evaluation of the denoiser on one image; GFLOP/s it reaches in batches; GFLOP/s of a large product."""
    side = int(prior.unet.config.sample_size)
    dtype = next(prior.unet.parameters()).dtype
    x = torch.randn(setting.batch, 4, side, side, device=setting.device).to(dtype)
    states = prior.texts.embed([PROMPT])["states"].to(setting.device, dtype).expand(setting.batch, -1, -1)
    n = 8192 if setting.device.startswith("cuda") else 2048
    a = torch.randn(n, n, device=setting.device).to(dtype)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            prior.unet(x, 500, states)
        flop = counter.get_total_flops() / 1e9
        times = [(timed(lambda: prior.unet(x, 500, states), setting.device), timed(lambda: a @ a, setting.device))
                 for _ in range(3 * rounds + 1)]  # fmt: skip
    denoise, product = (float(np.median(found[1:])) for found in zip(*times, strict=True))
    return flop / setting.batch, flop / denoise, 2 * n**3 / 1e9 / product


def timed(work: Callable[[], Any], device: str) -> float:
    """Seconds, with the device's queue empty before and after."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def core_seconds() -> float:
    """Processor time that this process and its workers have taken so far."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def busy_share(work: Arm, device: str) -> float:
    """The share of the time in which the device computes: kernel time on a GPU, processor time of one thread on a CPU."""
    if not device.startswith("cuda"):
        before = time.process_time()
        seconds = timed(work, device)
        return (time.process_time() - before) / seconds
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        seconds = timed(work, device)
    return sum(event.self_device_time_total for event in profiled.key_averages()) / 1e6 / seconds


def _pictures(root: Path, jobs: list[Job]) -> list[Image.Image]:
    """The seed of every image that is owed."""
    store = ShardStore(root)
    pixels = {key: seed.pixels for job in jobs for key, seed in read_seeds(store, job.shard.n).items()}
    return [Image.fromarray(pixels[key]) for job in jobs for key, _ in job.items]
