"""A folder in which a job runs every night, as the examples have it."""

import os
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parent.parent.parent
SCHEDULES = ROOT / "examples" / "schedules"
COMMANDS = Path(sys.executable).parent  # prime-sql, dbt and airflow of this environment


class Night:
    """A folder such as /srv/failures: the job, its tables, and an environment with prime-sql."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copy(SCHEDULES / "nightly.toml", folder)
        for name in ("predictions.parquet", "tags.parquet"):
            shutil.copy(ROOT / "examples" / "emoji" / name, folder)
        folder.joinpath(".venv", "bin").mkdir(parents=True)
        for name in ("prime-sql", "python"):
            folder.joinpath(".venv", "bin", name).symlink_to(COMMANDS / name)
        folder.joinpath("requirements.txt").write_text("prime-sql\n", encoding="utf-8")

    @property
    def environment(self):
        """Variables for a process whose prime-sql is that of this environment."""
        path = f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PRIME_JOB": str(self.folder / "nightly.toml")}

    def here(self, text):
        """The text of an example with this folder instead of /srv/failures."""
        assert "/srv/failures" in text
        return text.replace("/srv/failures", str(self.folder))

    def worsen(self):
        """From now on the classifier takes clocks for symbols: a failure mode that is new."""
        path = self.folder / "predictions.parquet"
        clocks = pl.read_parquet(self.folder / "tags.parquet").filter(tag="time")["image_id"]
        wrong = (pl.col("label") == "Travel & Places") & pl.col("image_id").is_in(clocks.to_list())
        pl.read_parquet(path).with_columns(
            prediction=pl.when(wrong).then(pl.lit("Symbols")).otherwise("prediction")
        ).write_parquet(path)

    def break_(self):
        """A table of tonight did not arrive."""
        self.folder.joinpath("tags.parquet").unlink()

    def modes(self):
        """The failure modes that were published."""
        return pl.read_csv(self.folder / "failure_modes.csv")


@pytest.fixture
def night(tmp_path):
    return Night(tmp_path)
