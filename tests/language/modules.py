"""Compares the top-level modules of `src` and the imports between them with the table "Modules, in reading order" and the section
"Allowed imports" of ARCHITECTURE.md.

Code that is only compiled for tests does not count.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

# Comments and literals, so that their text is not taken for code. A lifetime is not a literal: it has no closing quote.
NOT_CODE = re.compile(r"""//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?'(?:\\[^']+|[^\\'\n])'""", re.DOTALL)
TEST_ATTRIBUTE = "#[cfg(test)]"


class Import(NamedTuple):
    importer: str
    imported: str
    file: str


def code_of(text: str) -> str:
    """The code without comments, literals and items that are only compiled for tests."""
    code = NOT_CODE.sub('""', text)
    while (start := code.find(TEST_ATTRIBUTE)) >= 0:
        code = code[:start] + code[end_of_item(code, start + len(TEST_ATTRIBUTE)) :]
    return code


def end_of_item(code: str, position: int) -> int:
    """The end of the item that begins here: its `;` or its last closing brace. Braces of `use` are inside of its `;`."""
    is_use = re.match(r"\s*(?:pub(?:\([^)]*\))?\s+)?use\b", code[position:])
    depth = 0
    for index in range(position, len(code)):
        character = code[index]
        depth += (character == "{") - (character == "}")
        if depth == 0 and (character == ";" or character == "}" and not is_use):
            return index + 1
    return len(code)


def names_of_group(code: str, position: int) -> Iterator[str]:
    """The first names of the paths in the braces that begin here."""
    depth, is_first = 0, True
    for token in re.finditer(r"\w+|[{},]", code[position:]):
        text = token.group()
        depth += (text == "{") - (text == "}")
        if depth == 0:
            return
        if depth == 1 and text in "{,":
            is_first = True
        elif is_first and text not in "{},":
            yield text
            is_first = False


def imported_names(code: str, file_depth: int) -> Iterator[str]:
    """The names at the root of the crate that a file uses. `file_depth` is the number of modules above its items."""
    for match in re.finditer(r"\b(?:crate|super)((?:::super)*)::(?=(\w+|\{))", code):
        steps = match.group(0).count("super")
        if "crate" not in match.group(0) and steps != file_depth:
            continue
        if match.group(2) == "{":
            yield from names_of_group(code, match.end())
        elif match.group(2) != "super":
            yield match.group(2)


def test_files(files: dict[str, str]) -> set[str]:
    """The files of modules that are declared after `#[cfg(test)]`, and all below them."""
    found = set()
    for name, text in files.items():
        directory = "" if name in ("lib.rs", "main.rs") else name.removesuffix(".rs") + "/"
        for module in re.findall(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))? )?mod (\w+);", text):
            path = directory + module
            found |= {other for other in files if other == f"{path}.rs" or other.startswith(f"{path}/")}
    return found


def read_imports(files: dict[str, str]) -> tuple[set[str], list[Import]]:
    """The top-level modules and the imports between them. The keys are the paths in `src`, the values the texts."""
    production = {name: text for name, text in files.items() if name not in test_files(files) | {"lib.rs", "main.rs"}}
    modules = {module_of(name) for name in production}
    imports = set()
    for name, text in production.items():
        depth = name.count("/") + 1
        for imported in imported_names(code_of(text), depth):
            if imported in modules and imported != module_of(name):
                imports.add(Import(module_of(name), imported, name))
    return modules, sorted(imports)


def module_of(name: str) -> str:
    return name.split("/")[0].removesuffix(".rs")


def read_allowed(document: str) -> dict[str, set[str]]:
    """The modules and the imports that the section lists for them."""
    section = document.split("\n## Allowed imports\n")[1].split("\n## ")[0]
    block = re.search(r"```text\n(.*?)```", section, re.DOTALL).group(1)
    allowed: dict[str, set[str]] = {}
    for line in re.sub(r"\n {2,}(?!->)", " ", block).splitlines():
        importers, imported = re.sub(r"\([^)]*\)", "", line).split("->")
        names = set() if "no other module" in imported else set(re.findall(r"\w+", imported))
        for importer in re.findall(r"\w+", importers):
            allowed.setdefault(importer, set()).update(names)
    return allowed


def read_described(document: str) -> list[str]:
    """The modules in the table of their jobs."""
    section = document.split("\n## Modules, in reading order\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return [module for row in rows for module in re.findall(r"`(\w+)`", row)]


def unknown_paths(files: dict[str, str], document: str) -> list[str]:
    """Paths in the document that lead to no module and to no item of one."""
    paths = {name.removesuffix(".rs").replace("/", "::"): text for name, text in files.items()}

    def exists(path: str) -> bool:
        parent, last = path.rsplit("::", 1)
        is_item = rf"\b(?:(?:fn|struct|enum|trait|type|const) |use [^;]*\b){last}\b"
        return path in paths or re.search(is_item, paths.get(parent, "")) is not None

    return [f"there is no {path}" for path in sorted(set(re.findall(r"`([a-z_]+(?:::\w+)+)`", document))) if not exists(path)]


def reachable(edges: dict[str, set[str]], start: str) -> set[str]:
    found, waiting = set(), list(edges.get(start, ()))
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(edges.get(module, ()))
    return found


def cycles(edges: dict[str, set[str]]) -> list[str]:
    """The modules that import themselves through others."""
    return sorted(module for module in edges if module in reachable(edges, module))


def check_imports(files: dict[str, str], document: str) -> tuple[list[str], str]:
    """The violations and a summary."""
    modules, imports = read_imports(files)
    allowed = read_allowed(document)
    actual: dict[str, set[str]] = {module: set() for module in modules}
    for importer, imported, _ in imports:
        actual[importer].add(imported)
    described = read_described(document)
    violations = [f"module {module} is not in the list" for module in sorted(modules - set(allowed))]
    violations += [f"module {module} is not in the table" for module in sorted(modules - set(described))]
    violations += [f"there is no module {module}, which the table names" for module in sorted(set(described) - modules)]
    violations += [f"there is no module {module}" for module in sorted((set(allowed) | set().union(*allowed.values())) - modules)]
    violations += [
        f"src/{file}: {importer} -> {imported} is not allowed"
        for importer, imported, file in imports
        if imported not in reachable(allowed, importer)
    ]
    violations += [
        f"{importer} -> {imported} is allowed, but not imported"
        for importer in sorted(allowed)
        for imported in sorted(allowed[importer] - actual.get(importer, set()))
    ]
    violations += unknown_paths(files, document)
    in_cycles = sorted(set(cycles(allowed)) | set(cycles(actual)))
    violations += [f"{module} imports itself through other modules" for module in in_cycles]
    number = sum(map(len, actual.values()))
    return violations, f"modules: {len(modules)} in src, {number} imports between them, {len(in_cycles)} in cycles, {len(violations)} violations"


def sources() -> dict[str, str]:
    return {path.relative_to(ROOT / "src").as_posix(): path.read_text() for path in sorted((ROOT / "src").rglob("*.rs"))}


def check() -> tuple[list[str], str]:
    return check_imports(sources(), (ROOT / "ARCHITECTURE.md").read_text())
