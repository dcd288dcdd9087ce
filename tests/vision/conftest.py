"""What several modules look at, made once."""

import pytest

from prime_sql.errors import InstallError


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    """Return the folder of a tiny CLIP model."""
    from tests.vision import tiny_clip

    try:
        return tiny_clip.write(tmp_path_factory.mktemp("model") / "tiny")
    except InstallError as error:
        pytest.skip(str(error))
