"""Options that contradict each other, or mean nothing without another one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.fuzz.commands import GOOD
from tests.fuzz.faults import Fault

# What is added to a good command line, and what a message about it names.
PAIRS = {
    "search": [
        ("--model m", "--model"),
        ("--remove tags.csv", "--remove"),
        ("--append", "--append"),
        ("--append --db new.duckdb --models a,b", "--models"),
        ("--schema s", "--schema"),
        ("--db new.duckdb --warehouse postgres://h/d", "--warehouse"),
        ("--from-run latest", "--from-run"),
        ("--from-run 1 --db runs.duckdb", "--from-run"),
        ("--models a,b --from-run 1", "--models"),
        ("--models a,b --fail-on new", "gate"),
        ("--models a,b --summary s.md", "summar"),
        ("--models a,b --warehouse postgres://h/d", "--warehouse"),
        ("--missed", "--missed"),
        ("--missed --method greedy --max-q 0.1", "--max-q"),
        ("--split split", "split"),
        ("--find a --check b", "find"),
        ("--split split --find test --check test", "find and check"),
        ("--split split --find nope --check test", "nope"),
        ("--split nope --find train --check test", "nope"),
        ("--fail-on new", "--db"),
        ("--fail-on unseen_images>1", "--check"),
        ("--junit j.xml", "--fail-on"),
        ("--quiet --verbose", "--quiet"),
        ("--wide --min-score 0.5", "min_score"),
        ("--wide", "wide"),
        ("--wait 5", "wait"),
        ("--group-by label,label", "label"),
        ("--max-tags 7", "max_tags"),
        ("--min-drop 2", "min_drop"),
        ("--min-drop 0", "min_drop"),
        ("--necessity 2", "necessity"),
        ("--max-q 0", "max_q"),
        ("--max-absent 9", "max_absent"),
        ("-o a.csv --fail-on images>1 --junit a.csv", "same file"),
        ("-o a.csv --summary ./a.csv", "same file"),
        ("-o tags.parquet", "same file"),
        ("--db a.duckdb --summary a.duckdb", "same file"),
    ],
    "top": [("--all --overlap 0.5", "--all"), ("--overlap 2", "overlap"), ("-n 0", "--top")],
    "report": [
        ("--format html -o runs.duckdb", "same file"),
        ("--top 0", "--top"),
        ("--cards -1", "--cards"),
        ("--runs 0", "--runs"),
    ],
    "chance": [
        ("--shuffles 10001", "shuffles"),
        ("--shuffles -1", "shuffles"),
        ("--seed 5", "seed"),
    ],
    "successes": [("--min-gain 2", "min_gain"), ("--min-gain 0", "min_gain")],
    "validate": [
        ("--tolerance 2", "tolerance"),
        ("--min-unseen-images 0", "min_unseen_images"),
        ("--wide --min-score 1", "min_score"),
        ("--quiet --verbose", "--quiet"),
        ("-o tags.parquet", "same file"),
    ],
    "explain": [("--format csv", "--format")],
    "sweep": [("--min-images 0", "min_images"), ("--min-drop 0,2", "min_drop")],
    "compare": [("--quiet --verbose", "--quiet")],
    "history": [("--runs 0", "runs"), ("--quiet --verbose", "--quiet")],
    "gate": [
        ("--fail-on new --junit a.xml --summary a.xml", "same file"),
        ("--summary runs.duckdb", "same file"),
    ],
    "pick": [
        ("--limit 0", "limit"),
        ("--limit 5 --all", "--all"),
        ("--min-similarity 2", "min_similarity"),
        ("--wide --min-score 1", "min_score"),
        ("-o tags.parquet", "same file"),
    ],
    "weights": [("-o predictions.parquet", "same file"), ("--wide --min-score 1", "min_score")],
    "query": [("--param a=1 --param a=2", "'a'")],
    "runs": [
        ("--keep 3", "--keep"),
        ("--dry-run", "--dry-run"),
        ("--prune", "--keep"),
        ("--prune --keep 0", "keep"),
        ("--prune --keep 3 --job nobody", "nobody"),
    ],
    "init": [("-o tags.parquet --force", "same file")],
    "tag": [
        ("--model m", "--model"),
        ("--vocabulary words.csv", "--vocabulary"),
        ("--threads 2", "--threads"),
        ("--top-k 3", "--top-k"),
        ("--trust", "--trust"),
        ("--parts noun", "--parts"),
        ("--image-size 4", "--image-size"),
        ("--device cpu", "--device"),
        ("--quiet --verbose", "--quiet"),
    ],
    "embed": [
        ("--column c", "--column"),
        ("--template {}", "--template"),
        ("--texts words.csv --threads 3", "--threads"),
        ("--texts words.csv --batch-size 3", "--batch-size"),
    ],
    "predict": [("--batch-size 0", "--batch-size"), ("--mean x", "--mean"), ("--std 1,x", "--std")],
    "images": [("--quiet --verbose", "--quiet"), ("--threads 0", "--threads")],
    "demo": [("--quiet --verbose", "--quiet"), ("--top 0", "--top")],
}
# Command lines without the good one.
WHOLE = [
    ("search", ["search"], "PREDICTIONS"),
    ("search", ["search", "predictions.parquet"], "TAGS"),
    ("search", ["search", "--from-run", "1"], "--db"),
    ("search", ["search", "--db", "runs.duckdb", "--from-run", "1", "--where", "1"], "--where"),
    ("search", ["search", "--db", "runs.duckdb", "--from-run=1", "--memory-limit=1GB"], "--memory"),
    (
        "search",
        ["search", "--db", "runs.duckdb", "--from-run", "1", "--min-drop", "0.1"],
        "--min-drop",
    ),
    ("gate", ["gate", "runs.duckdb"], "--fail-on"),
    ("gate", ["gate", "runs.duckdb", "--junit", "a.xml"], "--fail-on"),
    ("query", ["query", "runs.duckdb", "--param", "a=1"], "--param"),
    ("query", ["query", "runs.duckdb", "images_of_mode"], "mode_id"),
    ("query", ["query", "runs.duckdb", "failure_modes_by", "--param", "column=zq"], "zq"),
    ("query", ["query", "images.duckdb", "near_misses"], "images.duckdb"),
    ("init", ["init", "predictions.parquet"], "TAGS"),
    ("init", ["init", "predictions.parquet", "tags.parquet", "-o", "prime.toml"], "prime.toml"),
    ("images", ["images", "text.txt", "--db", "images.duckdb"], "text.txt"),
    ("images", ["images", "text.txt", "--db", "new.duckdb"], "text.txt"),
    ("images", ["images", "a folder", "--db", "new.duckdb"], "a folder"),
    ("images", ["images", "words.csv", "--db", "new.duckdb", "--uri", "text"], "words.csv"),
    ("tag", ["tag", "--db", "images.duckdb"], "--vocabulary"),
    ("tag", ["tag", "--db", "images.duckdb", "--tagger", "ram"], "--checkpoint"),
    ("tag", ["tag", "--db", "images.duckdb", "--tagger", "table"], "--source"),
    ("embed", ["embed", "--db", "images.duckdb"], "--model"),
    ("embed", ["embed", "--db", "new.duckdb", "--model", "m"], "new.duckdb"),
    ("predict", ["predict", "--db", "images.duckdb"], "--model"),
    ("predict", ["predict", "--db", "runs.duckdb", "--model", "classify:classify"], "images"),
]


def pairs() -> Iterator[Fault]:
    """Yield them."""
    for command, all_pairs in PAIRS.items():
        for added, named in all_pairs:
            line = [command, *GOOD[command], *added.split(" ")]
            yield Fault(command, "pair", line, (named,))
    for command, line, named in WHOLE:
        yield Fault(command, "pair", list(line), (named,))
