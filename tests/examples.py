"""How many examples a property test tries, and which.

Where a change is judged, by ``make test`` and in CI, it is judged by the same examples each time.
``make test-random`` tries others, and more of them; it prints the seed, to be given again.
"""

import os
from typing import Any

from hypothesis import HealthCheck, settings

SEED = os.environ.get(
    "PRIME_SQL_SEED"
)  # set by make test-random, which gives it to hypothesis, too
TIMES = int(os.environ.get("PRIME_SQL_TIMES", "20"))


def examples(count: int, **options: Any) -> settings:
    """Return hypothesis's settings for so many examples; with other seeds for more of them."""
    return settings(
        max_examples=count if SEED is None else count * TIMES,
        derandomize=SEED is None,
        print_blob=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        **options,
    )


def seed(number: int) -> int:
    """Return the number, or another one where other seeds are tried: for tables of our own."""
    return number if SEED is None else number + 1000 * int(SEED)
