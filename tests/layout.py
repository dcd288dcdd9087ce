"""What the source says of the layout: who imports whom, how long files are, who is at the seam."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

# Imports go from a higher floor to a lower one, or stay in their room.
FLOORS = {
    "engine": 1,
    "discovery": 2,
    "vision": 2,
    "report": 2,
    "questions": 3,
    "job": 4,
    "demo": 4,
    "cli": 5,
}
# Modules that are in no room: the lazy face, aliases of modules that moved, `python -m prime_sql`.
FACE = {"__init__": 4, "gates": 4, "queries": 4, "__main__": 6}
LONGEST = 400  # lines

# What only the engine's room may touch: a connection itself, and which engine it is of.
_SEAM = {"raw_sql", "con", "is_remote"}
_ENGINES = {"prime_sql.engine.mirror", "prime_sql.engine.remote"}


def modules(package: Path) -> dict[str, Path]:
    """Return the modules of a package by their full names."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(package: Path) -> dict[str, dict[str, int]]:
    """Return what each module imports of the package, wherever it does, and on which line."""
    known = modules(package)
    return {name: dict(_imported(name, path, known)) for name, path in known.items()}


def _imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    here = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        targets: list[str] = []
        if isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                targets.append(full if full in known else source)
        elif isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("import_module", "__import__"):
                targets = [str(node.args[0].value)]
        for target in targets:
            if target in known and target != name:
                yield target, node.lineno


def floor(module: str) -> int | None:
    """Return the floor of a module, or None where it is in no room that there is."""
    room = module.split(".")[1] if "." in module else "__init__"
    return FLOORS.get(room, FACE.get(room))


def homeless(package: Path) -> list[str]:
    """Return the modules that are in no room."""
    return [module for module in modules(package) if floor(module) is None]


def climbing(package: Path) -> list[str]:
    """Return the imports that go up, or from one room to another of the same floor."""
    bad = []
    for module, targets in imports(package).items():
        for target, line in targets.items():
            own, other = floor(module), floor(target)
            neighbours = own == other and module.split(".")[1:2] != target.split(".")[1:2]
            if own is not None and other is not None and (other > own or neighbours):
                bad.append(f"line {line}: {module} -> {target}")
    return bad


def circles(package: Path) -> list[list[str]]:
    """Return the circles of modules that import each other."""
    edges = {module: set(targets) for module, targets in imports(package).items()}
    # What leads nowhere, or what nothing leads to, is in no circle.
    while leaves := {
        module
        for module, targets in edges.items()
        if not targets or not any(module in others for others in edges.values())
    }:
        edges = {m: targets - leaves for m, targets in edges.items() if m not in leaves}
    found = []
    while edges:
        path = [min(edges)]
        while (following := min(edges[path[-1]])) not in path:
            path.append(following)
        circle = path[path.index(following) :]
        found.append(circle)
        edges = {m: targets - {*circle} for m, targets in edges.items() if m not in circle}
        edges = {m: targets for m, targets in edges.items() if targets}
        edges = {m: targets & edges.keys() for m, targets in edges.items()}
        edges = {m: targets for m, targets in edges.items() if targets}
    return found


def at_the_seam(package: Path) -> list[str]:
    """Return where a room above the engine's touches a connection, or asks which engine it is."""
    bad = []
    imported = imports(package)
    for module, path in modules(package).items():
        if floor(module) == FLOORS["engine"]:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            what = None
            if isinstance(node, ast.Attribute) and node.attr in _SEAM:
                what = f".{node.attr}"
            elif isinstance(node, ast.Compare):
                named = (node.left, *node.comparators)
                if any(
                    isinstance(each, ast.Attribute)
                    and each.attr == "name"
                    and ast.unparse(each.value).split(".")[-1] in ("backend", "_backend", "there")
                    for each in named
                ):
                    what = "the name of a backend"
            if what is not None:
                bad.append(f"{module}, line {node.lineno}: {what}")
        for target, line in imported[module].items():
            if target in _ENGINES:
                bad.append(f"{module}, line {line}: {target}")
    return bad


def too_long(root: Path) -> list[str]:
    """Return the Python and SQL files that have too many lines."""
    kinds = {"prime_sql": ("*.py",), "queries": ("*.sql", "*.jinja"), "tests": ("*.py",)}
    lengths = {
        path.relative_to(root): len(path.read_text(encoding="utf-8").splitlines())
        for folder, patterns in kinds.items()
        for pattern in patterns
        for path in sorted((root / folder).rglob(pattern))
    }
    return [f"{path}: {lines}" for path, lines in lengths.items() if lines > LONGEST]


def misnumbered(queries: Path) -> list[str]:
    """Return folders of SQL whose files are not numbered from 01 without gaps."""
    bad = []
    plans = {"duckdb", "spark"}  # folders that mirror the others: some of their files only
    for folder in sorted({path.parent for path in queries.rglob("*.sql")}):
        names = sorted(path.name for path in folder.glob("*.sql"))
        if folder.relative_to(queries).parts[0] in plans:
            continue
        numbers = [int(name[:2]) if re.match(r"\d\d_", name) else 0 for name in names]
        if numbers != list(range(1, len(names) + 1)):
            bad.append(f"{folder.relative_to(queries)}: {', '.join(names)}")
    return bad
