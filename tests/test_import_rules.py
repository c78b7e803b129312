"""DESIGN's rules on who may import whom, checked on the imports themselves."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("configs", "model_handlers", "transforms", "pipelines")
MAY_IMPORT = {
    "configs": {"configs"},
    "model_handlers": {"model_handlers"},
    "transforms": {"transforms"},
    "pipelines": set(FOLDERS),
}
NETS_MAY_IMPORT = {"torch", "torchvision", "timm", "numpy", "punkt"}
TORCH = {"torch", "torchvision", "timm"}
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
READS_PICKLES = ("pipelines/import_originals", "pipelines/originals/")
NO_STRING_ANNOTATIONS = ("transforms", "pipelines")


def imported_modules(tree: ast.AST, path: str) -> Iterator[tuple[int, str]]:
    """Yields line and dotted name of each module that a file imports, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.split("/")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _is_import_call(node):
            argument = node.args[0] if node.args else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield node.lineno, argument.value


def _is_import_call(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("import_module", "__import__")


def problems(path: str, source: str) -> list[str]:
    """Returns what breaks a rule in one file; `path` is relative to the repository's root."""
    tree = ast.parse(source)
    top = path.split("/")[0]
    found = []
    for line, module in imported_modules(tree, path):
        root = module.split(".")[0]
        if root in FOLDERS and root not in MAY_IMPORT[top]:
            found.append(f"{path}:{line}: {top}/ may not import {module}")
        if top == "transforms" and root in TORCH:
            found.append(f"{path}:{line}: transforms/ may not import {root}")
        if path.startswith("model_handlers/nets/") and not _nets_may_import(module):
            found.append(f"{path}:{line}: nets/ may not import {module}")
        if root in PICKLES and not path.startswith(READS_PICKLES):
            found.append(f"{path}:{line}: only pipelines.import_originals reads pickles")
        if module == "__future__.annotations" and top in NO_STRING_ANNOTATIONS:
            found.append(f"{path}:{line}: string annotations switch Beam's type check off")
    return found + _other_problems(path, top, tree)


def _nets_may_import(module: str) -> bool:
    root = module.split(".")[0]
    return root in NETS_MAY_IMPORT or root in sys.stdlib_module_names or f"{module}.".startswith("model_handlers.nets.")


def _other_problems(path: str, top: str, tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if top == "transforms" and isinstance(node, ast.Lambda):
            found.append(f"{path}:{node.lineno}: no lambda in transforms/")
        if top != "pipelines" and isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
            found.append(f"{path}:{node.lineno}: no environment variable is read below pipelines/")
    return found


def files() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_there_are_files_to_check() -> None:
    assert {path.split("/")[0] for path in files()} == set(FOLDERS)
    assert any(path.startswith("model_handlers/nets/") for path in files())


@pytest.mark.parametrize("path", files())
def test_file_keeps_the_rules(path: str) -> None:
    assert problems(path, (ROOT / path).read_text(encoding="utf-8")) == []


BROKEN = {
    "configs imports pipelines": ("configs/a.py", "import pipelines.run"),
    "configs imports transforms": ("configs/a.py", "from transforms import records"),
    "handlers import transforms": ("model_handlers/a.py", "from transforms.records import Photo"),
    "handlers import configs": ("model_handlers/a.py", "def f():\n    import configs"),
    "handlers import pipelines by name": ("model_handlers/a.py", "importlib.import_module('pipelines.run')"),
    "transforms import handlers": ("transforms/a.py", "from model_handlers.pack import Pack"),
    "transforms import handlers relatively": ("transforms/sub/a.py", "from ...model_handlers import packs"),
    "transforms import torch": ("transforms/a.py", "import torch"),
    "transforms import part of torch": ("transforms/a.py", "from torch.nn import functional"),
    "transforms import timm in a function": ("transforms/a.py", "def f():\n    import timm"),
    "nets import Beam": ("model_handlers/nets/a.py", "import apache_beam as beam"),
    "nets import packs": ("model_handlers/nets/a.py", "from model_handlers.pack import Pack"),
    "nets import packs relatively": ("model_handlers/nets/a.py", "from ..packs import Pack"),
    "nets import handlers as a whole": ("model_handlers/nets/a.py", "import model_handlers"),
    "nets import a name from handlers": ("model_handlers/nets/a.py", "from model_handlers import packs"),
    "nets import safetensors": ("model_handlers/nets/a.py", "from safetensors.torch import load_file"),
    "nets import pickle": ("model_handlers/nets/a.py", "import pickle"),
    "pipelines import pickle": ("pipelines/telling/one_photo.py", "import pickle"),
    "lambda in transforms": ("transforms/a.py", "key = lambda row: row.uri"),
    "string annotations in transforms": ("transforms/a.py", "from __future__ import annotations"),
    "string annotations in pipelines": ("pipelines/sub/a.py", "from __future__ import annotations"),
    "environment in handlers": ("model_handlers/a.py", "import os\ncache = os.environ.get('CACHE')"),
}


@pytest.mark.parametrize(("path", "source"), BROKEN.values(), ids=BROKEN)
def test_checker_catches(path: str, source: str) -> None:
    (problem,) = problems(path, source)
    assert problem.startswith(f"{path}:")


KEPT = {
    "pipelines import everything": ("pipelines/a.py", "import configs, torch\nfrom transforms import write"),
    "handlers import their own": ("model_handlers/a.py", "from model_handlers.nets.search import greedy\nimport torch"),
    "nets import nets relatively": ("model_handlers/nets/a.py", "from . import gru\nfrom .search import greedy"),
    "nets import nets": ("model_handlers/nets/a.py", "from model_handlers.nets import gru\nimport numpy, timm, punkt"),
    "transforms import Beam and numpy": ("transforms/a.py", "import apache_beam as beam\nimport numpy as np"),
    "lambda and environment in pipelines": ("pipelines/a.py", "import os\nf = lambda: os.environ['HOME']"),
    "string annotations in handlers": ("model_handlers/a.py", "from __future__ import annotations"),
    "import_originals reads pickles": ("pipelines/import_originals.py", "import pickle"),
}


@pytest.mark.parametrize(("path", "source"), KEPT.values(), ids=KEPT)
def test_checker_admits(path: str, source: str) -> None:
    assert problems(path, source) == []
