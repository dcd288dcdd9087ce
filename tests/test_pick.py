"""Images to label and weights to train with, against plain Python sets and NumPy."""

import inspect

import duckdb
import ibis
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prime_sql as ps
from tests import data
from tests.examples import examples
from tests.test_cli import fail, parameters, succeed
from tests.test_search import TAGS, frames, options, tables

quietly = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")
PICKED = ["place", "image_id", "uri", "matched_by", "carried_tags", "similarity"]
WEIGHED = ["image_id", "class_name", "failure_modes", "weight"]
OUR_COLUMNS = ["image_id", "tag", "score", "min_score", "wide"]


def carried_by(rows):
    found = {}
    for image_id, tag in rows:
        found.setdefault(image_id, set()).add(tag)
    return found


def wanted_by(run):
    """The present and the absent tags of each mode."""
    found = {mode_id: (set(), set()) for mode_id in run.failure_modes.to_polars()["mode_id"]}
    for row in run.failure_mode_tags.to_polars().to_dicts():
        found[row["mode_id"]][0 if row["present"] else 1].add(row["tag"])
    return found


def fits(tags, wanted):
    return wanted[0] <= tags and not wanted[1] & tags


def mode_id(run, tags="black + hang"):
    return run.failure_modes.to_polars().filter(pl.col("tags") == tags)["mode_id"].item()


@pytest.fixture(scope="module")
def run():
    with data.search() as run:
        yield run


@pytest.fixture(scope="module")
def absent():
    """A run with modes of present and absent tags, and of absent ones only."""
    with data.search(max_absent=2, min_drop=0.1, necessity=(0.0,)) as run:
        yield run


def pool_of(**tags):
    rows = [(image, tag) for image, names in tags.items() for tag in names.split()]
    return pl.DataFrame(rows, schema=["image_id", "tag"], orient="row")


POOL = pool_of(a="black hang", b="black", c="hang", d="tree hang black", e="sofa")


def ids(relation):
    return relation.to_polars()["image_id"].to_list()


# Matches by tags ----------------------------------------------------------------------------------


def test_images_that_carry_all_tags_are_picked(run):
    picks = run.pick(mode_id(run), POOL)
    assert list(picks.columns) == PICKED
    assert picks.to_polars().rows() == [
        (1, "a", None, "tags", 2, None),
        (2, "d", None, "tags", 2, None),
    ]
    assert ids(run.pick(mode_id(run), POOL, limit=1)) == ["a"]
    assert ids(run.pick(mode_id(run)[:5], POOL, limit=None)) == ["a", "d"]


@quietly
@examples(6)
@given(
    st.lists(st.tuples(st.sampled_from("uvwxyz"), st.sampled_from([*TAGS, "other"])), max_size=30),
    tables(),
    options(),
)
def test_picks_equal_brute_force_over_sets(pool, example, chosen):
    predictions, tags = example
    frame = pl.DataFrame(
        [*pool, ("q", "other")], schema={"image_id": pl.String, "tag": pl.String}, orient="row"
    )
    carried = carried_by(frame.rows())
    with ps.search(*frames(predictions, tags), **chosen) as run:
        for mode, wanted in list(wanted_by(run).items())[-3:]:
            if not (wanted[0] | wanted[1]) & set(frame["tag"]):
                with pytest.raises(ps.InputError, match="carries any tag of the failure mode"):
                    run.pick(mode, frame)
                continue
            expected = sorted(image for image, own in carried.items() if fits(own, wanted))
            picks = run.pick(mode, frame).to_polars()
            assert picks["image_id"].to_list() == expected
            assert picks["carried_tags"].to_list() == [len(wanted[0])] * len(expected)
            assert picks["place"].to_list() == list(range(1, len(expected) + 1))


