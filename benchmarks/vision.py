"""Measure embedding of generated JPEGs against the model alone: ``python -m benchmarks.vision``.

Three figures in one process, the median of several rounds that take turns: decoding alone (worker
threads, no model), the model alone on tensors that are ready, and end to end, from files to
committed rows. What counts is end to end as a share of the model alone. Weights are random: they
do not change the time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from prime_sql.vision import Clip, Place, load_images
from prime_sql.vision.embed import embed_missing
from prime_sql.vision.network import batch_size_on, need
from prime_sql.vision.pictures import decode, read
from prime_sql.vision.steps import open_session

WIDTH, HEIGHT, QUALITY = 500, 375, 90  # what an image of ImageNet has on average
MODELS = ("lite0", "vit-b-32")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vision", description=__doc__)
    parser.add_argument("--device", default="auto", help="cpu or cuda (default: auto)")
    parser.add_argument("--images", type=int, help="how many (1,024 on a CPU, 20,000 on a GPU)")
    parser.add_argument("--model", action="append", choices=MODELS, help="default: both")
    parser.add_argument("--rounds", type=int, default=3, help="how often each figure is taken")
    parser.add_argument("--threads", type=int, help="decoding threads (default: one a core)")
    parser.add_argument("--batch-size", type=int, help="default: as the commands")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    place = Place.choose(options.device)
    images = options.images or (20_000 if place.device.type == "cuda" else 1024)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "pictures")
        console.print(f"{images:,} JPEGs of {WIDTH} x {HEIGHT} pixels …")
        size = _generate(pictures, images)
        scaling = _scaling(sorted(pictures.iterdir())[: min(images, 4000)])
        results = [
            _measure(name, place, pictures, images, options)
            for name in options.model or (MODELS if place.device.type == "cpu" else MODELS[1:])
        ]
    _show(results, scaling, size / images, place)
    if options.json:
        options.json.write_text(json.dumps({"models": results, "decode": scaling}, indent=2) + "\n")


def _generate(folder: Path, images: int) -> int:
    """Write JPEGs with the detail of photographs; return their bytes."""
    folder.mkdir()
    with ProcessPoolExecutor() as pool:
        starts = range(0, images, 250)
        sizes = pool.map(_write, [folder] * len(starts), starts, [images] * len(starts))
        return sum(sizes)


def _write(folder: Path, start: int, images: int) -> int:
    pil = need("PIL.Image")
    generator = np.random.default_rng(start)
    size = 0
    for number in range(start, min(start + 250, images)):
        # Noise at several scales, louder the coarser: the spectrum of natural scenes.
        picture = np.full((HEIGHT, WIDTH, 3), 128.0)
        for scale, loudness in ((4, 60), (16, 40), (64, 20), (250, 10)):
            noise = generator.normal(0, loudness, (scale * 3 // 4 + 1, scale, 3))
            layer = [
                pil.fromarray(noise[..., c].astype(np.float32)).resize((WIDTH, HEIGHT), 3)
                for c in range(3)
            ]
            picture += np.stack([np.asarray(c) for c in layer], axis=2)
        file = folder / f"{number:06d}.jpg"
        pil.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file, quality=QUALITY)
        size += file.stat().st_size
    return size


def _clip(name: str, place: Place) -> Clip:
    open_clip = need("open_clip")
    if name == "vit-b-32":
        module, _, transform = open_clip.create_model_and_transforms("ViT-B-32", pretrained=None)
    else:
        tower = {
            "timm_model_name": "tf_efficientnet_lite0",
            "timm_pool": "avg",
            "timm_proj": "linear",
            "image_size": 224,
        }
        text = {"width": 64, "heads": 1, "layers": 1}
        module = open_clip.CustomTextCLIP(384, tower, text)
        transform = open_clip.image_transform(224, is_train=False)
    return Clip(module, transform, open_clip.get_tokenizer("ViT-B-32"), place, name)


def _measure(
    name: str, place: Place, pictures: Path, images: int, options: argparse.Namespace
) -> dict[str, Any]:
    clip = _clip(name, place)
    files = sorted(pictures.iterdir())
    batch_size = batch_size_on(place, options.batch_size)
    ready = [clip.prepare(decode(read(str(f)), clip.pixels)) for f in files[:batch_size]]
    clip.run(ready)  # kernels are chosen, memory is taken
    threads = options.threads or len(os.sched_getaffinity(0))
    figures: dict[str, list[float]] = {"decode": [], "alone": [], "end to end": []}
    busy: list[float] = []
    for _ in range(options.rounds):
        start = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            for _picture in pool.map(
                lambda f: clip.prepare(decode(read(str(f)), clip.pixels)), files
            ):
                pass
        figures["decode"].append(images / (time.perf_counter() - start))
        start = time.perf_counter()
        for _ in range(images // batch_size):
            clip.run(ready)
        figures["alone"].append(images // batch_size * batch_size / (time.perf_counter() - start))
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder, "bench.duckdb")
            load_images(pictures, database)
            with open_session(database) as warehouse, _Busy(place) as watch:
                done = embed_missing(
                    warehouse, clip, {}, batch_size=batch_size, threads=threads, on_images=None
                )
        figures["end to end"].append(done.images / done.seconds)
        busy.append(watch.share)
    medians = {figure: median(values) for figure, values in figures.items()}
    shares = [e / m for e, m in zip(figures["end to end"], figures["alone"], strict=True)]
    return {
        "model": name,
        **medians,
        "share": median(shares),
        "shares": shares,
        "busy": median(busy) if place.device.type == "cuda" else None,
        "batch_size": batch_size,
        "threads": threads,
    }


class _Busy:
    """The share of time in which the GPU works, as nvidia-smi says, five times a second."""

    def __init__(self, place: Place) -> None:
        self.share = float("nan")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._cuda = place.device.type == "cuda"

    def _watch(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        shares = []
        while not self._ended.wait(0.2):
            said = subprocess.run(query, capture_output=True, text=True, check=False).stdout
            if said.strip():
                shares.append(float(said.splitlines()[0]))
        if shares:
            self.share = sum(shares) / len(shares) / 100

    def __enter__(self) -> _Busy:
        if self._cuda:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._cuda:
            self._thread.join()


def _scaling(files: list[Path]) -> dict[int, float]:
    """Return images a second that are read, decoded and resized to 224 pixels, by threads."""
    cores = len(os.sched_getaffinity(0))
    counts = sorted({n for n in (1, 2, 4, 8, 16, 32, 64) if n < cores} | {cores})

    def work(file: Path) -> None:
        decode(read(str(file)), 224).resize((224, 224))

    speeds = {}
    for count in counts:
        start = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            for _ in pool.map(work, files):
                pass
        speeds[count] = len(files) / (time.perf_counter() - start)
    return speeds


def _show(
    results: list[dict[str, Any]], scaling: dict[int, float], size: float, place: Place
) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    dtype = str(place.dtype).removeprefix("torch.")
    table = Table(title=f"Images a second on {place.device.type}, {dtype}")
    for column in ("model", "decode", "model alone", "end to end", "share of the model", "busy"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in results:
        table.add_row(
            row["model"],
            *(f"{row[figure]:,.1f}" for figure in ("decode", "alone", "end to end")),
            f"{row['share']:.2f}",
            "" if row["busy"] is None else f"{row['busy']:.0%}",
        )
    console.print(table)
    console.print(
        f"JPEGs of {size / 1000:,.0f} kB; decoding by threads: "
        + ", ".join(f"{count}: {speed:,.0f}" for count, speed in scaling.items())
    )


if __name__ == "__main__":
    main()
