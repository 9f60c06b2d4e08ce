"""Speed of the generate stage beside other ways to sample, with random weights of a real architecture. `make bench-generate`.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/generate.py    small components on a CPU, Stable Diffusion 1.5's on a GPU
    python benchmarks/generate.py --size sd15 --device cuda:0,cuda:1 --images 128 --batch 32
    python benchmarks/generate.py --quick                a few images, to see that it works

Nothing is downloaded. All arms make the same images from the same seeds and alternate in one run; what counts is ratios.
Prints Markdown tables: images/s of each arm, of 1..N workers and of Ray on this machine, the share of the time in which the
device computes, the share of a large matrix product's speed that the denoiser reaches, and what a guidance step costs through
the tiny and the whole autoencoder beside one evaluation of the denoiser.
"""

import argparse
import os
import platform
import statistics
import tempfile
from pathlib import Path

import architectures
import arms
import torch

from gifcli import session
from gifcli.compute.devices import choose_devices, cores
from gifcli.engines import Engine, Job
from gifcli.pipeline import rule_classes
from gifcli.recipe.recipe import Recipe, load_recipe
from gifcli.state import owed
from gifcli.tasks.models import load_models
from gifcli.tasks.task import StageTask
from stages import photos

SETTINGS = {
    "full": {"steps": 20, "scale": 7.5, "decoder": "vae"},
    "turbo": {"steps": 8, "scale": 1.0, "decoder": "tiny"},
}
"""full: classifier-free guidance, the whole VAE; turbo: no guidance scale, the tiny one. Both at strength 0.5."""
STRENGTH = 0.5


