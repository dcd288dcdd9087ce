"""Read a job file, and check it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from prime_sql.engine import places
from prime_sql.engine.errors import OptionError, did_you_mean, first_line
from prime_sql.job.checks import check
from prime_sql.job.environment import Environment
from prime_sql.job.reader import Reader
from prime_sql.job.sections import Job, JobFile

_OF_THE_SHELL = ("/dev/", "/proc/")  # where it puts what another command prints


def read(
    path: str | Path, variables: Mapping[str, str] | None = None, *, wait: float | None = None
) -> Job:
    """Read a job file, and check it, also against the database if there is one.

    Parameters
    ----------
    path
        The TOML file.
    variables
        Environment variables; those of the process if left out.
    wait
        Seconds to wait for the database if another process has it open; what the file says if
        left out.

    Raises
    ------
    OptionError
        When the file is missing, or something in it is wrong; the message lists everything.
    """
    places.check_name(path, "cannot read", OptionError)
    if not str(path).startswith(_OF_THE_SHELL):
        places.check_readable(path, "cannot read", OptionError)
    path = Path(path)
    tree = _parse(path)
    environment = Environment(variables)
    reader = Reader(environment.expand)
    says = reader.section(JobFile, tree, "")
    if says is None:
        raise wrong(path, reader.problems, environment)
    if wait is not None:
        says = replace(says, wait=wait)
    shown = Reader(environment.written).section(JobFile, tree, "")
    assert shown is not None  # it differs in the values of variables only
    job = Job(path, says, shown, environment)
    try:
        problems = check(job)
    except Exception as error:  # its traceback would show the values of variables
        problems = [f"it cannot be checked: {type(error).__name__}: {first_line(error)}"]
    if problems:
        raise wrong(path, problems, environment)
    return job


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        near = [each.name for each in path.absolute().parent.glob("*.toml")]
        raise OptionError(
            f"there is no file {path}.{did_you_mean(path.name, near)} `prime-sql init` writes one"
        ) from error
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{path} is not UTF-8 text: {error}") from error
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise OptionError(f"{path} is not valid TOML: {error}") from error


def wrong(path: Path, problems: list[str], environment: Environment) -> OptionError:
    """Return the one error that lists all problems of a file."""
    if len(problems) == 1:
        return OptionError(environment.hide(f"{path}: {problems[0]}"))
    lines = "\n".join(f"  {problem}" for problem in problems)
    return OptionError(environment.hide(f"{path} has {len(problems)} problems:\n{lines}"))
