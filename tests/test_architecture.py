"""The rules of the house that can be checked by reading the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "prebill"
MODULES = sorted(SOURCE.rglob("*.py"))
TRAINING = sorted((ROOT / "training").rglob("*.py"))

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70

#: Which of our parts a part may import, besides itself. `core` has its own order below.
MAY_IMPORT = {
    "core": set(),
    "contracts": {"core"},
    "settings": {"core"},
    "telemetry": {"core", "settings"},
    "audit": {"core", "store", "settings"},
    "bundles": {"core", "settings"},
    "registry": {"core", "settings", "bundles"},
    "store": {"core", "contracts", "settings"},
    "lake": {"core", "settings"},
    "connectors": {"core", "contracts", "settings"},
    "workflows": {
        *("core", "contracts", "settings", "telemetry", "audit", "registry", "bundles"),
        *("store", "lake", "connectors", "bootstrap"),
    },
    "bootstrap": {"core", "settings", "store", "lake", "connectors", "bundles", "audit"},
}
OUTER = {"api", "console", "cli", "demo"}

CORE_ORDER = (
    {"money", "calendar", "errors", "schemas"},
    {"billing"},
    {"accounting"},
    {"forecasts"},
    {"scoring"},
    {"policy"},
    {"triage", "collections"},
)

#: Library → the only places that may import it.
HOMES = {
    "sqlalchemy": ("store",),
    "alembic": ("store",),
    "psycopg": ("store",),
    "deltalake": ("lake",),
    "dbos": ("workflows",),
    "mlflow": ("registry.py",),
    "httpx": ("connectors",),
    "fastapi": ("api", "console"),
    "starlette": ("api", "console"),
    "jinja2": ("console", "core/scoring", "workflows", "connectors"),
    "lightgbm": ("core/scoring/models",),
    "sklearn": ("core/scoring/models",),
    "stdnum": ("core/billing",),
    "eu_vat_rates_data": ("core/billing",),
    "open_data_contract_standard": ("contracts",),
    "argon2": ("store",),
    "itsdangerous": ("console",),
    "typst": ("connectors",),
    "statsforecast": ("core/forecasts",),
}
#: Libraries so slow to import that `--help` must not meet them at module level.
HEAVY = {"dbos", "lightgbm", "sklearn", "mlflow", "evidently", "statsforecast"}

MONEY_CODE = ("core/billing", "core/accounting", "core/triage/approvals.py")
IMPURE = {"sqlalchemy", "deltalake", "dbos", "httpx", "random", "time", "socket", "requests"}


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    tree = tree_of(path)
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def core_rank(name: str) -> int | None:
    return next((rank for rank, names in enumerate(CORE_ORDER) if name in names), None)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_run_one_way(path: Path) -> None:
    part = part_of(path)
    allowed = MAY_IMPORT.get(part)
    for name in imports(path):
        pieces = name.split(".")
        if pieces[0] == "training":
            pytest.fail(f"{relative(path)} imports training")
        if pieces[0] != "prebill" or len(pieces) < 2 or part in {"__init__", "__main__"}:
            continue
        target = pieces[1]
        if target in {part, "__version__"}:
            continue
        if allowed is not None:
            assert target in allowed, f"{relative(path)} imports {name}"
        elif part in {"api", "console"}:
            assert target not in {"cli", "demo"}, f"{relative(path)} imports {name}"


@pytest.mark.parametrize("path", sorted((SOURCE / "core").rglob("*.py")), ids=relative)
def test_core_imports_follow_the_chain(path: Path) -> None:
    own = core_rank(path.relative_to(SOURCE / "core").parts[0].removesuffix(".py"))
    for name in imports(path):
        pieces = name.split(".")
        assert pieces[0] not in IMPURE, f"{relative(path)} imports {name}"
        if pieces[:2] != ["prebill", "core"] or len(pieces) < 3 or own is None:
            continue
        target = core_rank(pieces[2])
        assert target is not None, f"{relative(path)} imports the unknown part {name}"
        assert target <= own, f"{relative(path)} imports {name}, which comes later"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_each_library_has_one_home(path: Path) -> None:
    where = relative(path)
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or where.startswith(homes), f"{where} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_heavy_libraries_load_lazily(path: Path) -> None:
    # Inside workflows/ dbos is the base of the module; nothing reached by --help imports those.
    where = relative(path)
    for name in imports(path, top_level_only=True):
        library = name.split(".")[0]
        if library == "dbos" and where.startswith("workflows/"):
            continue
        assert library not in HEAVY, f"{where} imports {name} at its top"
        if where.startswith("cli/"):
            assert library not in {"polars", "fastapi", "sqlalchemy"}, f"{where} imports {name}"


@pytest.mark.parametrize("path", [*MODULES, *TRAINING], ids=str)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES, f"{path} has grown"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None
            first = node.body[1] if documented and len(node.body) > 1 else node.body[0]
            length = (node.end_lineno or 0) - first.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{path}:{node.lineno} {node.name}: {length}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_modules_say_what_they_are_for(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), f"{relative(path)} has no module docstring"


def money_modules() -> list[Path]:
    return [path for path in MODULES if relative(path).startswith(MONEY_CODE)]


@pytest.mark.parametrize("path", money_modules(), ids=relative)
def test_no_float_in_money_code(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        where = f"{relative(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), f"{where} has a float literal"
        if isinstance(node, ast.Name):
            assert node.id != "float", f"{where} names float"
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"Float64", "Float32", "mean"}, f"{where} uses {node.attr}"


@pytest.mark.parametrize("path", money_modules(), ids=relative)
def test_money_is_rounded_in_one_place(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            assert name != "round", f"{relative(path)}:{node.lineno} rounds: use money.round_minor"


@pytest.mark.parametrize("path", sorted((SOURCE / "core").rglob("*.py")), ids=relative)
def test_core_has_no_clock(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"now", "utcnow", "today"}, f"{relative(path)}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_only_the_engine_commits(path: Path) -> None:
    if relative(path) == "store/engine.py":
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr != "commit", f"{relative(path)}:{node.lineno} commits"


def test_top_level_places_are_the_agreed_ones() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {name.split("/")[0] for name in tracked} <= {
        *("pyproject.toml", "src", "models", "training", "notebooks", "tests", "data_contracts"),
        *("README.md", "Makefile", ".ci", ".gitignore", "requirements.lock"),
        *("CHANGELOG.md", "LICENSE", "docs"),
    }


def test_help_answers_without_heavy_imports() -> None:
    code = (
        "import sys, prebill.cli; "
        "heavy = {'polars', 'dbos', 'mlflow', 'lightgbm', 'sklearn', 'fastapi', 'deltalake', "
        "'sqlalchemy'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_lock_names_versions_and_hashes_only() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("--index")]
    assert all(line.startswith("    --hash=sha256:") or "==" in line for line in lines if line)