def make_run(
    folder: Path, checkpoint: Path, arguments: argparse.Namespace, name: str
) -> tuple[Path, Recipe, StageTask, list[Job]]:
    """A run whose seeds and noises are there, and what its generate stage owes."""
    wanted = SETTINGS[name]
    settings = {
        "prior.name": str(checkpoint), "prior.strength": STRENGTH, "prior.steps": wanted["steps"],
        "prior.guidance_scale": wanted["scale"], "prior.decoder": wanted["decoder"], "prior.prompt": arms.PROMPT,
        "encoder.name": "embedded", "guidance.steps": 0, "ratio": 4, "run.shard_seeds": 4,
        "run.device": arguments.device.partition(",")[0], "run.batch_size": arguments.batch,
    }  # fmt: skip
    recipe = load_recipe("", settings, "the benchmark")
    side = 512 if arguments.size == "sd15" else 128
    root = folder / f"run-{name}"
    source = folder / "photos"
    if not source.is_dir():
        photos(source, 4, max(1, arguments.images // 16), side)
    session.extract(source, root, recipe)
    session.run_stage("optimize", root, {})
    with session.opened(source, root, recipe, session.Access()) as run:
        jobs = owed.generate_jobs(run.plan, run.targets(), owed.read_progress(run.store), 1)
        task = StageTask(
            "generate", run.root.resolve(), source.resolve(), run.recipe, rule_classes(run), arguments.batch
        )
        return run.root.resolve(), run.recipe, task, jobs


def compare(folder: Path, checkpoint: Path, arguments: argparse.Namespace, name: str) -> list[str]:
    """One table: each arm's images/s, beside our stage in this process."""
    root, recipe, task, jobs = make_run(folder, checkpoint, arguments, name)
    devices = choose_devices(arguments.device, several=True)
    device = devices[0]
    wanted = SETTINGS[name]
    tiny = wanted["decoder"] == "tiny"
    setting = arms.Setting(wanted["steps"], STRENGTH, wanted["scale"], arguments.batch, device, recipe.run.dtype, tiny)
    prior, encoder = load_models(recipe, device)
    engines: list[Engine] = []
    made = {"our stage, in this process": arms.stage(root, task, jobs, arms.inline(device))}
    most = len(devices) if device != "cpu" else min(cores(), arguments.workers)
    for workers in range(1, most + 1):
        engines.append(arms.pool(workers, devices[:workers] if device != "cpu" else devices))
        made[f"our pool, {workers} worker{'s' * (workers > 1)}"] = arms.stage(root, task, jobs, engines[-1])
    if device == "cpu":
        engines.append(arms.ray(most))
        made[f"Ray, {most} worker{'s' * (most > 1)}"] = arms.stage(root, task, jobs, engines[-1])
    made["bare sampler and decode loop"] = arms.bare(prior, root, jobs, setting)
    made[f"stock diffusers, {setting.dtype}"] = arms.stock(checkpoint, root, jobs, setting)
    made["the reference's procedure (2 at a time, float32)"] = arms.reference(checkpoint, root, jobs, setting, encoder)
    threads = torch.get_num_threads()
    rates: dict[str, list[tuple[float, float]]] = {arm: [] for arm in made}
    for _ in range(arguments.rounds):
        for arm, work in made.items():
            torch.set_num_threads(1)  # every arm gets a core a worker
            images, before = [0], arms.core_seconds()
            seconds = arms.timed(lambda work=work, images=images: images.__setitem__(0, work()), device)
            rates[arm].append((images[0] / seconds, 1000 * (arms.core_seconds() - before) / images[0]))
    busy = arms.busy_share(made["our stage, in this process"], device)
    torch.set_num_threads(threads)
    for engine in engines:
        engine.close()
    return _table(name, setting, rates, busy)


def _table(name: str, setting: arms.Setting, rates: dict[str, list[tuple[float, float]]], busy: float) -> list[str]:
    """Medians; core-ms is the processor time an image takes, which other work on the machine hardly changes."""
    medians = {arm: tuple(map(statistics.median, zip(*found, strict=True))) for arm, found in rates.items()}
    own_rate, own_cost = medians["our stage, in this process"]
    evaluations = max(1, int(setting.steps * setting.strength)) * (2 if setting.scale > 1 else 1)
    lines = [
        f"\n**{name}**: {evaluations} evaluations an image, batch {setting.batch}, {setting.dtype}\n",
        "| arm | images/s | our stage / this | core-ms an image | this / our stage |\n|---|---|---|---|---|",
    ]
    lines += [
        f"| {arm} | {rate:.2f} | {own_rate / rate:.2f} | {cost:.0f} | {cost / own_cost:.2f} |"
        for arm, (rate, cost) in medians.items()
    ]
    return [*lines, f"\nShare of the stage in which the device computes: {busy:.0%}"]


def guidance(checkpoint: Path, arguments: argparse.Namespace, folder: Path) -> list[str]:
    """What an ascent step costs."""
    _, recipe, _, _ = make_run(folder, checkpoint, arguments, "full")
    device = choose_devices(arguments.device, several=True)[0]
    prior, encoder = load_models(recipe, device)
    torch.set_num_threads(1)
    setting = arms.Setting(1, STRENGTH, 1.0, arguments.batch, device, recipe.run.dtype, tiny=True)
    flop, reached, peak = arms.matmul_share(prior, setting, arguments.rounds)
    costs = arms.guidance_costs(prior, encoder, setting, arguments.rounds)
    rows = {
        "denoiser": "one evaluation of the denoiser",
        "tiny": "ascent step, tiny autoencoder",
        "vae": "ascent step, VAE",
    }
    share = f"{flop:.2f} GFLOP an evaluation and image, {reached:.0f} GFLOP/s, a large product {peak:.0f}: {reached / peak:.0%}"
    lines = [f"\nDenoiser on one core or GPU: {share}", "\n| | ms an image | evaluations |\n|---|---|---|"]
    return lines + [f"| {rows[name]} | {cost:.1f} | {cost / costs['denoiser']:.2f} |" for name, cost in costs.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    gpu = torch.cuda.is_available()
    parser.add_argument("--size", choices=list(architectures.SIZES), default="sd15" if gpu else "small")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda:0 or several, cuda:0,cuda:1")
    parser.add_argument("--images", type=int, default=128 if gpu else 64, help="a multiple of 16")
    parser.add_argument("--batch", type=int, default=32 if gpu else 8)
    parser.add_argument("--workers", type=int, default=2, help="most processes on a CPU")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="16 images, one round")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.images, arguments.rounds, arguments.workers = 16, 1, 1
    where = (
        torch.cuda.get_device_name() if gpu and arguments.device != "cpu" else f"{cores()} CPUs {platform.machine()}"
    )
    print(
        f"{where}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}, {arguments.size}, {arguments.images} images"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = architectures.save(arguments.size, folder / "checkpoint")
        for setting in SETTINGS:
            print("\n".join(compare(folder, checkpoint, arguments, setting)), flush=True)
        print("\n".join(guidance(checkpoint, arguments, folder)))


if __name__ == "__main__":
    main()
