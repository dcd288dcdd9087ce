"""What all tests share."""

import os

from hypothesis import settings

# Elsewhere every run of the tests tries other examples, and may find something new; where a change
# is judged, it is judged by the same examples each time.
settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