def test_absent_tags_must_be_lacking(absent):
    wanted = wanted_by(absent)
    assert {(bool(present), bool(lacking)) for present, lacking in wanted.values()} >= {
        (True, False),
        (True, True),
        (False, True),
    }
    every = sorted({row["tag"] for row in data.TAGS})
    pairs = {f"{a}-{b}": f"{a} {b}" for a in every for b in every}
    for mode, tags in wanted.items():
        expected = sorted(name for name, own in pairs.items() if fits(set(own.split()), tags))
        assert ids(absent.pick(mode, pool_of(**pairs), limit=None)) == expected


def test_images_without_a_tag_fit_absent_tags(absent):
    mode = next(mode for mode, (present, _) in wanted_by(absent).items() if not present)
    _, lacking = wanted_by(absent)[mode]
    for untagged in ([], None, ["", " "]):
        pool = pl.DataFrame({"image_id": ["p", "q"], "tag": [untagged, sorted(lacking)]})
        assert ids(absent.pick(mode, pool)) == ["p"]
    wide = pl.DataFrame({"image_id": ["p", "q"], **{tag: [False, True] for tag in lacking}})
    assert ids(absent.pick(mode, wide, wide=True)) == ["p"]


@pytest.mark.parametrize("form", ["file", "csv", "table", "wide", "list", "renamed", "scored"])
def test_any_form_of_tags_table(run, form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"image_id": i, "tag": t} for i, t in POOL.rows()]
    more = {}
    if form == "file":
        pool = data.write(rows, tmp_path / "pool.parquet")
    elif form == "csv":
        pool = str(data.write(rows, tmp_path / "pool.csv"))
    elif form == "table":
        pool = f"{data.write_tables(tmp_path / 'other.duckdb', keywords=rows)}:keywords"
    elif form == "wide":
        pool, more = data.frame(data.wide(rows)), {"wide": True}
    elif form == "list":
        pool = ibis.memtable(data.frame(data.listed(rows)))
    elif form == "renamed":
        pool = POOL.rename({"image_id": "file", "tag": "word"}).to_pandas()
        more = {"image_id": "file", "tag": "word"}
    else:
        weak = pl.DataFrame({"image_id": ["e", "e"], "tag": ["black", "hang"], "score": 0.1})
        pool = pl.concat([POOL.with_columns(score=pl.lit(0.9)), weak])
        more = {"min_score": 0.5}
    assert ids(run.pick(mode_id(run), pool, **more)) == ["a", "d"]


def test_the_columns_are_called_as_in_the_run():
    tags = data.frame(data.TAGS).rename({"image_id": "file", "tag": "word"})
    predictions = data.frame(data.PREDICTIONS).rename({"image_id": "file", "label": "truth"})
    names = {"image_id": "file", "tag": "word", "label": "truth"}
    with data.search(predictions, tags, **names) as run:
        pool = POOL.rename({"image_id": "file", "tag": "word"})
        assert ids(run.pick(mode_id(run), pool)) == ["a", "d"]
        new = predictions.drop("prediction")
        assert run.weights(new, tags).to_polars().equals(run.weights().to_polars())


def test_images_of_the_run_are_left_out(run):
    pool = pl.concat([POOL, data.frame(data.TAGS).select("image_id", "tag")])
    with pytest.warns(ps.InputWarning, match=r"^4 images of the pool match but were left out"):
        picks = run.pick(mode_id(run), pool)
    assert ids(picks) == ["a", "d"]
    assert ids(run.pick(mode_id(run), pool, seen=True)) == [
        "a",
        "d",
        *(f"img-{number:03}" for number in range(4)),
    ]
    with pytest.warns(ps.InputWarning, match="left out"):
        assert ids(run.pick(mode_id(run), data.frame(data.TAGS))) == []


def test_a_refiltered_run_knows_its_images(run):
    again = run.refilter(min_drop=0.4)
    with pytest.warns(ps.InputWarning, match="left out"):
        assert ids(again.pick(mode_id(again), data.frame(data.TAGS))) == []


