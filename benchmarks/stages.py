"""Speed and memory of a whole run on this machine, as ratios of arms that alternate in one run. `make bench`.

    python benchmarks/stages.py [--prior NAME] [--quick]

Prints a Markdown table: images/s of each stage and end to end (200 seeds x 5 at 128 px), batched against one at a
time, with another process busy on a core, peak memory for 100 and for 5,000 seeds, --help and the no-op rerun.
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import skimage.data
from PIL import Image

PICTURES = (
    "brick.png",
    "chelsea.png",
    "coffee.png",
    "grass.png",
    "gravel.png",
    "astronaut.png",
    "ihc.png",
    "rocket.jpg",
)
GIF = [sys.executable, "-m", "gifcli"]
BUSY = "while True: pass"


def photos(folder: Path, classes: int, each: int, side: int) -> Path:
    """Random crops of scikit-image's pictures as class folders."""
    draw = random.Random(0)
    for label in range(classes):
        picture = Image.open(Path(skimage.data.__file__).parent / PICTURES[label % len(PICTURES)]).convert("RGB")
        target = folder / f"class{label:02d}"
        target.mkdir(parents=True)
        for i in range(each):
            crop = draw.randint(side, min(picture.size))
            left, top = (draw.randint(0, length - crop) for length in picture.size)
            tile = picture.crop((left, top, left + crop, top + crop)).resize((side, side), Image.Resampling.LANCZOS)
            tile.save(target / f"{i:04d}.jpg", quality=92)
    return folder


def gif(*arguments: object) -> tuple[dict, float, float]:
    """Runs gif -> (its JSON, wall seconds, peak resident MB)."""
    start = time.perf_counter()
    command = [*GIF, *map(str, arguments), "--json", "-q"]
    with tempfile.TemporaryFile("w+") as out, subprocess.Popen(command, stdout=out) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read()
    if process.returncode not in {0, 4}:
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}: {text}")
    data = json.loads(text)
    return data, time.perf_counter() - start, usage.ru_maxrss / 1024


def rate(run: Path, stage: str, *arguments: object) -> float:
    """Images/s of one stage, done again on a copy of a run."""
    with tempfile.TemporaryDirectory(dir=run.parent) as folder:
        copy = Path(folder) / "run"
        shutil.copytree(run, copy)
        return gif(stage, copy, "--redo", *arguments)[0]["rates"][stage]


def end_to_end(source: Path, run: Path, prior: str) -> list[tuple[str, str]]:
    data, seconds, _ = gif("expand", source, "-o", run, "--ratio", "5x", "--prior", prior)
    rows = [(f"{stage}, images/s", f"{value:.1f}") for stage, value in data["rates"].items()]
    rows.append(
        ("end to end, kept images/s", f"{data['generated'] / seconds:.1f} ({data['generated']} in {seconds:.0f} s)")
    )
    rows.append(("kept by the checks", f"{data['kept_share']:.0%}"))
    _, again, _ = gif("expand", source, "-o", run, "--ratio", "5x", "--prior", prior)
    return [*rows, ("the same again (nothing owed), s", f"{again:.2f}")]


def ratios(run: Path, rounds: int) -> list[tuple[str, str]]:
    """Batched against one at a time, and quiet against busy, alternating."""
    batched, single, busy = [], [], []
    for _ in range(rounds):
        batched.append(rate(run, "generate"))
        single.append(rate(run, "generate", "--batch-size", 1))
        with subprocess.Popen([sys.executable, "-c", BUSY]) as other:
            busy.append(rate(run, "generate"))
            other.kill()
    quiet = statistics.median(batched)
    return [
        ("generate: batched / one at a time", f"{quiet / statistics.median(single):.2f}"),
        ("generate: another process busy / quiet", f"{statistics.median(busy) / quiet:.2f}"),
    ]


def memory(folder: Path, prior: str, large: int) -> list[tuple[str, str]]:
    """Peak resident memory by the number of seeds, unguided at 1x and 64 px."""
    peaks = {}
    for seeds in (100, large):
        source = photos(folder / f"photos{seeds}", 10, seeds // 10, 64)
        options = ("--ratio", "1x", "--set", "guidance.steps=0", "--prior", prior)
        peaks[seeds] = gif("expand", source, "-o", folder / f"run{seeds}", *options)[2]
    growth = peaks[large] / peaks[100]
    return [(f"peak memory, 100 / {large} seeds, MB", f"{peaks[100]:.0f} / {peaks[large]:.0f} = {growth:.2f}x")]


def help_time() -> list[tuple[str, str]]:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([*GIF, "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return [("gif --help, s", f"{statistics.median(times):.2f}")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default="auto")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it works")
    arguments = parser.parse_args()
    each, large, rounds = (2, 500, 1) if arguments.quick else (20, 5000, 3)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = photos(folder / "photos", 10, each, 128)
        rows = help_time() + end_to_end(source, folder / "run", arguments.prior)
        rows += ratios(folder / "run", rounds) + memory(folder, arguments.prior, large)
    print(f"{os.cpu_count()} CPUs, {platform.machine()}, load {os.getloadavg()[0]:.1f}, prior {arguments.prior}\n")
    print("| what | measured |\n|---|---|")
    print("\n".join(f"| {what} | {value} |" for what, value in rows))


if __name__ == "__main__":
    main()
