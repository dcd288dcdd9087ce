"""Images to label by similarity, against NumPy."""

import duckdb
import numpy as np
import polars as pl
import pytest

import prime_sql as ps
from tests import tables as data
from tests.cli.command import succeed
from tests.questions.pools import POOL, carried_by, ids, mode_id, wanted_by

# Matches by similarity ----------------------------------------------------------------------------

D = 6


def vectors(count, seed):
    """Not of unit length: a cosine does not mind."""
    return np.random.default_rng(seed).normal(size=(count, D)).astype(np.float32)


def write_pool(path, *, tags=(), images=(), embedded=(), texts=(), tagged=None):
    """A database as `prime-sql images`, `tag` and `embed` make it.

    `embedded` are (image_id, model, vector), `texts` (text, model, template, vector).
    """
    with duckdb.connect(str(path)) as con:
        if tags:
            con.execute("create table tags (image_id varchar, tag varchar, score float)")
            con.executemany("insert into tags values (?, ?, 1)", [*tags])
        if images:
            con.execute("create table images (image_id varchar, uri varchar)")
            con.executemany("insert into images values (?, ?)", [*images])
        if tagged is not None:
            con.execute("create table tagged_images (image_id varchar)")
            con.executemany("insert into tagged_images values (?)", [[name] for name in tagged])
        if embedded:
            con.execute(
                f"create table embeddings (image_id varchar, model varchar, embedding float[{D}])"
            )
            con.executemany(
                "insert into embeddings values (?, ?, ?)",
                [(*row, vector.tolist()) for *row, vector in embedded],
            )
        if texts:
            con.execute(
                "create table text_embeddings "
                f"(text varchar, model varchar, template varchar, embedding float[{D}])"
            )
            con.executemany(
                "insert into text_embeddings values (?, ?, ?, ?)",
                [(*row, vector.tolist()) for *row, vector in texts],
            )
    return path


def cosine(a, b):
    a, b = a.astype(float), b.astype(float)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.fixture
def pool(tmp_path):
    """Images a to e tagged, f to j embedded only, and e too; the words embedded in two prompts."""
    names = "efghij"
    embedded = [(n, "m", v) for n, v in zip(names, vectors(len(names), 1), strict=True)]
    prompts = [
        (word, "m", template, vector)
        for (word, template), vector in zip(
            [(w, t) for w in ("black", "hang", "tree") for t in ("{}", "a photo of {}")],
            vectors(6, 2),
            strict=True,
        )
    ]
    path = write_pool(
        tmp_path / "pool.duckdb",
        tags=POOL.rows(),
        images=[(n, f"/photos/{n}.png") for n in "abcdefghij"],
        embedded=embedded,
        texts=prompts,
    )
    return path, embedded, prompts


def similarities(embedded, prompts, words):
    return {
        name: np.mean(
            [
                np.mean([cosine(v, p) for word, _, _, p in prompts if word == wanted])
                for wanted in words
            ]
        )
        for name, _, v in embedded
    }


def test_other_images_follow_by_similarity(run, pool):
    path, embedded, prompts = pool
    expected = similarities(embedded, prompts, ["black", "hang"])
    rows = run.pick(mode_id(run), path).to_polars().rows()
    assert rows[:2] == [
        (1, "a", "/photos/a.png", "tags", 2, None),
        (2, "d", "/photos/d.png", "tags", 2, None),
    ]
    nearest = sorted(expected, key=lambda name: -expected[name])
    assert [row[1] for row in rows[2:]] == nearest
    for _, name, uri, matched_by, carried, similarity in rows[2:]:
        assert (uri, matched_by) == (f"/photos/{name}.png", "similarity")
        assert carried == (0 if name == "e" else None)
        assert similarity == pytest.approx(expected[name], abs=1e-9)
    assert ids(run.pick(mode_id(run), path, limit=4)) == ["a", "d", *nearest[:2]]
    least = expected[nearest[1]]
    assert ids(run.pick(mode_id(run), path, min_similarity=least - 1e-6)) == [
        "a",
        "d",
        *nearest[:2],
    ]


