"""Renders the table of the chart's README from the comments of values.yaml."""

import re

from helm import CHART

BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
README, VALUES = CHART / "README.md", CHART / "values.yaml"


def rendered():
    text = README.read_text()
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{tables()}{END}{rest.split(END)[1]}"


def tables():
    parts = []
    for title, fields in sections():
        rows = "".join(f"| `{path}` | {default} | {doc} |\n" for path, default, doc in fields)
        parts.append(f"\n### {title}\n\n| Field | Default | Meaning |\n| --- | --- | --- |\n{rows}")
    return "".join(parts) + "\n"


def sections():
    """Titles with their fields: path, default, description."""
    found, comment, stack = [], [], []
    for line in VALUES.read_text().splitlines():
        if title := re.fullmatch(r"# == (.+)", line):
            found.append((title[1], []))
            comment = []
        elif not line.strip():
            comment = []
        elif text := re.fullmatch(r"\s*#(?: (\S.*))?(?:\s.*)?", line):
            comment += [text[1]] if text[1] else []
        elif field := re.fullmatch(r"( *)([\w-]+):(?: (.*))?", line):
            stack = stack[: len(field[1]) // 2] + [field[2]]
            add(found, stack, field[3], comment)
            comment = []
        else:
            comment = []
    return found


def add(found, stack, default, comment):
    path = ".".join(stack)
    if comment and found:
        found[-1][1].append((path, f"`{default}`" if default else "", " ".join(comment).replace("|", "\\|")))
    elif default is not None and not covered(found, path):
        raise SystemExit(f"{VALUES.name}: {path} has no comment; describe it in the lines above it")


def covered(found, path):
    """True for a field inside a documented map."""
    return any(path.startswith(f"{known}.") for _, fields in found for known, _, _ in fields)