def test_nothing_matches(run):
    picks = run.pick(mode_id(run), pool_of(b="black", c="hang")).to_polars()
    assert picks.is_empty()
    assert picks.columns == PICKED
    with pytest.warns(ps.InputWarning, match="no image of the pool carries 'hang'; is it written"):
        assert run.pick(mode_id(run), pool_of(b="black")).to_polars().is_empty()


def test_a_pool_without_the_tags_is_refused(run, tmp_path):
    for pool in (pool_of(a="schwarz haengen"), pool_of(a="Black Hang"), POOL.clear()):
        with pytest.raises(ps.InputError, match="any tag of the failure mode: 'black' and 'hang'"):
            run.pick(mode_id(run), pool)
    database = data.write_tables(tmp_path / "p.duckdb", tags=[{"image_id": "a", "tag": "x"}])
    with pytest.raises(ps.InputError, match="any tag of the failure mode: 'black' and 'hang'"):
        run.pick(mode_id(run), database)


@pytest.mark.parametrize(
    ("mode", "more", "kind", "message"),
    [
        ("zz", {}, ps.QueryError, "has no failure mode 'zz'. Choose one of "),
        ("", {}, ps.QueryError, "mode_id takes a mode_id or its first characters, got ''"),
        (7, {}, ps.QueryError, "mode_id takes a mode_id or its first characters, got 7"),
        (None, {"limit": 0}, ps.OptionError, "limit must be at least 1, got 0"),
        (None, {"limit": 1.5}, ps.OptionError, "limit must be a whole number, got 1.5"),
        (None, {"min_similarity": 2}, ps.OptionError, "must be between -1 and 1, got 2"),
        (None, {"min_similarity": 0.2}, ps.OptionError, "needs a pool with embeddings"),
        (None, {"model": "clip"}, ps.OptionError, "model needs a pool with embeddings"),
        (None, {"tag": "tga"}, ps.InputError, "tags has no column 'tga'. Did you mean 'tag'?"),
    ],
)
def test_bad_input(run, mode, more, kind, message):
    with pytest.raises(kind) as caught:
        run.pick(mode_id(run) if mode is None else mode, POOL, **more)
    assert message in str(caught.value)


def test_an_ambiguous_mode_id_names_the_modes(absent):
    ids_ = absent.failure_modes.to_polars()["mode_id"]
    first = next(id_[0] for id_ in ids_ if sum(ids_.str.starts_with(id_[0])) > 1)
    with pytest.raises(ps.QueryError, match=f"failure modes begin with '{first}'"):
        absent.pick(first, POOL)


def test_bad_pools(run, tmp_path):
    with pytest.raises(ps.InputError, match="there is no file or table"):
        run.pick(mode_id(run), tmp_path / "none.duckdb")
    with pytest.raises(ps.InputError, match="give a Parquet, CSV"):
        run.pick(mode_id(run), 7)
    odd = data.write_tables(tmp_path / "odd.duckdb", keywords=[{"image_id": "a", "tag": "black"}])
    with pytest.raises(ps.InputError, match=r"has neither a table tags nor embeddings.*keywords"):
        run.pick(mode_id(run), odd)
    (tmp_path / "broken.duckdb").write_text("no database" * 1000)
    with pytest.raises(ps.WarehouseError, match="is not a DuckDB database"):
        run.pick(mode_id(run), tmp_path / "broken.duckdb")
    # What a call attached is let go of.
    catalogs = run.backend.raw_sql("select database_name from duckdb_databases()").fetchall()
    assert not [name for (name,) in catalogs if name.startswith("source_of")]


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


# Weights ------------------------------------------------------------------------------------------


def expected_weights(run, images, carried, *, normalise):
    """(image, class) → modes and weight, from (image, class) pairs and tags by image."""
    rates = {
        row["mode_id"]: (
            row["class_name"],
            row["errors"] / row["images"] / (row["class_errors"] / row["class_images"]),
        )
        for row in run.failure_modes.to_polars().to_dicts()
    }
    wanted = wanted_by(run)
    found = {}
    for image, class_name in images:
        own = [
            rate
            for mode, (name, rate) in rates.items()
            if name == class_name and fits(carried.get(image, set()), wanted[mode])
        ]
        found[image, class_name] = (len(own), max(own, default=1.0))
    if normalise:
        for class_name in {name for _, name in found}:
            keys = [key for key in found if key[1] == class_name]
            mean = sum(found[key][1] for key in keys) / len(keys)
            for key in keys:
                found[key] = (found[key][0], found[key][1] / mean)
    return found


