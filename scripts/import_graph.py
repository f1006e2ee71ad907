"""Print which package imports which, as the table of ADR 0005: ``python scripts/import_graph.py [FOLDER]``."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]


def read_edges(package: Path) -> dict[str, set[str]]:
    """Return the packages that each package imports; a module directly below the root counts as a package."""
    modules = {
        path.relative_to(package).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
        for path in package.rglob("*.py")
        if path != package / "__init__.py"
    }
    edges: dict[str, set[str]] = defaultdict(set)
    for module, path in modules.items():
        here = _package_of(module, path)
        edges[here] |= set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(f"{package.name}."):
                continue
            source = (node.module or "").removeprefix(f"{package.name}.")
            for alias in node.names:
                target = f"{source}.{alias.name}" if f"{source}.{alias.name}" in modules else source
                edges[here].add(_package_of(target, modules[target]))
    return {here: targets - {here} for here, targets in edges.items()}


def _package_of(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" or "." not in module else module.rpartition(".")[0]


def main() -> None:
    """Print a row for each package of the folder given, by default of this project's package."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "seldon_spec"
    print("| package | imports |", "|---|---|", sep="\n")
    for here, targets in sorted(read_edges(folder).items()):
        print(f"| `{here}` | {', '.join(f'`{target}`' for target in sorted(targets)) or '–'} |")


if __name__ == "__main__":
    main()
