"""Defaults, and values to choose from, of everything but the search itself (`prime_sql.options`).

They are kept apart from the modules that use them because the command line shows them in its help,
which is to come without an engine.
"""

TOP = 10  # how many modes a summary shows
ORDERS = ("excess_errors", "drop", "p", "images")  # what failure modes are ranked by
OVERLAP = 0.9  # the share of images from which on a mode is a near-duplicate

RUNS = 10  # how many runs failure modes are followed through
CARDS = 50  # failure modes of a report with a card of their own

MIN_UNSEEN_IMAGES = 10  # with fewer, a failure mode is undecided
TOLERANCE = 0.05  # by how much an unseen drop may fall short and still hold

# The engines for which the search is compiled.
DIALECTS = (
    "duckdb",
    "postgres",
    "spark",
    "databricks",
    "snowflake",
    "bigquery",
    "trino",
    "redshift",
    "clickhouse",
    "datafusion",
)

NO_WAIT = 0.0  # seconds for a file that another process has open
SCHEMA = "prime"  # of a warehouse, for the results
