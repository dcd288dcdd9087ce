"""Environment variables in a job: filled in where they are named, kept out of what leaves the job.

The value of a variable may be a secret. Whatever the job stores, prints or raises says ``${NAME}``
instead.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from prime_sql.engine.errors import OptionError, did_you_mean, shorten

_REFERENCE = re.compile(r"\$(?P<escaped>\$)?\{(?P<inside>[^}]*)\}?")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)

_MIXED = re.compile(r"(?=.*\d)(?=.*[^\W\d_])")

# A shorter value is not a secret, and would be found in every other line.
_SHORTEST = 3
_IN_WORDS = 4  # shorter ones are hidden where they are a word, not in the middle of others


class Environment:
    """The environment variables that a job names.

    Parameters
    ----------
    variables
        All there are; those of the process if left out.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self._named: dict[str, str] = {}

    def expand(self, text: str) -> str:
        """Return a text with the values of its variables: ``${NAME}``, ``${NAME:-default}``.

        As in a shell, the default also replaces an empty value. ``$${`` is a plain ``${``.

        Raises
        ------
        OptionError
            When a variable is not set and has no default, or ``${`` is not followed by a name.
        """
        return _REFERENCE.sub(lambda match: self._value(match, shown=False), text)

    def written(self, text: str) -> str:
        """Return a text as it may be stored and shown: variables by name, except for defaults."""
        return _REFERENCE.sub(lambda match: self._value(match, shown=True), text)

    def _value(self, match: re.Match[str], shown: bool) -> str:
        if match["escaped"]:
            return match[0][1:]
        inside = _INSIDE.fullmatch(match["inside"])
        if inside is None or not match[0].endswith("}"):
            raise OptionError(
                f"{shorten(match[0])} is not an environment variable; write ${{NAME}} or "
                "${NAME:-default}, and $${ for a plain ${"
            )
        name, default = inside["name"], inside["default"]
        value = self._variables.get(name)
        if value is None or (not value and default is not None):
            if default is None:
                close = did_you_mean(name, self._variables)
                raise OptionError(
                    f"the environment variable {name} is not set.{close} Set it, or write a "
                    f"default: ${{{name}:-…}}"
                )
            return default
        self._named[name] = value
        return f"${{{name}}}" if shown else value

    def hide(self, text: str) -> str:
        """Return a text with ``${NAME}`` instead of every value, however it is written."""
        forms = {
            form: f"${{{name}}}"
            for name, value in self._named.items()
            for form in _forms(value)
            if len(form) >= _SHORTEST
        }
        if not forms:
            return text
        longest_first = sorted(forms, key=len, reverse=True)
        whole = re.compile("|".join(map(_pattern, longest_first)))
        text = whole.sub(lambda match: forms[match[0]], text)
        # Long texts are cut in messages, perhaps in the middle of a value.
        parts = text.split("…")
        for i, part in enumerate(parts[:-1]):
            for form in longest_first:
                end = _cut(form, part)
                if end:
                    parts[i] = part[:-end] + forms[form]
                    break
        for i, part in enumerate(parts[1:], 1):
            for form in longest_first:
                begin = _cut(form[::-1], part[::-1])
                if begin:
                    parts[i] = forms[form] + part[begin:]
                    break
        return "…".join(parts)


def _pattern(form: str) -> str:
    found = re.escape(form)
    return found if len(form) >= _IN_WORDS else rf"(?<!\w){found}(?!\w)"


def _forms(value: str) -> Iterator[str]:
    """Yield a value in the forms messages may show it in, and the parts that may be secrets."""
    for part in {value, value.strip(), *value.split("\n"), *_credentials(value)}:
        yield part
        yield str(Path(part))
        for quote_mark in "'\"":  # in an SQL literal or name, and what that means
            yield part.replace(quote_mark, quote_mark * 2)
            yield part.replace(quote_mark * 2, quote_mark)
        # An engine takes SQL and URLs apart; a word of letters and digits may be half a secret.
        yield from (word for word in re.findall(r"\w{6,}", part) if _MIXED.match(word))
        yield repr(part)[1:-1]
        yield json.dumps(part)[1:-1]
        yield quote(part)
        yield quote(part, safe="")
        yield quote_plus(part)


def _credentials(value: str) -> Iterator[str]:
    """Yield what is secret in a URL, which engines take apart: the password and the parameters."""
    try:
        url = urlsplit(value)
        password = url.password
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))
    for _, parameter in parse_qsl(url.query):
        yield parameter


def _cut(form: str, text: str) -> int:
    """Return how many of the first characters of `form` end `text`; 0 if only a few do."""
    for length in range(min(len(form), len(text)), _IN_WORDS - 1, -1):
        if text.endswith(form[:length]):
            return length
    return 0
