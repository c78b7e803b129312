"""The rules of the house, checked on the code itself: who may import whom, names, sizes, and no hidden state."""

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
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
LAYOUT = {
    "tables": set[str](),
    "cli": {"tables"},
    "telling": {"tables", "cli"},
    "nightly": {"tables", "cli", "telling"},
    "planning": {"tables", "cli", "telling", "nightly"},
    "explanation": {"tables", "cli", "telling", "nightly"},
    "originals": {"cli"},
    "corpora": {"cli"},
    "pack_tools": {"cli", "telling", "corpora"},
    "evaluation": {"cli", "telling", "corpora"},
    "training": {"cli", "telling", "corpora", "pack_tools", "evaluation"},
    "gallery_page": {"tables", "evaluation"},
}
"""The folders of pipelines/, from below to above, and the others that each may import. A file of pipelines/ itself is a
command: it may import them all, and nothing imports it."""

MOST_LINES, MOST_FUNCTION_LINES = 300, 50
CACHE = "model_handlers/process_cache.py"
"""The one file whose module-level state changes."""

MUTABLE = {"dict", "list", "set", "OrderedDict", "defaultdict", "Counter", "deque", "bytearray"}
MUTABLE |= {"WeakKeyDictionary", "WeakValueDictionary", "WeakSet"}
MUTABLE |= {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "local"}


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
    return _name_of(node.func) in ("import_module", "__import__")


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
        found += _layout_problems(path, line, module)
    return found + _other_problems(path, top, tree) + _size_problems(path, source, tree) + _state_problems(path, tree)


def _layout_problems(path: str, line: int, module: str) -> list[str]:
    """Returns what an import of pipelines/ breaks of the order of its folders."""
    root, _, rest = module.partition(".")
    if root != "pipelines" or not path.startswith("pipelines/"):
        return []
    folder, target = path.split("/")[1], rest.split(".")[0]
    if folder == target:
        return []
    if target not in LAYOUT:
        return [f"{path}:{line}: {module} is a command, which nothing imports"]
    if folder in LAYOUT and target not in LAYOUT[folder]:
        return [f"{path}:{line}: {folder}/ may not import {module}"]
    return []


def _size_problems(path: str, source: str, tree: ast.AST) -> list[str]:
    lines = len(source.splitlines())
    found = [f"{path}:{MOST_LINES}: {lines} lines, more than {MOST_LINES}"] if lines > MOST_LINES else []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > MOST_FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: {node.name} has {size} lines, more than {MOST_FUNCTION_LINES}")
    return found


def _state_problems(path: str, tree: ast.Module) -> list[str]:
    """Returns the module-level names of a file that are there to be changed, and caches that grow without a bound."""
    if path == CACHE:
        return []
    found = [
        f"{path}:{node.lineno}: {ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)} is "
        "state of the module; keep it in the process cache or hand it on"
        for node in _module_level(tree.body)
        if isinstance(node, ast.Assign | ast.AnnAssign) and _is_mutable(node.value)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            found.append(f"{path}:{node.lineno}: global {', '.join(node.names)} is state of the module")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(map(_is_unbounded, node.decorator_list)):
            found.append(f"{path}:{node.lineno}: {node.name} is cached without a bound")
    return found


def _module_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields the statements that run at import, those within `if`, `try`, `with` and loops too."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
                yield from _module_level(getattr(node, part, ()))


def _is_mutable(value: ast.expr | None) -> bool:
    """Tells whether a value is an empty container or a lock."""
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List):
        return not value.elts
    if not isinstance(value, ast.Call):
        return False
    name = _name_of(value.func)
    empty = name not in ("dict", "list", "set", "Counter", "OrderedDict") or not (value.args or value.keywords)
    return name in MUTABLE and empty


def _is_unbounded(decorator: ast.expr) -> bool:
    """Tells whether a decorator keeps all results."""
    if not isinstance(decorator, ast.Call):
        return _name_of(decorator) == "cache"
    sizes = [*decorator.args[:1], *(word.value for word in decorator.keywords if word.arg == "maxsize")]
    nothing = any(isinstance(size, ast.Constant) and size.value is None for size in sizes)
    return _name_of(decorator.func) == "lru_cache" and nothing


def _name_of(function: ast.expr) -> str:
    """Returns the last part of a dotted name, also where it is subscripted."""
    if isinstance(function, ast.Subscript):
        return _name_of(function.value)
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


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