def as_dict(relation):
    rows = relation.to_polars()
    assert rows.columns == WEIGHED
    assert rows.rows() == sorted(rows.rows(), key=lambda row: (row[1], row[0]))
    found = {(row[0], row[1]): row[2:] for row in rows.rows()}
    assert len(found) == rows.height
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, (modes, weight) in expected.items():
        assert found[key] == (modes, pytest.approx(weight, abs=1e-9)), key


@quietly
@examples(6)
@given(tables(), tables(), options(), st.booleans())
def test_weights_equal_brute_force_over_sets(example, training, chosen, normalise):
    predictions, tags = example
    with ps.search(*frames(predictions, tags), **chosen) as run:
        images = [(image, label) for image, label, _ in predictions]
        assert_same(
            as_dict(run.weights(normalise=normalise)),
            expected_weights(run, images, carried_by(tags), normalise=normalise),
        )
        rows, new_tags = training
        frame, tag_frame = frames(rows, new_tags)
        assert_same(
            as_dict(run.weights(frame.drop("prediction"), tag_frame, normalise=normalise)),
            expected_weights(
                run,
                [(image, label) for image, label, _ in rows],
                carried_by(new_tags),
                normalise=normalise,
            ),
        )


def test_weights_of_the_example(run):
    found = as_dict(run.weights(normalise=False))
    # ape: 5 of 16 are wrong; black + hang: 4 of 4, the first four images
    assert found["img-000", "ape"] == (1, pytest.approx(16 / 5))
    assert found["img-004", "ape"] == (0, 1.0)
    scaled = run.weights().to_polars()
    means = scaled.group_by("class_name").agg(pl.col("weight").mean())
    assert means["weight"].to_list() == pytest.approx([1.0] * 3)
    ratio = {row[0]: row[3] for row in scaled.rows()}
    assert ratio["img-000"] / ratio["img-004"] == pytest.approx(16 / 5)
    # A sampler draws each class as often as before.
    drawn = scaled.group_by("class_name").agg(pl.col("weight").sum(), images=pl.len())
    assert drawn["weight"].to_list() == pytest.approx(drawn["images"].to_list())


def test_weights_in_a_run_without_modes():
    with data.search(min_images=100) as run:
        assert run.failure_modes.to_polars().is_empty()
        for relation in (
            run.weights(),
            run.weights(data.frame(data.PREDICTIONS), data.frame(data.TAGS)),
        ):
            assert set(as_dict(relation).values()) == {(0, 1.0)}


@quietly
def test_weights_of_other_classes_and_columns():
    more = {"group_by": "region,label"}
    with data.search(min_images=2, **more) as run:
        training = data.frame(data.PREDICTIONS).drop("prediction")
        again = run.weights(training, data.frame(data.TAGS))
        assert run.failure_modes.to_polars().height
        assert as_dict(again) == as_dict(run.weights())
        where = as_dict(run.weights(training, data.frame(data.TAGS), where="region = 'north'"))
        assert {name.partition(" | ")[0] for _, name in where} == {"north"}
        with pytest.raises(ps.InputError, match=r"^training: predictions has no column 'region'"):
            run.weights(training.drop("region"), data.frame(data.TAGS))


