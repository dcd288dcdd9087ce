"""Emoji from npm packages: two vendors' drawings, and the words that people wrote for them.

The drawings come from emoji-datasource-google and -twitter, names and keywords from emojibase-data.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prime_sql.engine.errors import InputError, InstallError

TESTED = ("emoji-datasource-google", "16.0.0")
TRAINED = ("emoji-datasource-twitter", "16.0.0")
KEYWORDS = ("emojibase-data", "17.0.0")
PACKAGES = (TESTED, TRAINED, KEYWORDS)

SKIN_TONES = {1: "light", 2: "medium-light", 3: "medium", 4: "medium-dark", 5: "dark"}
WOMEN = {"woman", "women"}
MEN = {"man", "men"}
EMOJIBASE_GENDERS = {0: "woman", 1: "man"}


@dataclass(frozen=True)
class Form:
    """The facts about one picture: an emoji's default form, or one of its skin-tone variants."""

    image_id: str  # code points, such as "1F44B-1F3FD"
    default_id: str  # the same emoji without skin tone; equals image_id for a default form
    character: str
    name: str
    file: str
    category: str
    subcategory: str
    version: float
    skin_tone: str
    gender: str
    tags: list[str]

    @property
    def is_default(self) -> bool:
        """Whether this is the form without a skin tone."""
        return self.image_id == self.default_id


def fetch(package: tuple[str, str], cache: Path) -> Path:
    """Return the package's tarball in `cache`; `npm pack` downloads it if it is missing.

    Raises
    ------
    InstallError
        When it has to be downloaded and npm is not installed.
    InputError
        When npm cannot download it.
    """
    name, version = package
    tarball = cache / f"{name}-{version}.tgz"
    if tarball.exists():
        return tarball
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError(
            f"npm is not on the path; it is needed once, to fetch {name} {version}. Install Node.js"
        )
    cache.mkdir(parents=True, exist_ok=True)
    # Into another folder first, so that a partial download is never taken for a whole one.
    with tempfile.TemporaryDirectory(dir=cache) as partial:
        # In that folder, or npm would follow the settings of a project in the working directory.
        packed = subprocess.run(
            [npm, "pack", "--loglevel=error", f"{name}@{version}"],
            cwd=partial,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        downloaded = Path(partial) / tarball.name
        if packed.returncode or not downloaded.exists():
            lines = [re.sub("^npm error ", "", line) for line in packed.stderr.splitlines()]
            said = next((line for line in lines if not line.startswith(("code ", "syscall "))), "")
            raise InputError(
                f"npm cannot fetch {name} {version} (exit status {packed.returncode}): "
                f"{said or 'it did not say why'}"
            )
        downloaded.replace(tarball)
    return tarball


def read(tarball: Path, wanted: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of the package's files whose path matches `wanted`."""
    with tarfile.open(tarball) as archive:
        for member in archive:
            if re.fullmatch(f"package/{wanted}", member.name):
                content = archive.extractfile(member)
                if content is not None:
                    yield member.name.rpartition("/")[2], content.read()


def read_forms(pictures: Path, keywords: Path) -> list[Form]:
    """Join the picture list (files, categories) with the keyword list (names, tags).

    Sorted by image_id. "Component" is left out: its five swatches are parts of emoji, not emoji.
    """
    labelled: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for default in json.loads(dict(read(keywords, "en/data.json"))["data.json"]):
        for form in (default, *default.get("skins", [])):
            labelled[_code_points(form["hexcode"])] = (form, default)

    forms = []
    for entry in json.loads(dict(read(pictures, "emoji.json"))["emoji.json"]):
        if entry["category"] == "Component":
            continue
        for picture in (entry, *entry.get("skin_variations", {}).values()):
            form, default = labelled[_code_points(picture["unified"])]
            forms.append(
                Form(
                    image_id=picture["unified"],
                    default_id=entry["unified"],
                    character=form["emoji"],
                    name=form["label"],
                    file=picture["image"],
                    category=entry["category"],
                    subcategory=entry["subcategory"],
                    version=float(picture["added_in"]),
                    skin_tone=_skin_tone(form),
                    gender=_gender(form),
                    tags=_tags(form, default["tags"]),
                )
            )
    return sorted(forms, key=lambda form: form.image_id)


def read_drawings(tarball: Path, forms: list[Form]) -> list[bytes]:
    """Return the 64-pixel PNG files in the order of `forms`; they are transparent."""
    drawings = dict(read(tarball, "img/[^/]*/64/.*"))
    return [drawings[form.file] for form in forms]


def _code_points(unified: str) -> str:
    """Drop the variation selector FE0F, which the two packages put in different places."""
    return unified.replace("-FE0F", "")


def _skin_tones(form: dict[str, Any]) -> list[str]:
    tone = form.get("tone", [])  # one number, or a list of them where two people differ
    return [SKIN_TONES[t] for t in (tone if isinstance(tone, list) else [tone])]


def _skin_tone(form: dict[str, Any]) -> str:
    tones = _skin_tones(form)
    return "mixed" if len(tones) > 1 else tones[0] if tones else "none"


def _words(label: str) -> set[str]:
    # The apostrophe stays inside a word: a woman's hat is not a woman.
    return set(re.findall(r"[\w’']+", label.lower()))


def _gender(form: dict[str, Any]) -> str:
    """Return the gender in the name: woman, man or mixed; else the keyword list's, or none."""
    named = _words(form["label"])
    woman, man = bool(named & {*WOMEN, "girl"}), bool(named & {*MEN, "boy"})
    if woman or man:
        return "mixed" if woman and man else "woman" if woman else "man"
    return EMOJIBASE_GENDERS.get(form.get("gender", -1), "none")


def _tags(form: dict[str, Any], keywords: list[str]) -> list[str]:
    """Return the default form's keywords, and what the form's own name says."""
    found = {keyword.strip().lower() for keyword in keywords}
    found |= {f"{tone} skin tone" for tone in _skin_tones(form)}
    named = _words(form["label"])
    found |= {tag for tag, names in (("woman", WOMEN), ("man", MEN)) if named & names}
    return sorted(found - {""})
