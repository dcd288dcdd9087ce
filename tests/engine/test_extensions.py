"""Extensions of DuckDB: none is downloaded, and a message says how to install what is lacking."""

import http.server
import threading

import duckdb
import ibis
import pytest

import prime_sql as ps
from prime_sql.engine.database import Database
from prime_sql.engine.errors import first_line
from prime_sql.engine.extensions import load_only, loading
from tests import tables as data
from tests.cli.command import fail

COMMAND = "python -c \"import duckdb; duckdb.execute('install {}')\""

# What needs an extension, in a condition or in a query.
NEED = {
    "st_point(1, 2) is not null": "spatial",
    "image_id::inet is not null": "inet",
    "image_id in (select image_id from read_csv('https://example.com/p.csv'))": "httpfs",
    "image_id in (select image_id from 's3://bucket/p.parquet')": "httpfs",
    "image_id in (select image_id from read_parquet('az://bucket/p.parquet'))": "azure",
    "image_id in (select image_id from read_xlsx('p.xlsx'))": "excel",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The tables, and a home without extensions, where each download would be seen."""
    data.write(data.PREDICTIONS, tmp_path / "predictions.parquet")
    data.write(data.TAGS, tmp_path / "tags.parquet")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def repository(monkeypatch):
    """A server of extensions, which has none, and what it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        place = f"http://127.0.0.1:{server.server_port}"

        def from_here(*arguments, connect=ibis.duckdb.connect, **options):
            backend = connect(*arguments, **options)
            backend.con.execute(f"set custom_extension_repository = '{place}'")
            return backend

        monkeypatch.setattr(ibis.duckdb, "connect", from_here)
        yield asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("condition", NEED)
@pytest.mark.parametrize("option", ["where", "error"])
def test_a_condition_downloads_nothing(folder, repository, option, condition):
    arguments = ["predictions.parquet", "tags.parquet", "--db", "new.duckdb"]
    message = fail("search", *arguments, f"--{option}", condition)
    assert option in message
    assert COMMAND.format(NEED[condition]) in message.replace("\n", " ")
    assert len(message) < 600
    assert not repository
    assert not (folder / "new.duckdb").exists()
    assert not [path for path in folder.rglob("*") if "extension" in path.name]


def test_the_repository_would_have_been_asked(folder, repository):
    """DuckDB by itself downloads what a query names."""
    backend = ibis.duckdb.connect()
    with pytest.raises(duckdb.Error):
        backend.raw_sql("select 'x'::inet")
    assert len(repository) == 1
    assert "inet" in repository[0]


@pytest.mark.parametrize(
    "query",
    ["select st_point(1, 2)", "from read_csv('https://example.com/p.csv')", "select 'x'::inet"],
)
def test_a_query_downloads_nothing(folder, repository, query):
    ps.search("predictions.parquet", "tags.parquet", into="a.duckdb", **data.OPTIONS).close()
    message = fail("sql", "a.duckdb", query)
    assert "python -c" in message
    assert "install " in message
    gate = "st_point(images, 2) is not null"
    message = fail("gate", "a.duckdb", "--fail-on", gate).replace("\n", " ")
    assert COMMAND.format("spatial") in message
    assert not repository


@pytest.mark.parametrize("source", ["https://example.com/p.csv", "s3://bucket/p.parquet"])
def test_a_source_names_the_command(folder, repository, source):
    message = fail("search", source, "tags.parquet", "--db", "new.duckdb").replace("\n", " ")
    assert f"cannot read predictions ({source}): " in message
    assert COMMAND.format("httpfs") in message
    assert not repository


def test_a_connection_of_the_user_keeps_its_settings(folder):
    connection = ibis.duckdb.connect()
    setting = "select current_setting('autoinstall_known_extensions')"
    before = connection.raw_sql(setting).fetchall()
    ps.search("predictions.parquet", "tags.parquet", into=connection, **data.OPTIONS)
    assert connection.raw_sql(setting).fetchall() == before
    database = Database(None)
    assert database.backend.raw_sql(setting).fetchall() == [(False,)]
    loads = database.backend.raw_sql("select current_setting('autoload_known_extensions')")
    assert (
        loads.fetchall()
        == duckdb.sql("select current_setting('autoload_known_extensions')").fetchall()
    )
    database.discard()


def test_an_installed_extension_is_loaded_once_it_is_needed():
    """As DuckDB says it, without the network: some are not loaded by DuckDB itself."""
    backend = load_only(ibis.duckdb.connect(autoinstall_known_extensions=False))
    asked = []

    def work():
        asked.append(1)
        if len(asked) == 1:
            raise duckdb.CatalogException("it exists in the json extension.\n\nINSTALL json;\nLOAD")
        return 7

    assert loading(backend, work) == 7  # json is part of DuckDB

    def never():
        raise duckdb.CatalogException("it exists in the nope extension.\n\nINSTALL nope;\nLOAD")

    with pytest.raises(duckdb.CatalogException, match="nope extension"):
        loading(backend, never)
    backend._load_extensions(["json"])
    with pytest.raises(duckdb.IOException, match="install nope"):
        backend._load_extensions(["nope"])


def test_what_a_query_says_is_not_taken_for_an_extension():
    with pytest.raises(duckdb.Error) as caught:
        duckdb.sql("select no_such_column, 'INSTALL spatial;' from range(3)")
    assert "INSTALL" not in first_line(caught.value)
    assert "install spatial" not in first_line(caught.value)