def test_an_image_of_two_classes_has_two_weights():
    both = [{**row, "model": model} for row in data.PREDICTIONS for model in ("m1", "m2")]
    both = [{**row, "prediction": row["label"]} if row["model"] == "m2" else row for row in both]
    tags = data.frame(data.TAGS)
    with data.search(data.frame(both), group_by="model,label") as run:
        images = [(row["image_id"], f"{row['model']} | {row['label']}") for row in both]
        carried = carried_by(tags.select("image_id", "tag").rows())
        expected = expected_weights(run, images, carried, normalise=False)
        assert expected["img-000", "m1 | ape"][0] == 1
        assert expected["img-000", "m2 | ape"] == (0, 1.0)
        assert_same(as_dict(run.weights(normalise=False)), expected)
        again = run.weights(data.frame(both).drop("prediction"), tags, normalise=False)
        assert_same(as_dict(again), expected)


def test_a_refiltered_run_has_weights_of_its_modes(run):
    again = run.refilter(min_drop=0.47)
    assert 0 < again.row_counts["failure_modes"] < run.row_counts["failure_modes"]
    assert_same(
        as_dict(again.weights()),
        expected_weights(
            again,
            [(row["image_id"], row["label"]) for row in data.PREDICTIONS],
            carried_by((row["image_id"], row["tag"]) for row in data.TAGS),
            normalise=True,
        ),
    )


def test_bad_training_tables(run):
    training, tags = data.frame(data.PREDICTIONS), data.frame(data.TAGS)
    with pytest.raises(ps.OptionError, match="training needs tags beside it"):
        run.weights(training)
    with pytest.raises(ps.OptionError, match="tags needs training beside it"):
        run.weights(tags=tags)
    with pytest.raises(ps.OptionError, match="where is about a training table"):
        run.weights(where="true")
    with pytest.raises(ps.InputError, match=r"training: predictions.* has no rows"):
        run.weights(training.clear(), tags)
    with pytest.raises(ps.InputError, match="training: predictions has no column 'label'"):
        run.weights(training.drop("label"), tags)


# Commands -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pick", "weights"])
def test_the_flags_are_the_arguments(name):
    arguments = inspect.signature(getattr(ps.Run, name)).parameters
    flags = parameters(name)
    for argument, parameter in arguments.items():
        if argument not in ("self", "on_sql"):
            assert argument in flags, argument
            if parameter.default is not inspect.Parameter.empty:
                assert flags[argument].default == parameter.default, argument
    assert {*OUR_COLUMNS} <= flags.keys()


def test_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with data.search(into="prime.duckdb") as run:
        mode = mode_id(run)
    data.write([{"image_id": i, "tag": t} for i, t in POOL.rows()], tmp_path / "pool.csv")
    shown = succeed("pick", "prime.duckdb", mode[:6], "pool.csv", "--limit", "1").stdout
    assert " a " in shown
    assert " d " not in shown
    rows = succeed("pick", "prime.duckdb", mode, "pool.csv", "--all", "--format", "csv").stdout
    assert rows.splitlines() == [",".join(PICKED), "1,a,,tags,2,", "2,d,,tags,2,"]
    data.write([{"image_id": "b", "tag": t} for t in ("black", "x")], tmp_path / "other.csv")
    result = succeed("pick", "prime.duckdb", mode, "other.csv")
    assert result.stdout == "No image of the pool matches the failure mode.\n"
    assert "no image of the pool carries 'hang'" in result.stderr

    data.write(data.PREDICTIONS, tmp_path / "training.parquet")
    data.write(data.TAGS, tmp_path / "tags.parquet")
    succeed("weights", "prime.duckdb", "-o", "own.parquet")
    succeed("weights", "prime.duckdb", "training.parquet", "tags.parquet", "-o", "w.parquet")
    assert pl.read_parquet("own.parquet").equals(pl.read_parquet("w.parquet"))
    shown = succeed("weights", "prime.duckdb", "--no-normalise").stdout
    assert shown.splitlines()[4].split()[-1] == "3.2"  # the hardest first
    assert "give TRAINING and TAGS, or neither" in fail("weights", "prime.duckdb", "w.parquet")


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
        with pytest.raises(ps.OptionError, match="absent tags only"):
            run.pick(mode, pool, model="clip")
