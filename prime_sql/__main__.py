"""``python -m prime_sql`` is ``prime-sql``."""

from prime_sql.cli import main

main()
