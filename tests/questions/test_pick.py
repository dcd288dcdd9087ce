"""Images to label, against plain Python sets, and the commands."""

import inspect

import ibis
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prime_sql as ps
from tests import tables as data
from tests.cli.command import fail, parameters, succeed
from tests.examples import examples
from tests.generated import TAGS, frames, options, tables
from tests.questions.pools import (
    PICKED,
    POOL,
    carried_by,
    fits,
    ids,
    mode_id,
    pool_of,
    quietly,
    wanted_by,
)

OUR_COLUMNS = ["image_id", "tag", "score", "min_score", "wide"]


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
    with pytest.warns(ps.InputWarning, match="no image of the pool carries 'hang'; check the"):
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
    with pytest.raises(ps.InputError, match=r"has no table tags or embeddings.*keywords"):
        run.pick(mode_id(run), odd)
    (tmp_path / "broken.duckdb").write_text("no database" * 1000)
    with pytest.raises(ps.WarehouseError, match="is not a DuckDB database"):
        run.pick(mode_id(run), tmp_path / "broken.duckdb")
    # What a call attached is let go of.
    catalogs = run.backend.raw_sql("select database_name from duckdb_databases()").fetchall()
    assert not [name for (name,) in catalogs if name.startswith("source_of")]


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
