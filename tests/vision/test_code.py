"""The code of a user's function is part of what its results depend on."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

import prime_sql as ps
from prime_sql.vision import code, specify
from tests.cli.command import PRIME_SQL
from tests.vision.few_and_many import FEW, query

PACKAGE = {
    "mine/__init__.py": "",
    "mine/model.py": "from functools import wraps\nfrom .part import answer\n"
    "from beside import DARK\ndef classify(pictures):\n    return [answer(DARK)] * len(pictures)\n",
    "mine/part.py": "def answer(of):\n    import mine.late\n    return 'dark'\n",
    "mine/late.py": "",
    "mine/unused.py": "",
    "beside.py": "DARK = 'dark'\n",
    "elsewhere.py": "",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder with a package, and what the next process would import of it."""
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code, "_imported", {})
    yield tmp_path
    forget()


def forget() -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] in ("mine", "beside", "elsewhere")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def of_the_next_process(module: str = "mine.model", name: str = "classify") -> str | None:
    forget()
    code._imported.clear()
    return code.fingerprint(module, getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("name", PACKAGE)
def test_what_counts(name: str, project: Path) -> None:
    """The package above a module, what it imports when it is called, and modules beside it."""
    before = of_the_next_process()
    assert before is not None
    assert of_the_next_process() == before
    (project / name).write_bytes(PACKAGE[name].replace("\n", "\r\n").encode())
    assert of_the_next_process() == before
    (project / name).write_text(PACKAGE[name] + "x = 1\n")
    assert (of_the_next_process() == before) == (name in ("mine/unused.py", "elsewhere.py"))


def test_what_a_name_stands_for(project: Path) -> None:
    """A partial of a wrapped function, or an object that can be called, of another project."""
    (project / "elsewhere.py").write_text(
        "import functools, sys\nsys.path.append('other')\nimport far\n"
        "@functools.wraps(far.classify)\ndef wrapped(pictures): return far.classify(pictures)\n"
        "classify = functools.partial(wrapped)\nmodel = far.Model()\n"
    )
    (project / "other").mkdir()
    far = project / "other/far.py"
    text = "def classify(p): return ['x'] * len(p)\nclass Model:\n    __call__ = classify\n"
    try:
        for name in ("classify", "model"):
            far.write_text(text)
            sys.modules.pop("far", None)
            before = of_the_next_process("elsewhere", name)
            far.write_text(text + "# another\n")
            sys.modules.pop("far", None)
            assert of_the_next_process("elsewhere", name) != before
    finally:
        sys.path.remove("other")
        sys.modules.pop("far", None)


def test_without_a_file() -> None:
    assert code.fingerprint("builtins", len) is None
    assert code.fingerprint("json", json.dumps) is not None  # installed, as any package


def test_code_that_is_not_what_runs(project: Path) -> None:
    of_the_next_process()
    (project / "mine/part.py").write_text("def answer(of): return 'light'\n")
    module = sys.modules["mine.model"]
    message = "part.py has changed since this process imported it; start Python again, or reload"
    for _ in range(2):
        with pytest.raises(ps.InputError, match=message):
            code.fingerprint("mine.model", module.classify)
    importlib.invalidate_caches()
    shutil.rmtree(project / "mine/__pycache__", ignore_errors=True)
    importlib.reload(sys.modules["mine.part"])
    assert code.fingerprint("mine.model", module.classify) is not None


def test_a_changed_function_is_another_model(few: Path, project: Path) -> None:
    pytest.importorskip("torch")

    def predict(*options: str) -> subprocess.CompletedProcess[str]:
        command = [*PRIME_SQL, "predict", "--db", str(few), "--model", "mine.model:classify"]
        return subprocess.run([*command, *options], capture_output=True, text=True, cwd=project)

    assert predict().returncode == 0
    assert "Classified 0 images" in predict().stderr
    # As a version before noted it: nothing is known of the code, and nothing is refused.
    noted = json.loads(query(few, "select settings from model_settings")[0][0])
    assert len(noted.pop("code")) == 64
    with duckdb.connect(few) as con:
        con.execute("update model_settings set settings = ?", [json.dumps(noted, sort_keys=True)])
    assert "Classified 0 images" in predict().stderr

    (project / "mine/part.py").write_text("def answer(of):\n    return 'light'\n")
    done = predict()
    assert done.returncode == 2
    assert "holds results of mine.model:classify with other settings (code); `prime-sql pr" in (
        done.stderr
    )
    assert f"Classified {FEW} images" in predict("--replace").stderr
    assert query(few, "select distinct prediction from predictions") == [("light",)]


def test_of_a_specification(project: Path) -> None:
    pytest.importorskip("torch")
    made = specify("predict", "mine.model:classify")
    before = made.settings()
    forget()
    code._imported.clear()
    (project / "beside.py").write_text("DARK = 'light'\n")
    assert made.settings() != before
