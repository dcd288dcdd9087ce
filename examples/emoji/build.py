"""Make the emoji example's tables from the pictures, with the commands that a user has.

A classifier learnt the categories of emoji from Twitter's drawings and is put to work on Google's.
The tags are the keywords that people wrote for each emoji. Where does it fail?

    pip install '.[demo]'
    python examples/emoji/build.py

It needs `npm` on the path, to fetch 140 MB of packages once.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import ibis
import polars as pl
from PIL import Image

import prime_sql as ps
from prime_sql import vision
from prime_sql.demo import emoji
from prime_sql.vision.pictures import decode

PIXELS = 48  # what a report shows; keeps the example small enough to commit


def webp(file: Path) -> bytes:
    picture = decode(file.read_bytes())
    small = picture.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=80, method=6)
    return buffer.getvalue()


def tables(made: emoji.Emoji, database: Path) -> dict[str, pl.DataFrame]:
    """Return the four tables by name, each sorted by image_id.

    The database may be that of ``prime-sql demo --images``; what it has is not made again.
    """
    backend = ibis.duckdb.connect(database)
    backend.raw_sql("create schema if not exists emoji_images; use emoji_images")
    print(vision.load_images(made.images, backend))
    print(vision.predict(backend, str(made.classifier)))
    predictions = ps.sql(
        backend,
        # Later digits of a confidence depend on the processor.
        "select image_id, label, prediction, round(confidence::double, 4) as confidence "
        "from emoji_images.predictions order by image_id",
    )
    backend.disconnect()
    drawings = [webp(made.pictures / file) for file in pl.read_parquet(made.images)["uri"]]
    size = pl.lit(PIXELS, pl.Int64)
    images = pl.read_parquet(made.names).with_columns(
        picture=pl.Series(drawings), width=size, height=size
    )
    return {
        "predictions": predictions,
        "tags": pl.read_parquet(made.tags),
        "images": images,
        "metadata": pl.read_parquet(made.metadata),
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
            if not (same >= 0.998 and closest < 1e-3):
                raise SystemExit("the classifier is another one; run this script and commit")
    print(f"the tables in {committed} are those that this script makes")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the tables of the emoji example.")
    parser.add_argument("--cache", type=Path, help="folder for packages and models")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="for the tables")
    parser.add_argument("--database", type=Path, help="of prime-sql demo --images, to go on from")
    parser.add_argument("--check", action="store_true", help="compare with the tables; write none")
    options = parser.parse_args()
    example = emoji.build(options.cache, on_step=print)
    with tempfile.TemporaryDirectory() as folder:
        made = tables(example, options.database or Path(folder, "emoji.duckdb"))
    if options.check:
        return compare(made, options.output)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, table in made.items():
        file = options.output / f"{name}.parquet"
        table.write_parquet(file, compression="zstd", compression_level=19)
        print(f"{file.name}: {table.height} rows, {file.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
