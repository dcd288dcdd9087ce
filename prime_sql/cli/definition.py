"""What a failure mode, a class, an error and the columns are: options that commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from prime_sql.engine.errors import OptionError

# Sections of the help.
MODE = "What a failure mode is"
CLASS = "What a class and an error are"
COLUMNS = "Columns of the tables"

MaxTags = Annotated[int, typer.Option(help="Largest tag set, 1 to 6.", rich_help_panel=MODE)]
MinImages = Annotated[
    int, typer.Option(help="Fewest images that carry all its tags.", rich_help_panel=MODE)
]
MinDrop = Annotated[
    float,
    typer.Option(
        help="Smallest drop in accuracy below that of the class, a fraction.",
        rich_help_panel=MODE,
    ),
]
Necessity = Annotated[
    str,
    typer.Option(
        metavar="B2,B3,…",
        help="By how much accuracy must rise when any one of 2, 3, … tags is left out.",
        rich_help_panel=MODE,
    ),
]
MinTagImages = Annotated[
    int | None,
    typer.Option(
        help="A tag counts in a class if at least this many images carry it; --min-images if left "
        "out.",
        rich_help_panel=MODE,
    ),
]
MaxAbsent = Annotated[
    int,
    typer.Option(
        metavar="N",
        help='How many tags of a set may be absent, as in "not water".',
        rich_help_panel=MODE,
    ),
]
GroupBy = Annotated[
    str,
    typer.Option(
        metavar="COLUMN[,COLUMN]",
        help="The columns whose values make up the class: label, prediction (false positives) "
        "or any others.",
        rich_help_panel=CLASS,
    ),
]
Error = Annotated[
    str | None,
    typer.Option(
        metavar="SQL",
        help="Condition for a wrong prediction; label <> prediction if left out.",
        rich_help_panel=CLASS,
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        metavar="SQL",
        help="Condition on the predictions, as in \"split = 'test'\".",
        rich_help_panel=CLASS,
    ),
]
ImageId = Annotated[
    str,
    typer.Option(metavar="COLUMN", help="The image, in both tables.", rich_help_panel=COLUMNS),
]
Label = Annotated[str, typer.Option(metavar="COLUMN", help="The label.", rich_help_panel=COLUMNS)]
Prediction = Annotated[
    str, typer.Option(metavar="COLUMN", help="The prediction.", rich_help_panel=COLUMNS)
]
TagColumn = Annotated[
    str,
    typer.Option(metavar="COLUMN", help="The tag, or a list of tags.", rich_help_panel=COLUMNS),
]
Score = Annotated[
    str, typer.Option(metavar="COLUMN", help="The tag's score.", rich_help_panel=COLUMNS)
]
MinScore = Annotated[
    float | None,
    typer.Option(help="Leave out tags with a lower score.", rich_help_panel=COLUMNS),
]
Present = Annotated[
    str | None,
    typer.Option(
        metavar="SQL",
        help="With --wide: a condition on value, what a column holds, that is true where the image "
        'has the tag, as in "value = \'Y\'" or "value > 0".',
        rich_help_panel=COLUMNS,
        show_default=False,
    ),
]
SplitTags = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help='A tag is several, with this text between them: ";" for snow;dog.',
        rich_help_panel=COLUMNS,
        show_default=False,
    ),
]
NormaliseTags = Annotated[
    bool,
    typer.Option(
        "--normalise-tags",
        help="Tags that differ only in case, spaces or Unicode form are one.",
        rich_help_panel=COLUMNS,
    ),
]


def numbers(text: str) -> tuple[float, ...]:
    """Read the numbers of ``--necessity``."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(
            f"necessity must be numbers such as 0.1,0.05,0.025, got {text!r}"
        ) from error
