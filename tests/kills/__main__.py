"""``python -m tests.kills``."""

import sys

from tests.kills import main

if __name__ == "__main__":
    sys.exit(main())
