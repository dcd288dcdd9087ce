"""What is stored of runs, and thresholds at which the fixture `example` has failure modes."""

import duckdb

THRESHOLDS = {"min_images": 4, "min_drop": 0.2}


def rows(relation):
    return relation.to_polars().drop("run_id")


def contents(path):
    """All rows of all tables, or None where there is no file."""
    if not path.exists():
        return None
    with duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as kept (read_only); use kept")
        names = connection.sql(
            "select schema_name || '.' || table_name from duckdb_tables() "
            "where database_name = 'kept' order by 1"
        ).fetchall()
        return {name: connection.sql(f"from {name} order by all").fetchall() for (name,) in names}
