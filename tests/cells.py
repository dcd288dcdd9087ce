"""Text that may do harm where it is shown, and the cells of a Markdown table."""

HOSTILE = [
    "plain",
    "\x1b[31mred\x1b[0m",
    "[bold]markup[/bold] [link=x]",
    ":smile:",
    "two\nlines",
    "carriage\rreturn",
    "a | pipe",
    "back\\slash",
    "trailing\\",
    'say "x", please',
    "it's",
    "<b>html</b> *star* `code` _under_",
    "tab\tbell\x07null\x00",
    "猿 🐒 é",
    "",
    "x" * 10_000,
    "=1+1",
    "\u202eright to left",
]


def cells(line):
    """Split a row of a Markdown table where Markdown would."""
    found, escaped = [""], False
    for char in line.removeprefix("| ").removesuffix(" |"):
        if char == "|" and not escaped:
            found.append("")
        else:
            found[-1] += char
        escaped = char == "\\" and not escaped
    return [cell.strip() for cell in found]