def test_images_matched_by_tags_come_by_similarity(run, tmp_path):
    black, hang, up, down = vectors(4, 5)
    path = write_pool(
        tmp_path / "pool.duckdb",
        tags=[(n, t) for n in ("x", "y", "z") for t in ("black", "hang")],
        embedded=[("y", "m", up), ("z", "m", down), ("zero", "m", np.zeros(D))],
        texts=[("black", "m", "{}", black), ("hang", "m", "{}", hang)],
    )
    score = {n: (cosine(v, black) + cosine(v, hang)) / 2 for n, v in {"y": up, "z": down}.items()}
    picks = run.pick(mode_id(run), path).to_polars()
    # x has no similarity, and the embedding of zeros has none either.
    assert picks["image_id"].to_list() == [*sorted(score, key=lambda n: -score[n]), "x"]
    assert set(picks["matched_by"]) == {"tags"}


def test_an_image_with_an_absent_tag_is_not_similar(absent, tmp_path):
    wanted = wanted_by(absent)
    mode = next(m for m, (present, lacking) in wanted.items() if present and lacking)
    present, lacking = (sorted(tags) for tags in wanted[mode])
    path = write_pool(
        tmp_path / "pool.duckdb",
        tags=[("p", lacking[0]), ("q", "other")],
        embedded=[(n, "m", v) for n, v in zip("pqr", vectors(3, 1), strict=True)],
        texts=[(tag, "m", "{}", v) for tag, v in zip(present, vectors(9, 2), strict=False)],
    )
    with pytest.warns(ps.InputWarning, match="no image of the pool carries"):
        assert sorted(ids(absent.pick(mode, path))) == ["q", "r"]


def test_embeddings_alone(run, tmp_path):
    images, (black, hang) = vectors(3, 1), vectors(2, 2)
    path = write_pool(
        tmp_path / "pool.duckdb",
        embedded=[(n, "m", v) for n, v in zip("xyz", images, strict=True)],
        texts=[("black", "m", "{}", black), ("hang", "m", "{}", hang)],
    )
    picks = run.pick(mode_id(run), path).to_polars()
    assert sorted(picks["image_id"]) == ["x", "y", "z"]
    assert picks["carried_tags"].is_null().all()
    assert picks["similarity"].is_sorted(descending=True)


def test_texts_may_stand_beside_the_run(tmp_path):
    black, hang = vectors(2, 2)
    database = write_pool(
        tmp_path / "prime.duckdb",
        images=[("x", "/x.png")],
        texts=[("black", "m", "{}", black), ("hang", "m", "{}", hang)],
    )
    pool = write_pool(tmp_path / "pool.duckdb", embedded=[("x", "m", vectors(1, 1)[0])])
    with data.search(into=database) as run:
        assert run.pick(mode_id(run), pool).to_polars().select("image_id", "uri").rows() == [
            ("x", "/x.png")
        ]


def test_the_pool_may_be_the_database_of_the_run(tmp_path):
    database = write_pool(tmp_path / "prime.duckdb", tags=POOL.rows(), tagged="abcdefz")
    data.search(into=database, max_absent=1, min_drop=0.1).close()
    with ps.open_run(database) as run:
        assert ids(run.pick(mode_id(run), database)) == ["a", "d"]
        mode = next(m for m, (present, _) in wanted_by(run).items() if not present)
        _, lacking = wanted_by(run)[mode]
        carried = carried_by(POOL.rows()) | {"f": set(), "z": set()}
        assert ids(run.pick(mode, database)) == sorted(
            n for n in carried if not lacking & carried[n]
        )


