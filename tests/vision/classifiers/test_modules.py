"""Networks in files of other kinds, and functions of Python."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from prime_sql.engine.errors import InputError, OptionError
from prime_sql.vision.network import Place

torch = pytest.importorskip("torch")
from prime_sql.vision import loading  # noqa: E402
from prime_sql.vision.classifiers import Classifier  # noqa: E402
from tests.vision.classifiers.answers import answers, load, same  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch"
)

# Other networks in a file -------------------------------------------------------------------------


class Means(torch.nn.Module):  # type: ignore[misc]
    """Averages; `view` needs the channels first in memory."""

    def __init__(self, outputs: str = "logits") -> None:
        super().__init__()
        self.outputs = outputs
        self.last = torch.nn.Linear(3 * 4, 3)

    def forward(self, pictures: Any) -> Any:
        pooled = torch.nn.functional.adaptive_avg_pool2d(pictures, 2)
        logits = self.last(pooled.view(pooled.shape[0], -1))
        if self.outputs == "nan":
            return logits * (float("nan") if len(logits) == 1 else 1)
        return {
            "logits": logits,
            "several": (logits, pooled),
            "named": {"features": pooled, "logits": logits},
            "probabilities": logits.softmax(1),
            "map": pooled,
            "one": logits[:, :1],
            "text": "cat",
        }[self.outputs]


@pytest.mark.parametrize("outputs", ["logits", "several", "named", "probabilities"])
def test_outputs_of_a_module(outputs: str, tmp_path: Path, pictures: list[Any]) -> None:
    torch.manual_seed(6)
    module = Means(outputs)
    torch.save(module, tmp_path / "means.pth")
    found = answers(load(tmp_path / "means.pth", trust=True, image_size=32), pictures)
    module.outputs = "logits"
    torch.jit.trace(module, torch.zeros(2, 3, 32, 32)).save(tmp_path / "means.ts")
    same(found, answers(load(tmp_path / "means.ts", image_size=32), pictures))
    assert found[0]["confidence"] < 1


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ("map", r"returned an array of shape \(4, 3, 2, 2\) for 4 pictures"),
        ("one", "scores of shape .* of two classes or more"),
        ("text", "returned a str instead of a tensor"),
    ],
)
def test_outputs_that_are_no_scores(outputs: str, message: str, tmp_path: Path) -> None:
    torch.save(Means(outputs), tmp_path / "means.pth")
    with pytest.raises(InputError, match=message):
        load(tmp_path / "means.pth", trust=True)


def test_not_a_number(tmp_path: Path, pictures: list[Any]) -> None:
    torch.save(Means("nan"), tmp_path / "means.pth")
    classifier = load(tmp_path / "means.pth", trust=True)
    with pytest.raises(InputError, match="for 1 of 1 pictures"):
        answers(classifier, pictures[:1])


def test_export_for_any_batch(tmp_path: Path, pictures: list[Any]) -> None:
    module = Means().eval()
    example, any_batch = torch.zeros(2, 3, 32, 32), ({0: torch.export.Dim.DYNAMIC},)
    for name, dynamic in (("any.pt2", any_batch), ("one.pt", None)):
        program = torch.export.export(
            module, (example if dynamic else example[:1],), dynamic_shapes=dynamic
        )
        torch.export.save(program, tmp_path / "exported.pt2")
        (tmp_path / "exported.pt2").rename(tmp_path / name)
        found = answers(load(tmp_path / name, trust=True), pictures * 2)
        torch.jit.trace(module, example).save(tmp_path / "traced.ts")
        same(found, answers(load(tmp_path / "traced.ts", image_size=32), pictures * 2))
        with pytest.raises(InputError, match="unpickles what it reads"):
            load(tmp_path / name)


def test_frozen_torchscript(tmp_path: Path, pictures: list[Any]) -> None:
    module = Means().eval()
    traced = torch.jit.trace(module, torch.zeros(2, 3, 32, 32))
    traced.save(tmp_path / "traced.pt")
    torch.jit.freeze(traced).save(tmp_path / "frozen.pt")
    wanted = answers(load(tmp_path / "traced.pt"), pictures)
    same(answers(load(tmp_path / "frozen.pt"), pictures), wanted)
    traced.to(torch.bfloat16).save(tmp_path / "half.pt")
    same(answers(load(tmp_path / "half.pt"), pictures), wanted, within=0.02)


def test_a_network_of_another_size(tmp_path: Path) -> None:
    class Fixed(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Linear(3 * 16 * 16, 3)

        def forward(self, pictures: Any) -> Any:
            return self.last(pictures.flatten(1))

    torch.jit.trace(Fixed(), torch.zeros(1, 3, 16, 16)).save(tmp_path / "fixed.pt")
    with pytest.raises(InputError, match=r"does not take a batch .* with --image-size"):
        load(tmp_path / "fixed.pt")
    assert load(tmp_path / "fixed.pt", image_size=16).classes == ["0", "1", "2"]


def test_an_exported_network_has_its_own_precision(folder: Path) -> None:
    half = Place(torch.device("cpu"), torch.bfloat16)
    for model in (folder / "traced.pt", folder / "network.onnx", folder / "two.pt2"):
        with pytest.raises(OptionError, match="precision is not used"):
            loading.load(str(model), place=half, trust=True)


# Functions ----------------------------------------------------------------------------------------


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that loads `predict` of a module in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (tmp_path / "labels.txt").write_text("cat\ncoffee\n")

    def make(body: str, labels: bool = False) -> Classifier:
        monkeypatch.delitem(sys.modules, "my_model", raising=False)
        file = tmp_path / "my_model.py"
        file.write_text(f"import numpy as np\nimport torch\ndef predict(pictures):\n    {body}\n")
        return load("my_model:predict", **({"labels": Path("labels.txt")} if labels else {}))

    yield make
    sys.modules.pop("my_model", None)


@pytest.mark.parametrize(
    ("body", "labels", "wanted"),
    [
        ("return ['cat', 'coffee']", False, [("cat", None), ("coffee", None)]),
        ("return ('cat', 'coffee')", True, [("cat", None), ("coffee", None)]),
        ("return np.array(['cat', 'coffee'])", False, [("cat", None), ("coffee", None)]),
        ("return (x for x in ['cat', 'coffee'])", False, [("cat", None), ("coffee", None)]),
        ("return np.array([3, 7])", False, [("3", None), ("7", None)]),
        ("return torch.tensor([3, 7])", False, [("3", None), ("7", None)]),
        ("return [('cat', 0.5), ['coffee', 1]]", False, [("cat", 0.5), ("coffee", 1.0)]),
        ("return [('cat', None), (7, np.float32(0.5))]", False, [("cat", None), ("7", 0.5)]),
        ("return [('cat', torch.tensor(0.5)), 'x']", False, [("cat", 0.5), ("x", None)]),
        ("return np.array([[.75, .25], [0, 1]])", True, [("cat", 0.75), ("coffee", 1.0)]),
        ("return [[.75, .25], [0., 1.]]", True, [("cat", 0.75), ("coffee", 1.0)]),
        ("return [np.array([.75, .25]), np.array([0, 1.])]", True, [("cat", 0.75), ("coffee", 1)]),
        ("return torch.tensor([[.75, .25], [0, 1]]).half()", True, [("cat", 0.75), ("coffee", 1)]),
        ("return np.array([[1, 0], [0, 1]])", True, [("cat", 1.0), ("coffee", 1.0)]),
        (
            "return [f'{p.mode}{p.size[0]}' for p in pictures]",
            False,
            [("RGB451", None), ("RGB600", None)],
        ),
    ],
)
def test_what_a_function_may_return(
    body: str, labels: bool, wanted: Any, function: Any, pictures: list[Any]
) -> None:
    found = answers(function(body, labels), pictures)
    assert [(row["prediction"], row["confidence"]) for row in found] == wanted


@pytest.mark.parametrize(
    ("body", "labels", "message"),
    [
        ("return ['cat']", False, "returned 1 answers for 2 pictures"),
        ("return 'cat'", False, "returned 'cat'"),
        ("pass", False, "returned None"),
        ("return {'cat': 1, 'coffee': 2}", False, r"returned \{'cat'"),
        ("return [None, 'cat']", False, "returned None"),
        ("return [True, False]", False, "returned True"),
        ("return [('cat', 2), 'coffee']", False, "between 0 and 1"),
        ("return [('cat', float('nan')), 'coffee']", False, "between 0 and 1"),
        ("return [('cat', 'high'), 'coffee']", False, r"returned \('cat', 'high'\)"),
        ("return [('cat', .5, 3), 'coffee']", False, r"returned \('cat', 0.5, 3\)"),
        ("return [.5, .5]", False, "returned 0.5"),
        ("return np.array([.5, .5])", True, r"an array of shape \(2,\)"),
        ("return np.ones((3, 2))", True, r"an array of shape \(3, 2\) for 2 pictures"),
        ("return np.ones((2, 3))", True, "3 columns, and labels.txt names 2"),
        ("return np.array([[2, -1], [0, 1]])", True, "not probabilities: its sum is 1"),
        ("return np.ones((2, 2))", True, "not probabilities: its sum is 2"),
        ("return np.ones((2, 2)) / 2", False, "say what its columns are with --labels FILE"),
        ("return ['cat', 'cofee']", True, "not in labels.txt. Did you mean 'coffee'"),
        ("return [[], []]", False, r"returned \[\]"),
    ],
)
def test_what_a_function_may_not_return(
    body: str, labels: bool, message: str, function: Any, pictures: list[Any]
) -> None:
    classifier = function(body, labels)
    with pytest.raises(InputError, match=message) as caught:
        answers(classifier, pictures)
    assert "one label for each picture" in str(caught.value)


def test_an_error_in_a_function_passes_through(function: Any, pictures: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        answers(function("1 / 0"), pictures)


def test_functions_that_are_not_there(function: Any) -> None:
    function("return 1")
    with pytest.raises(InputError, match=r"my_model has no 'predcit'. Did you mean 'predict'"):
        load("my_model:predcit")
    with pytest.raises(InputError, match="there is no Python module 'my_modell'"):
        load("my_modell:predict")
    with pytest.raises(InputError, match=r"no Python module 'my_model\.sub'"):
        load("my_model.sub:predict")
    with pytest.raises(InputError, match="is a str, which cannot be called"):
        load("my_model:__name__")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import not_installed_anywhere", "ModuleNotFoundError: .*not_installed_anywhere.*line 1"),
        ("a = 1\nb = a / 0", "ZeroDivisionError: division by zero .*broken.py, line 2"),
        ("def f(:", "SyntaxError: .*broken.py, line 1"),
    ],
)
def test_a_module_that_cannot_be_imported(text: str, message: str, function: Any) -> None:
    function("return 1")  # in its folder
    Path("broken.py").write_text(text)
    with pytest.raises(InputError, match=f"the Python module broken cannot be imported: {message}"):
        load("broken:predict")
