"""The JSON schema of a job file, made from its dataclasses, for editors.

``python -m prime_sql.job.schema > prime_sql/job/schema.json`` writes the file that is shipped.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from prime_sql.engine.options import Options
from prime_sql.job.sections import JobFile, Output, keys

FILE = "schema.json"
_TITLE = "prime_sql job"


def shipped() -> str:
    """Return the text of the schema."""
    return resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")


def is_schema(path: Path) -> bool:
    """Return whether a file is the schema, of this version or another."""
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("title") == _TITLE  # type: ignore[no-any-return]
    except (OSError, ValueError, AttributeError):
        return False


def made() -> str:
    """Return the schema as the dataclasses define it."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": _TITLE,
        **_section(JobFile),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _section(section: type) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "description": (inspect.getdoc(section) or "").split("\n\n")[0].replace("`", ""),
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {"description": key.doc, **_typed(key.hint), **_default(key.default)}
            for name, key in keys(section).items()
        },
    }
    if section is Options:
        schema["description"] = "The options of the search."
    required = [name for name, key in keys(section).items() if key.required]
    if required:
        schema["required"] = required
    if section is Output:
        schema["oneOf"] = [{"required": [name]} for name in ("report", "file", "table")]
    return schema


def _default(default: Any) -> dict[str, Any]:
    if default is None or dataclasses.is_dataclass(default) or default == ():
        return {}
    return {"default": list(default) if isinstance(default, tuple) else default}


def _typed(hint: Any) -> dict[str, Any]:
    origin, of = get_origin(hint), [each for each in get_args(hint) if each is not NoneType]
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _section(hint)
    if origin is dict:
        return {"type": "object", "additionalProperties": _typed(of[1])}
    if origin is tuple:
        return {"type": "array", "items": _typed(of[0])}
    if origin is Literal:
        return {"enum": of}
    if origin in (Union, UnionType):
        return _typed(of[0]) if len(of) == 1 else {"anyOf": [_typed(each) for each in of]}
    if hint is str:
        return {"type": "string", "minLength": 1}
    return {"type": {int: "integer", float: "number", bool: "boolean"}[hint]}


if __name__ == "__main__":
    print(made(), end="")