def test_one_of_several_models_is_chosen(run, tmp_path):
    (image, *words) = vectors(5, 3)
    path = write_pool(
        tmp_path / "pool.duckdb",
        embedded=[("x", model, image) for model in ("m1", "m2", "m3")],
        texts=[
            ("black", "m1", "{}", words[0]),
            ("hang", "m1", "{}", words[1]),
            ("black", "m2", "{}", words[2]),
            ("hang", "m2", "{}", words[3]),
            ("black", "m3", "{}", words[3]),
        ],
    )
    with pytest.raises(ps.OptionError, match="embeddings of 2 models: m1, m2; choose one"):
        run.pick(mode_id(run), path)
    for model, pair in (("m1", words[:2]), ("m2", words[2:])):
        found = run.pick(mode_id(run), path, model=model).to_polars()["similarity"].item()
        assert found == pytest.approx(np.mean([cosine(image, word) for word in pair]), abs=1e-9)
    with pytest.raises(ps.OptionError, match=r"'m3' did not embed both .* that did: m1, m2"):
        run.pick(mode_id(run), path, model="m3")


def test_tags_that_were_not_embedded(run, tmp_path):
    embedded = [("x", "m", vectors(1, 1)[0])]
    some = write_pool(
        tmp_path / "some.duckdb",
        tags=POOL.rows(),
        embedded=embedded,
        texts=[("black", "m", "{}", vectors(1, 2)[0])],
    )
    with pytest.warns(ps.InputWarning, match="m has not embedded the tags 'hang'"):
        assert ids(run.pick(mode_id(run), some)) == ["a", "d"]
    other = write_pool(
        tmp_path / "other.duckdb",
        embedded=embedded,
        texts=[("black", "n", "{}", vectors(1, 2)[0]), ("hang", "n", "{}", vectors(1, 2)[0])],
    )
    without = write_pool(tmp_path / "without.duckdb", embedded=embedded)
    for path in (other, without):
        with pytest.raises(ps.InputError, match=r"tags 'black' and 'hang'; .*embed --texts"):
            run.pick(mode_id(run), path)


def test_the_manifest_is_one_for_images(run, tmp_path, monkeypatch):
    samples = pytest.importorskip("tests.vision.samples")
    from prime_sql.vision import load_images

    monkeypatch.chdir(tmp_path)
    samples.write_numbered(tmp_path / "photos", 4)
    load_images(tmp_path / "photos", tmp_path / "pool.duckdb")
    with duckdb.connect(str(tmp_path / "pool.duckdb")) as con:
        con.execute(
            "create table tags as select image_id, unnest(['black', 'hang']) as tag from images"
        )
        con.execute("delete from tags where image_id like '00003%' and tag = 'hang'")
    database = tmp_path / "prime.duckdb"
    data.search(into=database).close()
    with ps.open_run(database) as stored:
        mode = mode_id(stored)
    for number, manifest in enumerate(("manifest.csv", "manifest.parquet")):
        succeed("pick", database, mode[:6], "pool.duckdb", "-o", manifest, "--quiet")
        done = load_images(tmp_path / manifest, tmp_path / f"next{number}.duckdb")
        assert (done.images, done.problems) == (3, 0)
        with duckdb.connect(str(tmp_path / f"next{number}.duckdb")) as con:
            named = con.sql("select image_id, uri from images order by 1").fetchall()
        assert [name for name, _ in named] == ["00000.png", "00001.png", "00002.png"]
        assert {uri for _, uri in named} <= {str(path) for path in (tmp_path / "photos").iterdir()}


# Commands -----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")
def test_a_model_cannot_help_where_all_tags_are_absent(tmp_path):
    predictions = pl.DataFrame({"image_id": range(40), "label": ["ship"] * 40}).with_columns(
        prediction=pl.when(pl.col("image_id") < 10).then(pl.lit("car")).otherwise(pl.lit("ship"))
    )
    tags = pl.DataFrame({"image_id": range(20, 40), "tag": ["water"] * 20})
    pool = tmp_path / "pool.duckdb"
    with duckdb.connect(pool) as con:
        con.execute("create table tags as select 'p1' as image_id, 'car' as tag")
        con.execute("create table embeddings(image_id varchar, model varchar, embedding float[2])")
        con.execute("create table text_embeddings(text varchar, model varchar, embedding float[2])")
    with ps.search(predictions, tags, min_images=20, min_drop=0.1, max_absent=1) as run:
        (mode,) = run.failure_modes.to_polars()["mode_id"]
        with pytest.raises(ps.OptionError, match="only absent tags"):
            run.pick(mode, pool, model="clip")
