"""The code behind ``module:function``: another code is another model, as other weights are."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from prime_sql.engine.errors import InputError

# What this process imported, by module: a module that is loaded again has another specification.
_imported: dict[str, tuple[ModuleSpec | None, str]] = {}


def fingerprint(module: str, function: Any) -> str | None:
    """Return a SHA-256 of the source of a function that has been imported.

    That is the file of its module, and of all modules beside it (of an installed package: in it)
    that these import. Other packages, and files that the code reads, do not count.

    Returns
    -------
    str or None
        None where there is no file, such as in a notebook.

    Raises
    ------
    InputError
        When a file has changed since this process imported it: other code would run than is noted.
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys([module, *_homes(function)]):
        # Somebody's own wrappers count, those of an installed package do not.
        file = _file_of(name)
        if file is not None and (name == module or not _is_installed(file)):
            found |= dict(_sources(name, file))
    if not found:
        return None
    for name, digest in found.items():
        _check_same(name, digest)
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def _homes(function: Any) -> Iterator[str]:
    """Yield the modules that a callable comes from, below what wraps it."""
    while isinstance(function, functools.partial):
        function = function.func
    for part in (inspect.unwrap(function), type(function), type(getattr(function, "__self__", 0))):
        name = getattr(part, "__module__", None)
        if isinstance(name, str) and name != "builtins":
            yield name


def _sources(module: str, file: Path) -> Iterator[tuple[str, str]]:
    """Yield the modules behind one, with the SHA-256 of each."""
    first = module.partition(".")[0]
    top = _file_of(first) or file
    root = top.parent.parent if top.name == "__init__.py" else top.parent
    installed = _is_installed(file)
    waiting, seen = [module], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _file_of(name)
        if path is None or not path.is_relative_to(root):
            continue
        if name.partition(".")[0] != first if installed else _is_installed(path):
            continue
        try:
            # Line ends differ from checkout to checkout.
            content = path.read_bytes().replace(b"\r\n", b"\n")
        except OSError:
            continue
        yield name, hashlib.sha256(content).hexdigest()
        parts = name.split(".")
        waiting += [".".join(parts[:n]) for n in range(1, len(parts))]
        if path.suffix == ".py":
            waiting += _imports(content, parts if path.name == "__init__.py" else parts[:-1])


def _imports(content: bytes, package: list[str]) -> Iterator[str]:
    """Yield the names of what may be modules that a source imports."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # of a module that nobody has imported yet
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *([node.module] if node.module else [])]
            yield from (".".join([*base, alias.name]) for alias in node.names)
            if base:
                yield ".".join(base)


def _file_of(name: str) -> Path | None:
    """Return the file of a module; nothing is imported for it."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        file = getattr(loaded, "__file__", None)
        return None if file is None else Path(file).absolute()
    where, spec = None, None
    parts = name.split(".")
    for n in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:n]), where)
        if spec is None:
            return None
        where = spec.submodule_search_locations or []
    return Path(spec.origin).absolute() if spec and spec.has_location and spec.origin else None


def _is_installed(file: Path) -> bool:
    paths = sysconfig.get_paths()
    return not {"site-packages", "dist-packages"}.isdisjoint(file.parts) or any(
        file.is_relative_to(paths[kind]) for kind in ("stdlib", "platstdlib")
    )


def _check_same(name: str, digest: str) -> None:
    loaded = sys.modules.get(name)
    if loaded is None:
        return
    spec, before = _imported.setdefault(name, (loaded.__spec__, digest))
    if spec is not loaded.__spec__:
        _imported[name] = (loaded.__spec__, digest)
    elif before != digest:
        raise InputError(
            f"{loaded.__file__} has changed since this process imported it; start Python again, or "
            f"reload the module {name}"
        )
