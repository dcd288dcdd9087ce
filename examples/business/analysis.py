"""What do the failure modes of the emoji example cost? A notebook in plain Python.

Each ``# %%`` begins a cell for VS Code, PyCharm or Jupytext; as a script it runs them all. The
order data are generated, see README.md.
"""

# %%
import os
from pathlib import Path

import ibis
import polars as pl
from ibis import _

import prime_sql as ps

os.chdir(Path(__file__).resolve().parents[2])  # the checkout, in which the paths below begin
emoji = Path("examples/emoji")

# %% [markdown]
# The failure modes, as lazy Ibis tables in a database in memory.

# %%
run = ps.search(emoji / "predictions.parquet", emoji / "tags.parquet", min_images=10, max_tags=2)
modes = run.failure_modes.table
images = run.failure_mode_images.table
orders = run.sql(Path("examples/business/orders.sql").read_text(encoding="utf-8")).table

# %% [markdown]
# Cost of each failure mode: the value of the orders whose image is misclassified. Modes overlap, so
# that the costs do not add up.

# %%
ordered = images.join(orders, "image_id").mutate(lost=_.error * _.order_value)
cost_of_failure_modes = (
    ordered.group_by("mode_id")
    .agg(
        orders=_.count(),
        lost_orders=_.error.sum(),
        order_value=_.order_value.sum(),
        lost_value=_.lost.sum(),
    )
    .join(modes.select("mode_id", "class_name", "tags", "class_accuracy"), "mode_id")
    .mutate(
        excess_lost_value=_.lost_value.cast(float)
        - _.order_value.cast(float) * (1 - _.class_accuracy)
    )
    .order_by(ibis.desc("lost_value"), "class_name", "tags")
    .select(
        "class_name",
        "tags",
        "orders",
        "lost_orders",
        "order_value",
        "lost_value",
        "excess_lost_value",
    )
    .to_polars()
)
print(cost_of_failure_modes.head(10))

# %% [markdown]
# From here on each image counts once, however many failure modes it is in. What is left is small
# enough for Polars.

# %%
wrong = images.filter(images.error == 1).select("image_id").distinct()
lost = (
    orders.left_join(wrong.mutate(is_lost=True), "image_id")
    .select(*orders.columns, is_lost=_.is_lost.fill_null(False))
    .to_polars()
)
totals = (
    pl.len().alias("orders"),
    pl.col("is_lost").sum().alias("lost_orders"),
    pl.col("order_value").sum(),
    pl.col("order_value").filter("is_lost").sum().alias("lost_value"),
)
share = (pl.col("lost_value").cast(float) / pl.col("order_value").cast(float)).alias("lost_share")

# %%
worst_regions = (
    lost.group_by("region", "camera")
    .agg(totals)
    .with_columns(share)
    .sort("lost_share", "region", "camera", descending=[True, False, False])
)
print(worst_regions)

# %%
trend_by_week = (
    lost.group_by(week=pl.col("ordered_on").dt.truncate("1w"))
    .agg(totals)
    .sort("week")
    .with_columns(share, change=pl.col("lost_value").diff())
)
print(trend_by_week)

# %%
run.close()
