"""The shape of the package: no import circles, one class per name, few files at the root, one place for paths.

`make imports` checks the layers. These tests check what `make imports` cannot see: they also count imports inside
functions, imports under `TYPE_CHECKING`, and modules that are only named in a string.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pytest_swarmtask

PACKAGE = "pytest_swarmtask"
FOLDER = Path(pytest_swarmtask.__file__).parent


@cache
def modules() -> dict[str, ast.Module]:
    """Return the package's parsed modules by name."""
    found = {}
    for file in sorted(FOLDER.rglob("*.py")):
        parts = (PACKAGE, *file.relative_to(FOLDER).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def imports(module: str, tree: ast.Module) -> set[str]:
    """Return every module of the package that a module imports or names in a string, anywhere in its code."""
    docstrings = _docstrings(tree)
    named = {name for node in ast.walk(tree) for name in (*_imported(node), *_in_string(node, docstrings))}
    return (named & set(modules())) - {module}


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            yield submodule if submodule in modules() else str(node.module)


def _in_string(node: ast.AST, docstrings: set[ast.AST]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
        yield from re.findall(rf"\b{PACKAGE}(?:\.\w+)+", node.value)


def _docstrings(tree: ast.Module) -> set[ast.AST]:
    """Return the strings that are statements: docstrings of modules, classes, functions and attributes."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other directly or indirectly (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph.get(name, ()):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def test_no_circle_of_modules() -> None:
    """No two modules import each other, not even lazily, under `TYPE_CHECKING`, or by a string."""
    graph = {name: imports(name, tree) for name, tree in modules().items()}
    assert sum(map(len, graph.values())) > 500
    assert circles(graph) == []


@pytest.mark.parametrize(
    "second",
    ["import a", "from a import x", "def f():\n    from a import x", "if TYPE_CHECKING:\n    import a"],
)
def test_a_circle_would_be_found(second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: it detects each way of importing."""
    made = {"a": ast.parse("from b import y"), "b": ast.parse(second), "c": ast.parse("import a, b")}
    monkeypatch.setitem(globals(), "modules", lambda: made)
    assert circles({name: imports(name, tree) for name, tree in made.items()}) == [["a", "b"]]


def test_one_class_a_name() -> None:
    """No class name is used twice in the package."""
    places = defaultdict(list)
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_class_is_a_thread() -> None:
    """A class has a thread instead: `Thread` has other private attributes in each Python, such as `_handle` in 3.13."""
    bases = {(name, ast.unparse(base)) for name, tree in modules().items() for base in _bases(tree)}
    assert not [name for name, base in bases if base.rpartition(".")[2] in ("Thread", "Timer", "Process")]


def _bases(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from node.bases


def test_few_files_at_the_root() -> None:
    """The root only holds the modules whose paths users, make and pytest know."""
    assert sorted(file.name for file in FOLDER.glob("*.py")) == [
        "__init__.py",
        "__main__.py",
        "emit.py",
        "plugin.py",
        "receiver.py",
        "recipe.py",
    ]


def test_no_module_is_imported_by_a_string() -> None:
    """Only plug-ins of other packages are imported by a string, because the layer checks cannot see such an import."""
    calls: defaultdict[str, int] = defaultdict(int)
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
                calls[module.removeprefix(f"{PACKAGE}.")] += 1
    # The package loads its public names on first use, and `plugins.registry` loads plug-ins.
    assert dict(calls) == {PACKAGE: 1, "plugins.registry": 1}


def test_no_bare_journal_paths() -> None:
    """A function that needs a project's files and its variables takes a `Project`."""
    bare = [
        f"{module}.{node.name}"
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and {"journal", "environ"} <= {one.arg for one in (*node.args.args, *node.args.kwonlyargs)}
    ]
    assert bare == []


def test_packages_do_nothing_when_imported() -> None:
    """An `__init__.py` contains only a docstring, so importing a module loads only the modules that it names."""
    packages = {str(file.parent.relative_to(FOLDER)) for file in FOLDER.glob("*/**/__init__.py")}
    full = [name for name in packages if len(modules()[f"{PACKAGE}.{name.replace('/', '.')}"].body) != 1]
    assert packages
    assert full == []
