"""A tags table with thousands of columns beside the same tags in long form.

``python -m benchmarks.wide`` prints the seconds of CPU of a search of each, and their ratio to the
long table's. Each is the least of `--times`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import prime_sql as ps

IMAGES = 2_000
SHARE = 0.02  # of the images that carry a tag


def tables(folder: Path, columns: int) -> dict[str, tuple[Path, bool]]:
    """Write the tables; return the file of each tags table, and whether it is wide."""
    random = np.random.default_rng(columns)
    carried = random.random((IMAGES, columns)) < SHARE
    image_id = pl.Series("image_id", [f"image {number}" for number in range(IMAGES)])
    label = random.choice(["ape", "bee"], IMAGES)
    wrong = random.random(IMAGES) < 0.2
    pl.DataFrame(
        {
            "image_id": image_id,
            "label": label,
            "prediction": np.where(wrong, np.where(label == "ape", "bee", "ape"), label),
        }
    ).write_csv(folder / "predictions.csv")
    wide = pl.DataFrame({f"tag {number}": carried[:, number] for number in range(columns)})
    wide = wide.insert_column(0, image_id)
    long = wide.unpivot(index="image_id", variable_name="tag", value_name="is_there")
    long.filter("is_there").select("image_id", "tag").write_csv(folder / "long.csv")
    wide.write_csv(folder / "wide.csv")
    wide.write_parquet(folder / "wide.parquet")
    return {
        name: (folder / name, name != "long.csv")
        for name in ("long.csv", "wide.csv", "wide.parquet")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, nargs="+", default=[3_000, 5_000])
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    for columns in given.columns:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = tables(folder, columns)
            least = dict.fromkeys(files, float("inf"))
            for _ in range(given.times):  # in turn: a machine is not as fast all the time
                for form, (file, wide) in files.items():
                    began = time.process_time()
                    ps.search(folder / "predictions.csv", file, wide=wide, max_tags=2)
                    least[form] = min(least[form], time.process_time() - began)
        print(f"{IMAGES:,} images, {columns:,} tags")
        for form, seconds in least.items():
            print(f"  {form:13} {seconds:6.2f} s of CPU  {seconds / least['long.csv']:5.2f} ×")


if __name__ == "__main__":
    main()
