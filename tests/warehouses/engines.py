"""Real engines, started for the tests: servers on loopback, or in this process.

Each is started when it is first asked for, lives as long as the tests of this process, and leaves
nothing behind. Each is one small object: an Ibis connection, tables loaded into a schema, and SQL
that runs as it is written, without Ibis or any other part of ours in between.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import polars as pl
import sqlglot

from prime_sql.engine import queries


@dataclass(frozen=True)
class Engine:
    """One engine, connected."""

    name: str
    dialect: str
    con: ibis.BaseBackend

    def load(self, name: str, frame: pl.DataFrame) -> str:
        """Keep the rows of a frame as the table ``schema.table``, in place of one of that name."""
        schema, _, table = name.rpartition(".")
        if schema not in self._schemas():
            self.con.raw_sql(f"create schema {queries.identifier(schema, self.dialect)}")
        self.con.create_table(table, frame.to_arrow(), database=schema, overwrite=True)
        return name

    def run(self, sql: str) -> pl.DataFrame:
        """Run every statement of a script as it is; return the rows of the last that has some."""
        answer = pl.DataFrame()
        for statement in queries.statements(sql, self.dialect):
            found = self.ask(statement)
            answer = answer if found is None else found
        return answer

    def ask(self, statement: str) -> pl.DataFrame | None:
        """Run one statement; return its rows where it has some."""
        raise NotImplementedError

    def _schemas(self) -> list[str]:
        return self.con.list_databases()


class DuckDB(Engine):
    def ask(self, statement: str) -> pl.DataFrame | None:
        rows = self.con.con.sql(statement)
        return None if rows is None else rows.pl()


class Postgres(Engine):
    def ask(self, statement: str) -> pl.DataFrame | None:
        with self.con.con.transaction(), self.con.con.cursor() as cursor:
            cursor.execute(statement)
            if cursor.description is None:
                return None
            types = {"int2": pl.Int16, "int4": pl.Int32, "int8": pl.Int64, "float8": pl.Float64}
            types |= {"text": pl.String, "varchar": pl.String, "numeric": pl.Decimal}
            registered = self.con.con.adapters.types
            schema = {
                each.name: types[registered[each.type_code].name] for each in cursor.description
            }
            return pl.DataFrame(cursor.fetchall(), schema=schema, orient="row")


class Spark(Engine):
    def load(self, name: str, frame: pl.DataFrame) -> str:
        # Ibis 12 goes through pandas, where a whole number beside a null is lost.
        self.con.raw_sql(f"create schema if not exists {name.rpartition('.')[0]}")
        rows = self.con._session.createDataFrame(
            frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        )
        rows.write.mode("overwrite").saveAsTable(name)
        return name

    def ask(self, statement: str) -> pl.DataFrame | None:
        rows = self.con._session.sql(statement)
        return pl.from_arrow(rows.toArrow()) if rows.columns else None


class ClickHouse(Engine):
    def load(self, name: str, frame: pl.DataFrame) -> str:
        # Ibis creates no table from memory here: its rows would travel as external data, which
        # ClickHouse in this process has not.
        schema, _, table = name.rpartition(".")
        quoted = queries.identifier(schema, self.dialect), queries.identifier(table, self.dialect)
        types = {
            name: self.con.compiler.type_mapper.to_string(dtype)
            for name, dtype in ibis.memtable(frame).schema().items()
        }
        columns = ", ".join(
            f"{queries.identifier(name, self.dialect)} {dtype}" for name, dtype in types.items()
        )
        self.con.raw_sql(f"create database if not exists {quoted[0]}")
        self.con.raw_sql(f"create or replace table {'.'.join(quoted)} ({columns}) engine = Memory")
        if frame.height:
            self.con.con.insert_arrow(table, frame.to_arrow(), database=schema)
        return name

    def ask(self, statement: str) -> pl.DataFrame | None:
        first = sqlglot.tokenize(statement, read=self.dialect)[0].text.lower()
        if first in ("select", "with"):
            settings = {"output_format_arrow_string_as_string": 1}
            return pl.from_arrow(self.con.con.query_arrow(statement, settings=settings))
        self.con.con.command(statement)
        return None


class DataFusion(Engine):
    def ask(self, statement: str) -> pl.DataFrame | None:
        rows = self.con.con.sql(statement)
        return pl.from_arrow(rows.to_arrow_table()) if rows.schema().names else None


# Starting and stopping ----------------------------------------------------------------------------


@contextlib.contextmanager
def duckdb() -> Iterator[Engine]:
    con = ibis.duckdb.connect()
    yield DuckDB("duckdb", "duckdb", con)
    con.disconnect()


@contextlib.contextmanager
def datafusion() -> Iterator[Engine]:
    yield DataFusion("datafusion", "datafusion", ibis.datafusion.connect())


@contextlib.contextmanager
def clickhouse() -> Iterator[Engine]:
    con = ibis.clickhouse.connect(interface="chdb")
    yield ClickHouse("clickhouse", "clickhouse", con)
    con.disconnect()


@contextlib.contextmanager
def postgres() -> Iterator[Engine]:
    with server() as url:
        con = ibis.connect(url)
        yield Postgres("postgres", "postgres", con)
        con.disconnect()


@contextlib.contextmanager
def spark() -> Iterator[Engine]:
    with session() as started:
        yield Spark("spark", "spark", ibis.pyspark.connect(started))


STARTED = {
    "duckdb": duckdb,
    "postgres": postgres,
    "spark": spark,
    "clickhouse": clickhouse,
    "datafusion": datafusion,
}

NEEDED = {
    "postgres": ("psycopg",),
    "spark": ("pyspark",),
    "clickhouse": ("chdb", "clickhouse_connect"),
    "datafusion": ("datafusion",),
}


class MissingError(Exception):
    """What an engine needs is not on this machine."""


# PostgreSQL ---------------------------------------------------------------------------------------


def _programs() -> Path:
    """The newest PostgreSQL server here: Debian keeps its programs off the path."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name)
    )
    if found := shutil.which("initdb"):
        folders.append(Path(found).parent)
    for folder in reversed(folders):
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    raise MissingError("there is no PostgreSQL server; install it: sh tests/postgres.sh")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL server with a fresh cluster; its URL."""
    programs = _programs()
    # PostgreSQL refuses to be run by root.
    as_user: dict[str, Any] = {}
    if os.getuid() == 0:
        import pwd

        known = {user.pw_name: user for user in pwd.getpwall()}
        user = known.get("postgres") or known["nobody"]
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # Not in a folder of pytest's: those are closed to other users. And with a short name, since
    # that of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="prime-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if as_user:
            os.chown(folder, as_user["user"], as_user["group"])
        call = functools.partial(
            subprocess.run, cwd=folder, capture_output=True, text=True, timeout=500, **as_user
        )

        def run(*command: str | Path) -> None:
            done = call(command, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
            if done.returncode:
                log = folder / "log"
                text = log.read_text() if log.exists() else ""
                raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}{text}")

        # Sorted by a language, as most databases are: what must not depend on it would show.
        run(
            *(programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "prime"),
            *("-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"),
            "--no-sync",
        )
        settings = (
            f"-c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} "
            "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        )
        control = (programs / "pg_ctl", "-D", folder / "data", "-w")
        # With a log, or the server would keep our output open.
        start = (*control, "-l", folder / "log", "start", "-o")
        for tries in range(3):
            port = _free_port()  # which another process may take before the server does
            try:
                run(*start, f"{settings} -c port={port}")
                break
            except RuntimeError:
                if tries == 2:
                    raise
        try:
            yield f"postgres://prime@127.0.0.1:{port}/postgres"
        finally:
            run(*control, "-m", "immediate", "stop")


# Spark --------------------------------------------------------------------------------------------


def _java() -> str:
    """The home of a Java that Spark 4.0 runs on: 17 or 21."""

    def fits(home: Path) -> bool:
        release = home / "release"
        text = release.read_text() if release.exists() else ""
        return (home / "bin" / "java").exists() and any(
            line.startswith(('JAVA_VERSION="17', 'JAVA_VERSION="21')) for line in text.splitlines()
        )

    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if found := shutil.which("java"):
        homes.append(Path(found).resolve().parent.parent)
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    for home in homes:
        if fits(home):
            return str(home)
    raise MissingError(
        "there is no Java 17 or 21, which Spark needs; install it: sh tests/postgres.sh"
    )


@contextlib.contextmanager
def session() -> Iterator[Any]:
    """A Spark session whose work is done by two other processes, which know nothing of this one."""
    java = _java()
    import pyspark

    with tempfile.TemporaryDirectory(prefix="prime-spark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Its workers write beside the programs; so those are linked to a folder of ours.
        home = folder / "home"
        home.mkdir()
        for part in Path(pyspark.__file__).parent.iterdir():
            (home / part.name).symlink_to(part)
        os.environ |= {
            "JAVA_HOME": java,
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_DIRS": str(folder / "local"),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
        }
        from pyspark.sql import SparkSession

        quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        settings = {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
            "spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "spark.sql.shuffle.partitions": "2",
            "spark.default.parallelism": "2",
            # A query of few rows takes as long as making machine code of it: three times as fast.
            "spark.driver.defaultJavaOptions": quick,
            "spark.executor.extraJavaOptions": quick,
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            # Work is shared from the start: by all workers, not by the first that is there.
            "spark.cores.max": "2",
            "spark.scheduler.minRegisteredResourcesRatio": "1.0",
            "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s",
            "spark.locality.wait": "0",
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
        }
        builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName("prime_sql")
        started = builder.config(map=settings).getOrCreate()
        try:
            yield started
        finally:
            started.stop()
