"""Extracts comments, docstrings, string literals and names of functions from source code, with the lines that they begin at."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

Block = tuple[int, str]

NAME_OF_FUNCTION = {".rs": r"\bfn (\w+)", ".py": r"\bdef (\w+)", ".mjs": r"\bfunction\*? (\w+)", ".js": r"\bfunction\*? (\w+)"}


def joined(lines: list[Block]) -> Iterator[Block]:
    """Joins comments on adjacent lines. An empty one ends a block."""
    block: list[str] = []
    start = last = 0
    for number, text in lines:
        if block and (number != last + 1 or not text):
            yield start, " ".join(block)
            block = []
        if text:
            start = start if block else number
            block.append(text)
        last = number
    if block:
        yield start, " ".join(block)


def joined_unless_trailing(lines: list[tuple[int, str, str]]) -> Iterator[Block]:
    """Each comment with its line. Comments that follow code on their line are blocks of their own."""
    yield from joined([(number, text) for number, line, text in lines if line.lstrip().startswith("#")])
    yield from ((number, text) for number, line, text in lines if text and not line.lstrip().startswith("#"))


def of_braces(text: str) -> Iterator[Block]:
    """Comments of Rust and JavaScript, adjacent lines joined, without code examples. A list item begins a new block."""
    block: list[str] = []
    start, fenced, in_block_comment = 0, False, False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        match = re.match(r"\s*//[/!]? ?(.*)$", line)
        content = match.group(1) if match else None
        if in_block_comment or re.match(r"\s*/\*", line):
            in_block_comment = "*/" not in line
            content = re.sub(r"^\s*/?\*+!?|\*/.*$", "", line).strip()
        if content is not None and content.startswith("```"):
            fenced = not fenced
            content = ""
        item = re.match(r"\s*(?:[-*]|\d+\.) ", content or "")
        if block and (item or not content or fenced):
            yield start, " ".join(block)
            block = []
        if content and not fenced:
            if not block:
                start = number
            block.append((content[item.end() :] if item else content).strip())
            continue
        if content is None:
            fenced = False
    trailing = re.compile(r"[;,{}()\]]\s+// (.+)$")
    for number, line in enumerate(text.splitlines(), 1):
        if match := trailing.search(line):
            yield number, match.group(1)


def of_python(text: str) -> Iterator[Block]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = [token for token in tokens if token.type == tokenize.COMMENT]
    yield from joined_unless_trailing([(token.start[0], token.line, token.string.lstrip("#").strip()) for token in found])
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and (doc := ast.get_docstring(node)):
            for paragraph in doc.split("\n\n"):
                yield node.body[0].lineno, " ".join(paragraph.split())


def of_shell(text: str) -> Iterator[Block]:
    """Comments of shell scripts and of the Makefile, whose help texts begin with `##`."""
    found = re.compile(r"(?:^\s*|\s)#+(?!!)(?: (.*))?$")
    lines = [(number, line, found.search(line)) for number, line in enumerate(text.splitlines(), 1)]
    yield from joined_unless_trailing([(number, line, (match.group(1) or "").strip()) for number, line, match in lines if match])


def of_file(path: Path) -> Iterator[Block]:
    text = path.read_text()
    match path.suffix:
        case ".rs" | ".mjs" | ".js":
            yield from of_braces(text)
        case ".py":
            yield from of_python(text)
        case _:
            yield from of_shell(text)


TOKEN_OF_RUST = re.compile(
    r"""//[^\n]*|/\*.*?\*/|'(?:\\[^\n']*'?|[^'\\\n])'|(?<!\w)(?:b|c)?r(?P<hashes>\#*)"(?P<raw>.*?)"(?P=hashes)|"(?P<text>(?:[^"\\]|\\.)*)\"""",
    re.DOTALL,
)


def phrases_of_rust(text: str) -> Iterator[Block]:
    """String literals that contain a space, with blanks joined and without the arguments of formats. Others are names."""
    for match in TOKEN_OF_RUST.finditer(text):
        literal = match["raw"] if match["raw"] is not None else re.sub(r"\\[nrt]|\\\n", " ", match["text"] or "")
        if " " in literal.strip():
            yield text.count("\n", 0, match.start()) + 1, " ".join(re.sub(r"\{[\w.]*(?::[^{}\s]*)?\}", "{}", literal).split())


def names_of_functions(path: Path) -> Iterator[Block]:
    """The words of each name."""
    if pattern := NAME_OF_FUNCTION.get(path.suffix):
        text = path.read_text()
        for match in re.finditer(pattern, text):
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", match[1]).replace("_", " ")
            yield text.count("\n", 0, match.start()) + 1, words
