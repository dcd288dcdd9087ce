"""Defaults, and values to choose from, of everything but the search itself (`engine.options`).

They are kept apart from the modules that use them because the command line shows them in its help,
which must not load an engine.
"""

TOP = 10  # how many modes a summary shows
ORDERS = ("excess_errors", "drop", "p", "images")  # what failure modes are ranked by
OVERLAP = 0.9  # from this share of common images on, a mode is a near-duplicate

RUNS = 10  # how many runs failure modes are followed through
CARDS = 50  # failure modes that get a card of their own in a report

MIN_UNSEEN_IMAGES = 10  # with fewer, a failure mode is undecided
TOLERANCE = 0.05  # by how much an unseen drop may fall short and still hold

# A shuffle is a search. A p-value from so many is exact to 0.0001; with more, a slip of the finger
# would take years.
MOST_SHUFFLES = 10_000

MOST = 2**31 - 1  # of anything that is counted; the engine's whole numbers end there
MOST_PIXELS = 10_000  # of a side of what a model sees; as numbers such a picture is 1.2 GB
MOST_THREADS = 1024  # that read and decode; a system gives no process many more

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

NO_WAIT = 0.0  # seconds to wait for a file that another process has open
SCHEMA = "prime"  # in a warehouse, for the results
