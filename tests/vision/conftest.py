"""What several modules look at, made once."""

import importlib
import shutil
from pathlib import Path

import pytest

from prime_sql import vision
from prime_sql.engine.errors import InstallError
from prime_sql.vision import load_images
from tests.vision import tiny_clip
from tests.vision.few_and_many import COUNT, FEW
from tests.vision.tagged import CLASSES, dump, long, people, write_pictures


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    """Return the folder of a tiny CLIP model."""
    try:
        return tiny_clip.write(tmp_path_factory.mktemp("model") / "tiny")
    except InstallError as error:
        pytest.skip(str(error))


@pytest.fixture
def db(tmp_path):
    return tmp_path / "prime.duckdb"


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """Return a database with tags, for what must not change it."""
    db = tmp_path_factory.mktemp("unchanged") / "prime.duckdb"
    vision.tag_table(db, people())
    before = dump(db)
    yield db
    assert dump(db) == before


@pytest.fixture
def captions():
    pytest.importorskip("HanTa")
    pytest.importorskip("lemminflect")
    return long(
        image_id=["a", "a", "b", "c", "d"],
        caption=["A black cat on a sofa", "two cats", "a dog", "", None],
    )


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, clip_folder):
    """Make a database with pictures of three classes and their embeddings; do not change it."""
    folder = tmp_path_factory.mktemp("embedded")
    write_pictures(folder / "photos", CLASSES)
    vision.load_images(folder / "photos", folder / "prime.duckdb")
    done = vision.embed(folder / "prime.duckdb", str(clip_folder), device="cpu")
    assert (done.images, done.problems, done.model) == (30, 0, "tiny")
    return folder / "prime.duckdb"


@pytest.fixture
def own(embedded, db):
    """Return a copy of the database."""
    shutil.copy(embedded, db)
    return db


@pytest.fixture(scope="module")
def open_clip_alone(clip_folder):
    """Return functions that embed by open_clip alone: a picture, and texts."""
    torch = importlib.import_module("torch")
    image = pytest.importorskip("PIL.Image")
    model, preprocess, tokenizer = tiny_clip.load(clip_folder)

    def of_picture(path):
        with torch.no_grad(), image.open(path) as picture:
            vector = model.encode_image(preprocess(picture.convert("RGB"))[None])[0]
        return (vector / vector.norm()).numpy()

    def of_texts(texts):
        with torch.no_grad():
            vectors = model.encode_text(tokenizer(list(texts)))
        return (vectors / vectors.norm(dim=1, keepdim=True)).numpy()

    return of_picture, of_texts


@pytest.fixture(scope="module")
def other_clips(tmp_path_factory):
    """Return a model of 8 dimensions, and one of the same name and size with other weights."""
    folder = tmp_path_factory.mktemp("others")
    return tiny_clip.write(folder / "small", 8, seed=1), tiny_clip.write(folder / "tiny", seed=2)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of many images."""
    from tests.vision.samples import write_numbered

    folder = tmp_path_factory.mktemp("many")
    write_numbered(folder / "pictures", COUNT)
    load_images(folder / "pictures", folder / "many.duckdb")
    return folder / "many.duckdb"


@pytest.fixture(scope="module")
def loaded_few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.vision.samples import write_numbered

    folder = tmp_path_factory.mktemp("few")
    write_numbered(folder / "pictures", FEW)
    load_images(folder / "pictures", folder / "few.duckdb")
    return folder / "few.duckdb"


@pytest.fixture
def few(loaded_few: Path, tmp_path: Path) -> Path:
    """A database of a few images, in a folder of its own."""
    return Path(shutil.copy(loaded_few, tmp_path / "few.duckdb"))
