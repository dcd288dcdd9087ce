"""A CLIP model of random weights in a folder, as open_clip saves one: 13 MB, loaded in no time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prime_sql.vision.network import need

CONTEXT = 16  # tokens


def write(folder: Path, dimensions: int = 16, seed: int = 0) -> Path:
    """Write a model whose embeddings of different pictures and texts lie well apart."""
    torch, open_clip = need("torch"), need("open_clip")
    config = {
        "embed_dim": dimensions,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 64,
            "patch_size": 8,
            "head_width": 32,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": 49408,
            "width": 64,
            "heads": 2,
            "layers": 2,
        },
    }
    torch.manual_seed(seed)
    model = open_clip.CLIP(**config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data *= 4
    folder.mkdir(parents=True)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    need("safetensors.torch").save_file(weights, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {}})
    )
    return folder


def load(folder: Path) -> tuple[Any, Any, Any]:
    """Load it by open_clip alone: the model, what it does to a picture, and its tokenizer."""
    open_clip = need("open_clip")
    name = f"local-dir:{folder}"
    model, preprocess = open_clip.create_model_from_pretrained(name)
    return model.eval(), preprocess, open_clip.get_tokenizer(name)
