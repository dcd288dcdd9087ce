"""The tables of the example, and its CLIP model."""

import contextlib
import fcntl
from pathlib import Path

import numpy as np
import polars as pl

from prime_sql.demo import emoji_models
from prime_sql.vision.network import Network, Place, need

EXAMPLE = Path(__file__).parents[3] / "examples" / "emoji"


@contextlib.contextmanager
def one_at_a_time(folder):
    """What takes a minute is made once: another process waits, and finds it made."""
    with (folder / "emoji.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def example(name):
    return pl.read_parquet(EXAMPLE / f"{name}.parquet")


class Clip:
    def __init__(self, folder, **overrides):
        open_clip = need("open_clip")
        self.model, transform = open_clip.create_model_from_pretrained(
            f"local-dir:{folder}", **overrides
        )
        self.tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        place = Place.choose("cpu", "fp32")
        self.network = Network(self.model, transform, place, forward=self.model.encode_image)

    def images(self, pictures):
        prepared = [self.network.prepare(picture) for picture in pictures]
        batches = [self.network.run(prepared[i : i + 8]) for i in range(0, len(prepared), 8)]
        return emoji_models._unit(np.concatenate(batches).astype(float))

    def texts(self, texts):
        return emoji_models._unit(emoji_models._embed_texts(self.model, self.tokenizer, texts))
