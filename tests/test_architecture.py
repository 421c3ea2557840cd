"""Imports run one way, and `import fastconv` stays cheap."""

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv
from fastconv import op
from fastconv.graph import graph

PACKAGE = Path(fastconv.__file__).parent
ROOT = Path(__file__).parent.parent

# Top to bottom; a module imports only what stands above its own line. Neighbours on a line never import each other.
LAYERS = [
    ["errors", "shapes", "config", "op", "lazy", "named"],
    ["_kernels"],
    ["autograd"],
    ["ops"],
    ["graph"],
    ["initializers", "regularizers", "activations", "losses", "metrics", "optimizers"],
    ["layers"],
    ["storage"],
    ["models"],
    ["datasets", "utils", "callbacks"],
    ["io"],
    ["session", "onnx"],
    ["_show_config"],
    ["cli"],
]
LEAVES = LAYERS[0]
# Among the leaves: the order in which they may use each other.
LEAF_IMPORTS = {
    "errors": [],
    "shapes": ["errors"],
    "config": ["errors"],
    "op": ["shapes", "errors"],
    "lazy": [],
    "named": ["errors"],
}
LEVEL = {name: i for i, line in enumerate(LAYERS) for name in line}


def modules():
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


def imported(path):
    """Yield the top-level fastconv modules that a file imports, anywhere in it."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    package = ("fastconv", *parts[: len(parts) - (path.name != "__init__.py")])
    if path.name == "__init__.py":
        package = ("fastconv", *parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = (*base, *(node.module.split(".") if node.module else ()))
            names = [[*module, alias.name] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [[*node.module.split("."), alias.name] for alias in node.names]
        else:
            continue
        for name in names:
            if name[0] == "fastconv" and len(name) > 1 and name[1] in LEVEL:
                yield name[1]


def sources(*suffixes):
    """Yield (name, lines) of the project's own files of these kinds."""
    for folder in ("benchmarks", "csrc", "examples", "fastconv", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            made = path.suffix == ".c" and path.with_suffix(".pyx").exists()
            if path.suffix in suffixes and not made:
                yield str(path.relative_to(ROOT)), path.read_text().splitlines()


def test_lines_of_c_fit():
    """At 128, as comments do: ruff and cython-lint hold the lines of Python and Cython, and nothing those of C."""
    long = [f"{name}:{i}" for name, lines in sources(".c", ".h") for i, line in enumerate(lines, 1) if len(line) > 128]
    assert not long


def test_long_files_give_their_reason():
    long = {name: lines for name, lines in sources(".py", ".pyx", ".pxd", ".c", ".h") if len(lines) > 500}
    assert not [name for name, lines in long.items() if "Over 500 lines: " not in "\n".join(lines[:30])]


def test_cython_rounds_up_by_ceil_div():
    """`-(-a // b)` is right or wrong by the types of a and b: `//` on C integers truncates."""
    assert not [f"{name}:{i}" for name, lines in sources(".pyx") for i, s in enumerate(lines, 1) if "-(-" in s]


def test_every_module_has_a_place():
    found = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in modules()}
    assert found == set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in imported(path):
        if other == own:
            continue
        if own in LEAVES:
            assert other in LEAF_IMPORTS[own], f"{own} must not import {other}"
        else:
            assert LEVEL[other] < LEVEL[own], f"{own} stands above {other}, or beside it, and must not import it"


@pytest.mark.parametrize("real", [op.Spec, op.Plan, op.Op, graph.Value, graph.Node, graph.Graph])
def test_the_page_shows_the_real_contract(real):
    page = ROOT / "docs" / "architecture.md"
    block = page.read_text().split(f"class {real.__name__}", 1)[1].split("\n\n")[0].split("```")[0]
    shown = set(re.findall(r"^    (\w+):", block, re.M))
    if dataclasses.is_dataclass(real):
        fields = [f.name for f in dataclasses.fields(real) if f.init]
    else:
        fields = getattr(real, "_fields", None) or real.__slots__
    assert shown == set(fields)


def test_the_page_shows_a_real_step():
    page = ROOT / "docs" / "architecture.md"
    shown = page.read_text().split("```cython\n", 1)[1].split("```")[0]
    real = "".join((ROOT / "fastconv" / "_kernels" / name).read_text() for name in ("table.pxd", "eltwise.pyx"))

    def lines(text):
        return {line.split("#")[0].removesuffix(" ...").strip() for line in text.replace(": ...", ":").splitlines()}

    assert lines(shown) <= lines(real)


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_import_loads_nothing_heavy():
    loaded = run_python(
        "import sys; before = set(sys.modules); import fastconv; print(*sorted(set(sys.modules) - before))"
    ).split()
    assert "fastconv" in loaded
    assert {name for name in loaded if name.startswith("fastconv.")} <= {"fastconv.errors", "fastconv.lazy"}
    assert not {"numpy", "tqdm", "safetensors", "PIL"} & set(loaded)


def test_nothing_needs_an_extra():
    loaded = run_python(
        "import sys, fastconv.models, fastconv.datasets, fastconv.utils, fastconv.cli; print(*sys.modules)"
    )
    assert not {"PIL", "matplotlib", "torch", "onnx"} & set(loaded.split())