def test_each_file_name_is_used_once() -> None:
    assert repeated(files()) == []


def repeated(paths: Iterable[str]) -> list[str]:
    """Returns the names that several files have."""
    names = Counter(path.split("/")[-1] for path in paths)
    return [name for name, count in names.items() if count > 1 and name != "__init__.py"]


def test_a_name_that_is_used_twice_is_seen() -> None:
    assert repeated(["a/__init__.py", "b/__init__.py", "a/x.py", "b/c/x.py", "b/y.py"]) == ["x.py"]


def test_the_layout_is_an_order_of_all_folders() -> None:
    below: set[str] = set()
    for folder, others in LAYOUT.items():
        assert others <= below, f"{folder}/ would import what is above it"
        below.add(folder)
    folders = {path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py")}
    assert folders == set(LAYOUT)


def test_workers_are_started_by_the_path_of_their_module() -> None:
    started = (ROOT / "pipelines/nightly/workers.py").read_text(encoding="utf-8")
    assert '"pipelines.nightly.worker_process"' in started and "pipelines/nightly/worker_process.py" in files()


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
    "a folder imports a command": ("pipelines/training/packing/a.py", "from pipelines.evaluate import main"),
    "a command imports a command": ("pipelines/show.py", "from pipelines import catalog"),
    "a folder imports one above it": ("pipelines/cli/a.py", "from pipelines.telling.settings import POCKET"),
    "a folder imports a folder beside it": (
        "pipelines/planning/a.py",
        "def f():\n    import pipelines.explanation.stored",
    ),
    "a folder imports one above it relatively": ("pipelines/tables/a.py", "from ..cli import logs"),
    "a folder of a folder imports one above it": (
        "pipelines/corpora/preparation/a.py",
        "from pipelines.training import x",
    ),
    "a long file": ("transforms/a.py", "\n" * 301),
    "a long function": ("configs/a.py", "def f():\n" + "    x = 1\n" * 50),
    "a long method": ("configs/a.py", "class A:\n    async def f(self):\n" + "        x = 1\n" * 50),
    "a dictionary to be filled": ("transforms/a.py", "_TABLES: dict[str, int] = {}"),
    "a list to be filled": ("pipelines/tables/a.py", "if True:\n    SEEN = []"),
    "a set to be filled": ("configs/a.py", "SEEN = set()"),
    "a typed set to be filled": ("configs/a.py", "SEEN = set[str]()"),
    "a dictionary of lists": ("configs/a.py", "import collections\nSEEN = collections.defaultdict(list)"),
    "a lock": ("model_handlers/a.py", "import threading\n_LOCK = threading.Lock()"),
    "a name that is set again": ("pipelines/cli/a.py", "def f():\n    global FORM\n    FORM = 1"),
    "a cache without a bound": ("transforms/a.py", "import functools\n@functools.cache\ndef f(): ..."),
    "a cache that says so": ("transforms/a.py", "@lru_cache(maxsize=None)\ndef f(): ..."),
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
    "commands import all folders": (
        "pipelines/plan.py",
        "from pipelines.planning import sample\nimport pipelines.cli.logs",
    ),
    "a folder imports those below it": ("pipelines/nightly/a.py", "from pipelines.telling import chain"),
    "a folder imports its own": ("pipelines/training/recipes/a.py", "from pipelines.training.data import corpus"),
    "a file of the longest": ("transforms/a.py", "\n" * 300),
    "a function of the longest": ("configs/a.py", "def f():\n" + "    x = 1\n" * 49),
    "a table that is written down": ("configs/a.py", "KINDS = {'a': 1}\nNAMES = ['a']\nBOTH = set(NAMES)\nNONE = ()"),
    "state of an object": ("transforms/a.py", "class A:\n    def __init__(self):\n        self.seen = {}"),
    "a list of a function": ("transforms/a.py", "def f():\n    found = []\n    return found"),
    "a cache with a bound": (
        "transforms/a.py",
        "@lru_cache(maxsize=4)\ndef f(): ...\n@functools.lru_cache\ndef g(): ...",
    ),
    "the process cache": ("model_handlers/process_cache.py", "import threading\n_LOCK = threading.Lock()"),
    "import_originals reads pickles": ("pipelines/import_originals.py", "import pickle"),
}


@pytest.mark.parametrize(("path", "source"), KEPT.values(), ids=KEPT)
def test_checker_admits(path: str, source: str) -> None:
    assert problems(path, source) == []
