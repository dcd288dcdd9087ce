"""Models that fail, and what is stored then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import prime_sql as ps
from prime_sql.vision.functions import ImageFunction
from tests.vision.few_and_many import FEW, SMALL, embeddings, expected
from tests.vision.models import Failing, MeanColour, embed_mean


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (ValueError("odd\nwhat"), ps.PrimeSqlError, "^mean colour failed .*ValueError: odd$"),
        (RuntimeError(""), ps.PrimeSqlError, "^mean colour failed on an image: RuntimeError: "),
        (ps.InputError("scores are infinite"), ps.InputError, "^scores are infinite$"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (SystemExit(3), SystemExit, "3"),
        (
            MemoryError("std::bad_alloc"),
            ps.PrimeSqlError,
            "^the device has too little memory for a single image; use --device cpu, or a smaller",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)  # fmt: skip
def test_a_model_that_fails(
    error: BaseException, raised: type[BaseException], message: str | None, few: Path
) -> None:
    with pytest.raises(raised, match=message):
        embed_mean(few, Failing(at=2 * SMALL + 1, error=error), chunk=SMALL, batch_size=2)
    assert embeddings(few) == expected(*range(2 * SMALL))
    done = embed_mean(few, MeanColour(), chunk=SMALL)
    assert (done.images, done.problems) == (FEW - 2 * SMALL, 0)
    assert embeddings(few) == expected(*range(FEW))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda r: r[1:], "mean_colour gave 3 results for 4 images"),
        (lambda r: pa.concat_arrays([r, r]), "mean_colour gave 8 results for 4 images"),
        (lambda r: r.flatten(), "mean_colour gave 12 results for 4 images"),
        (lambda r: pa.array(["a"] * len(r)), "failed on an image: ArrowTypeError: "),
        (lambda r: None, "failed on an image: TypeError"),
    ],
)
def test_a_model_that_gives_something_else(result: Any, message: str, few: Path) -> None:
    class Wrong(MeanColour):
        def run(self, batch: Any) -> Any:
            return result(super().run(batch))

    with pytest.raises(ps.PrimeSqlError, match=message) as caught:
        embed_mean(few, Wrong(), batch_size=4)
    assert "\n" not in str(caught.value)
    assert embeddings(few) == {}


def out_of_memory(kind: str) -> Exception:
    if kind == "cuda":
        torch = pytest.importorskip("torch")
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    if kind == "cpu":
        return RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] data. DefaultCPUAllocator: can't allocate memory: "
            "you tried to allocate 40 bytes. Error code 12 (Cannot allocate memory)"
        )
    if kind == "onnxruntime":
        # As onnxruntime's own: an Exception, but no RuntimeError.
        return type("RuntimeException", (Exception,), {})(
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested "
            "buffer of size 1073741824"
        )
    return MemoryError("Unable to allocate 4. GiB for an array")


@pytest.mark.parametrize("kind", ["cuda", "cpu", "onnxruntime", "numpy"])
def test_out_of_memory(kind: str, few: Path) -> None:
    class Large(MeanColour):
        refused = 0

        def run(self, batch: Any) -> pa.Array:
            if len(batch) > 3:
                self.refused += 1
                raise out_of_memory(kind)
            return super().run(batch)

    model = Large()
    function = ImageFunction.over(model, "mean_colour", batch_size=16)
    embed_mean(few, model, chunk=18, function=function)
    assert embeddings(few) == expected(*range(FEW))
    assert function.batch_size == 2
    assert model.refused == 3  # at 16, 8 and 4, and never again
    assert set(model.batches) == {2}


def test_out_of_memory_at_one_image(few: Path) -> None:
    class TooLarge(MeanColour):
        def run(self, batch: Any) -> pa.Array:
            self.batches.append(len(batch))
            raise out_of_memory("cpu")

    model = TooLarge()
    with pytest.raises(ps.PrimeSqlError, match="too little memory for a single image") as caught:
        embed_mean(few, model, batch_size=8)
    assert model.batches == [8, 4, 2, 1]
    assert "alloc_cpu" in str(caught.value.__cause__)
