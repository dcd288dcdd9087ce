"""Bad command lines, each with one fault, and what a message about it has to name."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.fuzz.commands import GOOD, MODEL, Parameter, is_choice, parameters

LONG = 300  # characters; no file has such a name


@dataclass(frozen=True)
class Fault:
    """A bad command line.

    Attributes
    ----------
    command, kind
        For the table.
    arguments
        The command line.
    culprits
        A message names one of them.
    files
        Files that are written for it, by name.
    variables
        Environment variables.
    unsaid
        What no message may hold.
    """

    command: str
    kind: str
    arguments: list[str]
    culprits: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    unsaid: tuple[str, ...] = ()


Maker = Callable[[Parameter, random.Random], Iterator[Fault]]


def word(rng: random.Random, length: int = 9) -> str:
    """Return a word that is no name of anything."""
    return "zq" + "".join(rng.choices(string.ascii_lowercase, k=length))


def _of(parameter: Parameter, kind: str, value: str, *culprits: str, **more: object) -> Fault:
    said = culprits or parameter.names
    return Fault(parameter.command, kind, parameter.given(value), said, **more)  # type: ignore[arg-type]


def numbers(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    """Yield what is not a number, or is none that makes sense."""
    listed = parameter.metavar in ("N,N,…", "A,A,…", "B2,B3,…", "R,G,B", "N|auto")
    if parameter.kind not in (int, float) and not listed:
        return
    bad = [word(rng), "nan", "inf", "-inf", "1e400", "0x10", "1,,2", "--", "١٢x", "9" * 5000 + "x"]
    if parameter.kind is int or parameter.metavar in ("N,N,…", "N|auto"):
        bad += ["1.5", str(10**40), str(-rng.randint(1, 10**6)), str(2**63), "9" * 5000]
    for value in bad:
        if not parameter.flag and value.startswith("-"):
            continue  # to typer it is an option
        yield _of(parameter, "number", value, *parameter.names, value[:20])


def choices(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    """Yield words that are not among those to choose from."""
    words = ("method", "dialect", "resize", "device", "precision", "parts")
    if not is_choice(parameter) and parameter.name not in words:
        return
    if parameter.command in MODEL and parameter.name in ("device", "precision"):
        return  # asked for with the model only
    for value in (word(rng), "TABLE", "csv ", "html,json"):
        if not (parameter.name == "parts" and parameter.command != "tag"):
            yield _of(parameter, "choice", value, *parameter.names, value.strip())


def empty(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    """Yield what a shell makes of a variable that is not set."""
    for value in ("", " ", "\t", "\n  "):
        yield _of(parameter, "empty", value)


def databases(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    """Yield what is not a database."""
    is_db = parameter.metavar == "DB" or parameter.name in ("db", "other")
    if not is_db:
        return
    bad = ["folder.duckdb", "circle.duckdb", "text.duckdb", "empty.duckdb", "null.duckdb"]
    bad += ["cut.duckdb", "damaged.duckdb", "a folder", "nowhere/a.duckdb", "tags.parquet"]
    bad += ["x" * rng.randint(LONG, 9000) + ".duckdb", "predictions.csv", "pipe.duckdb", "pipe"]
    writes = parameter.command in ("search", "init", "images", "tag", "demo")
    if not writes:
        bad += [f"{word(rng)}.duckdb", "runs.duckdb/x", "runs.duckdb ", "file:runs.duckdb"]
        if parameter.command not in ("embed", "predict", "query"):
            bad += [
                "postgres://[::1",
                f"{word(rng)}://x",
                "http://h/x.duckdb",
                "postgres://u:p@h:x/",
            ]
    for value in bad:
        secret = (":p@",) if "u:p@" in value else ()
        shown = value.replace("u:p@", "")
        said = (shown[:60], shown[-30:].strip(), value.partition(":")[0])
        yield _of(parameter, "database", value, *said, unsaid=secret)


def sources(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    """Yield what is not a table, or has none of what is looked for."""
    tables = ("PREDICTIONS", "TAGS", "POOL", "TRAINING", "TEXTS", "IMAGES")
    is_source = parameter.metavar in tables or parameter.name in ("source", "synonyms")
    if not is_source or parameter.command == "compile" or parameter.name in ("texts", "vocabulary"):
        return
    bad = [f"{word(rng)}.csv", f"no/{word(rng)}.parquet", f"{word(rng)}*.csv", "cut.parquet"]
    bad += ["empty.csv", "empty.parquet", "null.parquet", "text.parquet", "cut.json", "null.json"]
    bad += ["circle.csv", "circle.parquet", "pipe.csv", "pipe.parquet", "folder.csv"]
    bad += [f"runs.duckdb:{word(rng)}", "cut.duckdb:tags", "text.duckdb:tags", "pipe.duckdb:t"]
    bad += ["circle.duckdb:tags", f"{word(rng)}.duckdb:t", "runs.duckdb", "predictions.csv:t"]
    bad += ["x" * LONG, "x" * rng.randint(LONG, 9000) + ".csv", "x" * LONG + ".duckdb:t"]
    bad += ["http://h/p?token=hunter2", "s3://b/k", "https://me:hunter2@h/p"]
    if parameter.command != "images":
        bad += ["a folder", word(rng), "words.csv", "text.txt"]
    for value in bad:
        if parameter.name == "pool" and value in ("runs.duckdb", "images.duckdb"):
            continue
        if parameter.name == "synonyms" and value == "words.csv":
            continue
        plain = value.replace("me:hunter2@", "").partition("?")[0]
        role = parameter.name.strip("_")
        file = plain.partition(":")[0]
        said = (plain[:60], role + ":", "both tables", "--remove names")
        said += ("It has: text",) if value == "words.csv" else ()
        said += (file,) if file.endswith((".duckdb", ".csv")) else ()
        yield _of(parameter, "source", value, *said, unsaid=("hunter2",))


def columns(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    """Yield columns that no table has."""
    is_column = parameter.metavar.startswith("COLUMN")
    if not is_column or parameter.command in ("compile", "embed"):
        return
    if parameter.name in ("score", "model", "find", "check"):
        return
    if (parameter.command, parameter.name) == ("weights", "prediction"):
        return  # it is not read where the class is the label
    if parameter.command == "images":
        yield from _columns_of_images(parameter, rng)
        return
    for value in (word(rng), word(rng, 200), word(rng, 9000), "image_id;", "a\x1b]0;b\x07"):
        if (parameter.command, parameter.name) == ("tag", "column"):
            return
        escaped = repr(value)[1:21].strip()
        culprits = ("split",) if parameter.name == "split" else (value[:20].strip(), escaped)
        yield _of(parameter, "column", value, *culprits)


def _columns_of_images(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    for value in (word(rng), word(rng, 200), word(rng, 9000)):
        line = [*parameter.given(value)]
        line[1] = "words.csv"
        yield Fault("images", "column", line, (value[:20], "neither a column of URIs"))


def conditions(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    """Yield conditions that are none."""
    if parameter.metavar not in ("SQL", "new|SQL"):
        return
    bad = ["label =", "'", '"', "(", "select", "1; drop table x", "true; select 1", "*", "--", "/*"]
    if parameter.command != "compile":
        bad += [f"{word(rng)} = 1", f"{word(rng)}(label)", "count(*) > 1", "sum(1) over () > 0"]
        bad += [f"{word(rng, 9000)} > 1", "label", "1 + 'a'", "images > (select 1 from x)"]
    for value in bad:
        shown = value[:20]
        yield _of(parameter, "SQL", value, *parameter.names, shown, "gate")


def outputs(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    """Yield places where nothing can be written."""
    if parameter.name not in ("output", "output_", "junit", "summary"):
        return
    bad = [f"{word(rng)}/a.csv", "folder.csv", "x" * LONG + ".csv", "circle.csv", "tags.csv/a.csv"]
    bad += ["/proc/a.csv", "/dev/a folder/b.csv"]
    if parameter.name.startswith("output") and parameter.command != "init":
        bad += ["a.docx", "a", ".csv", "a.csv.gz", "runs.duckdb"]
    if parameter.name in ("junit", "summary"):
        bad += ["runs.duckdb"] if parameter.command == "gate" else ["tags.parquet"]
    for value in bad:
        line = parameter.given(value)
        if parameter.name == "junit" and "--fail-on" not in line:
            line += ["--fail-on", "images > 1000"]
        yield Fault(parameter.command, "output", line, (value[:40], "same file"))


def runs(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    """Yield runs and failure modes that do not exist."""
    if parameter.name in ("run", "run_a", "run_b"):
        for value in ("0", "99", str(rng.randint(100, 2**31)), str(2**31), str(2**64)):
            yield _of(parameter, "run", value, value, *parameter.names)
    if parameter.name in ("mode_id", "from_run"):
        for value in (word(rng), "99", "0", "'", "%", "x" * 9000, "-1.5"):
            line = parameter.given(value)
            if parameter.name == "from_run":
                line = ["search", "--db", "runs.duckdb", f"--from-run={value}"]
            elif value.startswith("-"):
                continue
            yield Fault(parameter.command, "run", line, (value[:20], *parameter.names))


def texts(parameter: Parameter, rng: random.Random) -> Iterator[Fault]:
    """Yield what has a form of its own, in another one."""
    bad = {
        "memory_limit": ["lots", "1B", "-1GB", "0%", "101%", "1e9", "5 bytes", "9" * 5000],
        "temp_dir": [word(rng), "tags.csv", "circle", "pipe", "x" * LONG],
        "warehouse": ["runs.duckdb", "postgres://[::1", f"{word(rng)}://x", "http://x", "://"],
        "template": ["no place", "{} and {}"],
        "models": ["a", "a,", ",", "a,a", "zqx,zqy"],
        "param": ["x", "=1", f"{word(rng)}=1", f"min_drop={word(rng)}"],
        "root": [],
        "checkpoint": [],
    }.get(parameter.name, [])
    if parameter.name == "name" and parameter.command == "query":
        bad = [word(rng), word(rng, 9000), "near_misse", "../README", "\x1b[31m"]
    if parameter.name == "query":
        bad = ["selct 1", "select", "'", "select 1; select 2", f"from {word(rng)}", "drop table x"]
        bad += [f"select {word(rng, 9000)}", "null.sql", "circle.sql", "pipe.sql", "folder.sql"]
        bad += [f"{word(rng)}.sql", "copy failure_modes to 'x.csv'", "select error('zq')", ";"]
    for value in bad:
        shown = (value[:20], value.partition("=")[0][:20] or "=", *parameter.names, "quer", "only")
        shown += (repr(value)[1:-1], "zq", "names the model")
        line = parameter.given(value)
        if parameter.name == "template" and parameter.command == "embed":
            line += ["--texts", "words.csv"]
        elif parameter.name == "template":
            shown = (*shown, "--tagger")
        yield Fault(parameter.command, "text", line, shown)


def usage(rng: random.Random) -> Iterator[Fault]:
    """Yield command lines that typer refuses, or should."""
    takes = parameters()
    for command, good in GOOD.items():
        unknown = f"--{word(rng)}"
        yield Fault(command, "usage", [command, *good, unknown], (unknown,))
        yield Fault(command, "usage", [command, *good, f"{unknown}=1"], (unknown,))
        long = f"--{word(rng, 9000)}"
        yield Fault(command, "usage", [command, *good, long], (long[:40],))
        others = [word(rng) for _ in range(4)]
        yield Fault(command, "usage", [command, *good, *others], (*others, "unexpected extra"))
        own = [each for each in takes if each.command == command and each.flag]
        for each in own:
            yield Fault(command, "usage", [command, *good, each.flag], (each.flag, "requires an"))
        first = next((p for p in takes if p.command == command and not p.flag), None)
        if first is not None and command != "query":
            alone = [command] if command != "images" else [command, "--db", "images.duckdb"]
            names = (f"'{first.metavar}'", first.metavar, "--db", "--model", "IMAGES")
            yield Fault(command, "usage", alone, names)
        yield Fault(command, "usage", [command, *good, "--quiet=yes"], ("--quiet",))
    for name in ("serch", word(rng), word(rng, 9000), "--db", "-x", "TOP", " top"):
        yield Fault("(none)", "usage", [name], (name[:40].strip(),))


MAKERS: list[Maker] = [numbers, choices, empty, databases, sources, columns, conditions, outputs]
MAKERS += [runs, texts]


def all_faults(rng: random.Random, mode: str) -> list[Fault]:
    """Return every fault that the generator knows, with other words in it for another seed."""
    from tests.fuzz.jobs import jobs
    from tests.fuzz.pairs import pairs

    found = [fault for each in parameters() for make in MAKERS for fault in make(each, rng)]
    found += [*usage(rng), *pairs(), *jobs(rng)]
    for fault in found:
        fault.arguments[:] = [each.replace("{mode}", mode) for each in fault.arguments]
    return found
