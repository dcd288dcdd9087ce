"""Command lines of images, embed, tag and predict: what they need, and all of their options."""

from __future__ import annotations

import inspect
from pathlib import Path

import duckdb

from prime_sql import vision
from prime_sql.cli.tag_options import Tagger

COMMANDS = ["images", "embed", "tag", "predict"]

CLASSIFIER = """
import time

def classify(pictures):
    time.sleep(0.01 * len(pictures))
    return [("cat" if picture.getpixel((0, 0))[0] % 2 else "dog", 0.5) for picture in pictures]
"""


def rows(query, db="new.duckdb"):
    connection = duckdb.connect(db)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


NEW = ["--db", "new.duckdb"]

NEEDED = {
    Tagger.clip: ["--model", "tiny", "--vocabulary", "words.txt"],
    Tagger.ram: ["--checkpoint", "ram.pth"],
    Tagger.ram_plus: ["--checkpoint", "ram.pth"],
    Tagger.captions: ["--source", "captions.csv"],
    Tagger.table: ["--source", "tags.csv"],
}

OTHER = {  # another value for every option
    "model": "ViT-B-16",
    "pretrained": "openai",
    "vocabulary": "others.txt",
    "column": "words",
    "template": "a {} thing",
    "threshold": 0.5,
    "top_k": 3,
    "calibrate": "all",
    "embeddings": "others",
    "checkpoint": Path("other.pth"),
    "image_size": 224,
    "extra_tag": "zebra",
    "trust": True,
    "source": "others.csv",
    "image_id": "file",
    "tag_": "word",
    "score": "weight",
    "parts": "noun,verb",
    "synonyms": "same.csv",
    "name": "mine",
    "table": "others",
    "replace": True,
    "prune": True,
    "prune_all": True,
    "dry_run": True,
    "device": "cpu",
    "precision": "bf16",
    "batch_size": "7",
    "threads": 3,
    "texts": "words.txt",
    "labels": Path("labels.txt"),
    "mean": "0.1,0.2,0.3",
    "std": "0.4,0.5,0.6",
    "resize": "squash",
    "uri": "place",
    "bytes_": "content",
    "label": "class",
    "split": "part",
    "root": Path("photos"),
}

FUNCTIONS = {
    "images": [vision.load_images],
    "embed": [vision.embed, vision.embed_texts],
    "tag": [vision.tag_clip, vision.tag_ram, vision.tag_captions, vision.tag_table],
    "predict": [vision.predict],
}

PYTHON = {"into", "on_sql", "on_images", "kind"}  # --db, --verbose, the terminal, --tagger

OF_THE_COMMAND = {
    "images": {"db", "quiet", "verbose"},
    "embed": {"db", "quiet", "verbose", "images"},
    "tag": {"db", "quiet", "verbose", "images", "tagger"},
    "predict": {"db", "quiet", "verbose", "images"},
}


def options_of(function):
    """Return the options of a function, under the names that they have in its command."""
    names = inspect.signature(function).parameters.keys() - PYTHON
    renamed = {"extra_tags": "extra_tag"}
    if function.__name__ in ("tag_captions", "tag_table"):
        renamed |= {"captions": "source", "tags": "source", "tag": "tag_"}
    return {renamed.get(name, name): name for name in names}


def function_of(tagger):
    """Return what the command calls for a tagger."""
    name = "ram" if tagger in (Tagger.ram, Tagger.ram_plus) else tagger.value
    return getattr(vision, f"tag_{name}")


def flag(name):
    return f"--{name.strip('_').replace('_', '-')}"


def typed(name):
    value = OTHER[name]
    return [flag(name)] if value is True else [flag(name), str(value)]


TABLE = ["tag", *NEW, "--tagger", "table", "--source", "tags.csv"]

CLIP = ["tag", *NEW, "--model", "tiny", "--vocabulary", "words.txt"]
