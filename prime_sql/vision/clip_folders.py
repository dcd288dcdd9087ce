"""Folders of open_clip models whose text tower comes from transformers, wherever they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prime_sql.vision.network import need

CONFIGURATION = "open_clip_config.json"


def overrides(folder: Path) -> dict[str, Any]:
    """Return what to pass to open_clip with ``local-dir:FOLDER``, so that no hub is asked.

    open_clip takes the weights and the tokenizer from the folder, but looks for the text tower's
    ``config.json`` where ``hf_model_name`` points: a hub's name, or a path from the working
    directory. Here that path is tried from the folder, then the folder itself.

    Parameters
    ----------
    folder
        Has ``open_clip_config.json``.

    Returns
    -------
    dict
        Arguments for ``open_clip.create_model`` and its siblings: none if the text tower is
        open_clip's own, or if the folder does not hold its configuration.
    """
    config = json.loads((folder / CONFIGURATION).read_text(encoding="utf-8"))
    text = config.get("model_cfg", config).get("text_cfg", {})
    name = text.get("hf_model_name")
    if not name:
        return {}
    for place in (folder / name, folder):
        if _is_text_tower(place / "config.json"):
            # Its weights are in the folder's own; open_clip must not load others before them.
            found = {"hf_model_name": str(place.absolute()), "hf_model_pretrained": False}
            return {"text_cfg": {**text, **found}}
    return {}


def _is_text_tower(config: Path) -> bool:
    """Whether this describes an architecture that open_clip accepts as a text tower.

    The ``config.json`` beside an open_clip model may also describe the model as a whole.
    """
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):  # absent, not JSON, not an object
        return False
    return kind in need("open_clip").hf_configs.arch_dict
