"""The options of ``prime-sql tag``, and which tagger takes which."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from prime_sql.cli.app import RESULTS, flag, is_given
from prime_sql.cli.images import TRUST
from prime_sql.engine.defaults import MOST_PIXELS
from prime_sql.engine.errors import OptionError

_T = TypeVar("_T")

# Sections of the help.
CLIP = "--tagger clip"
RAM = "--tagger ram, ram++"
TABLES = "--tagger captions, table"


class Tagger(StrEnum):
    """Which tagger to use."""

    clip = "clip"
    ram = "ram"
    ram_plus = "ram++"
    captions = "captions"
    table = "table"


class Calibrate(StrEnum):
    """Over which images a tag's score is standardised."""

    class_ = "class"
    all = "all"
    none = "none"


TaggerOption = Annotated[Tagger, typer.Option(help="Which tagger to use.")]
Vocabulary = Annotated[
    str | None,
    typer.Option(
        metavar="TEXTS",
        help="The tags: a .txt file with one per line, or a table.",
        rich_help_panel=CLIP,
        show_default=False,
    ),
]
Column = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of the vocabulary (text, tag or name if left out) or of the captions "
        "(caption if left out).",
        rich_help_panel=CLIP,
        show_default=False,
    ),
]
Template = Annotated[str, typer.Option(help="Prompt, with {} for the tag.", rich_help_panel=CLIP)]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Lowest score of a tag. If left out, 2.5 (standard deviations) for clip, and the "
        "model's own for each tag for ram.",
        rich_help_panel=CLIP,
        show_default=False,
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(help="Most tags per image.", rich_help_panel=CLIP, show_default=False),
]
CalibrateOption = Annotated[
    Calibrate,
    typer.Option(
        help="Measure a tag's score in standard deviations above its mean over the images of "
        "the same class, or over all; none keeps cosine similarities.",
        rich_help_panel=CLIP,
    ),
]
Embeddings = Annotated[
    str,
    typer.Option(
        metavar="TABLE",
        help="The table of embeddings, which embed filled or this command fills.",
        rich_help_panel=CLIP,
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The published weights.",
        rich_help_panel=RAM,
        show_default=False,
    ),
]
ImageSize = Annotated[
    int,
    typer.Option(
        min=1,
        max=MOST_PIXELS,
        help="Side of the pictures that the model sees, in pixels.",
        rich_help_panel=RAM,
    ),
]
ExtraTag = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TAG",
        help="A tag besides the model's own; may be repeated.",
        rich_help_panel=RAM,
        show_default=False,
    ),
]
Trust = Annotated[bool, typer.Option("--trust", help=TRUST, rich_help_panel=RAM)]
Source = Annotated[
    str | None,
    typer.Option(
        metavar="TABLE",
        help="The captions or the tags, one row per image and caption or tag.",
        rich_help_panel=TABLES,
        show_default=False,
    ),
]
ImageId = Annotated[str, typer.Option(metavar="COLUMN", help="The image.", rich_help_panel=TABLES)]
TagColumn = Annotated[
    str,
    typer.Option(
        "--tag", metavar="COLUMN", help="The tag, or a list of tags.", rich_help_panel=TABLES
    ),
]
Score = Annotated[
    str,
    typer.Option(
        metavar="COLUMN", help="The score; 1 if there is no such column.", rich_help_panel=TABLES
    ),
]
Parts = Annotated[
    str,
    typer.Option(
        metavar="PART,PART", help="Which words of captions are tags.", rich_help_panel=TABLES
    ),
]
Synonyms = Annotated[
    str | None,
    typer.Option(
        metavar="TABLE",
        help="Columns synonym and tag: the first is replaced by the second.",
        rich_help_panel=RESULTS,
        show_default=False,
    ),
]

# Which taggers take which option; those not named here are for all.
_TAKES = {
    "model": {Tagger.clip},
    "pretrained": {Tagger.clip},
    "vocabulary": {Tagger.clip},
    "column": {Tagger.clip, Tagger.captions},
    "template": {Tagger.clip},
    "threshold": {Tagger.clip, Tagger.ram, Tagger.ram_plus},
    "top_k": {Tagger.clip},
    "calibrate": {Tagger.clip},
    "embeddings": {Tagger.clip},
    "checkpoint": {Tagger.ram, Tagger.ram_plus},
    "image_size": {Tagger.ram, Tagger.ram_plus},
    "extra_tag": {Tagger.ram, Tagger.ram_plus},
    "trust": {Tagger.ram, Tagger.ram_plus},
    "replace": {Tagger.ram, Tagger.ram_plus},
    "source": {Tagger.captions, Tagger.table},
    "image_id": {Tagger.captions, Tagger.table},
    "tag_": {Tagger.table},
    "score": {Tagger.table},
    "parts": {Tagger.captions},
    "device": {Tagger.clip, Tagger.ram, Tagger.ram_plus},
    "precision": {Tagger.clip, Tagger.ram, Tagger.ram_plus},
    "batch_size": {Tagger.clip, Tagger.ram, Tagger.ram_plus},
}


def check_options(context: typer.Context, tagger: Tagger, images: str | None) -> None:
    """Refuse what the tagger would ignore."""
    # Without images to load there is nothing to decode for those that read tables.
    decode = {} if images else {"threads": _TAKES["device"]}
    for name, takes in (_TAKES | decode).items():
        if tagger not in takes and is_given(context, name):
            others = " or ".join(sorted(takes))
            raise OptionError(f"{flag(name)} is for --tagger {others}, not {tagger}")


def required(value: _T | None, option: str) -> _T:
    """Return the value of an option that the tagger cannot do without."""
    if value is None:
        raise OptionError(f"this tagger needs {option}; see prime-sql tag --help")
    return value
