"""Checks the wording rules of CONTRIBUTING.md: sentence starts, type names, glossary terms and Markdown line lengths. Also checks
the size of files, and the imports between modules (`modules.py`).

`python3 -B tests/language/check.py` prints the figures and every violation, and exits with status 1 when a limit is exceeded.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator, NamedTuple

import comments
import modules

ROOT = Path(__file__).resolve().parents[2]

# Relative clauses in the place of a subject make a reader look for the noun. Questions may begin with these words.
FORBIDDEN_START = re.compile(r"(?:what|whether|who|whoever|whose|whom|where|which)\b", re.IGNORECASE)
MAX_COLUMNS = 120
MAX_LINES = 500
RUST = ("src/*.rs", "tests/*.rs", "benches/*.rs", "examples/*.rs")
CODE = (*RUST, "*.py", "*.sh", "*.mjs", "*.js", ".ci/*", "Makefile")

# Words that end the name of a type or a file and name no thing. Words in "ed" and "able" are found by their ending.
NOT_A_NOUN = frozenset(
    """Above Absent Alone Asleep Before Below Busy By Current Dear Deep Everywhere Faulty Few First For Forged Found Free Fresh Full Given Gone
    Heard Heavy Held Hostile How In Kept Known Last Lasting Later Left Live Made Many Met More Most Naive New Next None Nobody Of Old On Open Other
    Overdue Own Pairwise Pending Ready Said Seen Sent Shown Silent Slow So Some Standing Such Taken Them Then They Thing To Told Understood Unknown
    Was What When Whether Which Who Whole Whom Whose Why With Written Wrong""".split()
)
NOUNS_BY_ENDING = frozenset(
    """Bed Cable Embed Feed Framing Linking Listing Mapping Need Onboarding Provisioning Ring Seed Setting Shed Speed String Table Tampering
    Timing Variable""".split()
)
NOUN_PHRASE = re.compile(r"SignIn$")


# String literals that stored records depend on.
WIRE_PHRASES = frozenset(("seal record", "seal bus", "seal state", "seal return target", "seal handover"))


class Violation(NamedTuple):
    place: str
    text: str


class Term(NamedTuple):
    pattern: re.Pattern[str]
    instead: str
    is_for_code: bool


def tracked(*patterns: str) -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sentences(text: str) -> list[str]:
    text = re.sub(r"\b(e\.g|i\.e|etc|cf|vs)\.", r"\1", text)
    return [part.strip(" *_-") for part in re.split(r"(?<=[.!?])[\s\"')]+(?=[\"'(`*\[]?[A-Z0-9`])", text) if part.strip(" *_-")]


def is_bad_start(sentence: str) -> bool:
    return bool(FORBIDDEN_START.match(sentence.lstrip("\"'(*_["))) and not sentence.rstrip(" )\"'*_").endswith("?")


def check_comments() -> tuple[list[Violation], int]:
    """Violations and the number of sentences in the comments of the code."""
    violations, total = [], 0
    for path in tracked(*CODE):
        for line, block in comments.of_file(path):
            for sentence in sentences(block):
                total += 1
                if is_bad_start(sentence):
                    violations.append(Violation(f"{relative(path)}:{line}", sentence))
    return violations, total


def check_phrases(terms: list[Term]) -> tuple[list[Violation], int]:
    """Forbidden sentence starts and glossary terms in the string literals of Rust that contain a space, and their number."""
    violations, total = [], 0
    for path in tracked(*RUST):
        for line, phrase in comments.phrases_of_rust(path.read_text()):
            total += 1
            if phrase in WIRE_PHRASES:
                continue
            place = f"{relative(path)}:{line}"
            violations += [Violation(place, sentence) for sentence in sentences(phrase) if is_bad_start(sentence)]
            for term in terms:
                if term.is_for_code and (match := term.pattern.search(phrase)):
                    violations.append(Violation(place, f'"{match.group(0)}": write {term.instead}'))
    return violations, total


def check_words_of_code(terms: list[Term]) -> list[Violation]:
    """Glossary terms in the comments of the code and in the names of functions and tests."""
    violations = []
    for path in tracked(*CODE):
        texts = [(line, without_code(block)) for line, block in comments.of_file(path)]
        for line, words in [*texts, *comments.names_of_functions(path)]:
            for term in terms:
                if term.is_for_code and (match := term.pattern.search(words)):
                    violations.append(Violation(f"{relative(path)}:{line}", f'"{match.group(0)}": write {term.instead}'))
    return violations


def last_word(name: str) -> str:
    return re.findall(r"[A-Z][a-z0-9]*", name)[-1] if re.search(r"[A-Z]", name) else name


def names_no_thing(name: str) -> bool:
    if NOUN_PHRASE.search(name):
        return False
    word = last_word(name)
    if word == name and name.endswith("ing"):
        return name not in NOUNS_BY_ENDING
    return word in NOT_A_NOUN or word not in NOUNS_BY_ENDING and len(word) > 3 and word.endswith(("ed", "able", "ible"))


def check_types() -> tuple[list[Violation], int]:
    """Type names that are participles, adjectives, pronouns or prepositions, and the number of types."""
    declaration = re.compile(r"^\s*(?:pub(?:\([^)]*\))? |export )?(?:struct|enum|trait|type|class) ([A-Z]\w*)", re.MULTILINE)
    violations, total = [], 0
    for path in tracked(*CODE):
        text = path.read_text()
        for match in declaration.finditer(text):
            # Associated types have the names that foreign traits give them.
            if re.match(r"\s+type ", match.group(0)):
                continue
            total += 1
            if names_no_thing(match.group(1)):
                line = text.count("\n", 0, match.start(1)) + 1
                violations.append(Violation(f"{relative(path)}:{line}", match.group(1)))
    return violations, total


def is_noun_file(path: Path) -> bool:
    return not names_no_thing("".join(word.capitalize() for word in re.split(r"[-_]", path.stem)))


def check_file_names() -> tuple[list[Violation], int]:
    """Files of code whose names are participles, adjectives, pronouns or prepositions, and the number of files."""
    files = tracked(*CODE)
    return [Violation(relative(path), path.stem) for path in files if not is_noun_file(path)], len(files)


def repeated_types(files: dict[str, str]) -> list[Violation]:
    """Names that several files of `src` give to a type or an alias, tests aside. One name has one meaning."""
    declaration = re.compile(r"^(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|union|type) ([A-Z]\w*)", re.MULTILINE)
    places: dict[str, list[str]] = {}
    for file, text in files.items():
        if not re.search(r"(?:^|/)tests(?:/|\.rs$)", file):
            for name in sorted(set(declaration.findall(text))):
                places.setdefault(name, []).append(file)
    return [Violation("src", f"{name}: {', '.join(found)}") for name, found in sorted(places.items()) if len(found) > 1]


def check_lengths() -> list[Violation]:
    """Files of code that are too long for one job."""
    lengths = [(relative(path), path.read_text().count("\n")) for path in tracked(*CODE)]
    return [Violation(name, f"{length} lines") for name, length in lengths if length > MAX_LINES]


def load_glossary() -> list[Term]:
    terms = []
    for line in (Path(__file__).parent / "glossary.tsv").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern, instead, *scope = line.split("\t")
        pattern = re.compile(rf"(?<![\w`/_.-])(?:{pattern})(?![\w`/_-])", re.IGNORECASE)
        terms.append(Term(pattern, instead, is_for_code=scope != ["prose"]))
    return terms


def prose_of_markdown(text: str) -> Iterator[tuple[int, str]]:
    """Paragraphs, list items and table cells without code, with the line that they begin at."""
    paragraph: list[str] = []
    start, fence = 0, None
    for number, line in enumerate([*text.splitlines(), ""], 1):
        stripped = line.strip()
        marker = re.match(r"(`{3,}|~{3,})", stripped)
        if marker and (fence is None or stripped.startswith(fence)):
            fence = None if fence else marker.group(1)
            stripped = ""
        elif fence or stripped.startswith("<"):
            stripped = ""
        is_item = re.match(r"(?:[-*+] |\d+\. |#+ |\| ?|> ?)", stripped)
        if (not stripped or is_item) and paragraph:
            yield start, " ".join(paragraph)
            paragraph = []
        if stripped.startswith("|"):
            for cell in stripped.strip("|").split("|"):
                yield number, cell.strip()
            continue
        if stripped:
            if not paragraph:
                start = number
            paragraph.append(stripped[is_item.end() :] if is_item else stripped)


def prose_of_fluent(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            yield number, line.lstrip("# ")
        elif match := re.match(r"(?:[\w-]+ =|\s+(?:\.[\w-]+ =|\*?\[\w+\])?) ?(.*)$", line):
            yield number, match.group(1)


def prose_of_yaml(text: str) -> Iterator[tuple[int, str]]:
    """Comments (adjacent lines joined), titles, summaries and descriptions of YAML, and comments of Helm templates."""
    comment: list[str] = []
    start = 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        match = re.match(r"\s*#+ ?(?!!)(\S.*)?$", line)
        if match and match.group(1) and not re.match(r"(?:\s|==)", match.group(1)) and not re.match(r"\s*#  ", line):
            start = start if comment else number
            comment.append(match.group(1))
            continue
        if comment:
            yield start, " ".join(comment)
            comment = []
    for match in re.finditer(r"\{\{-? ?/\*(.*?)\*/ ?-?\}\}", text, re.DOTALL):
        yield text.count("\n", 0, match.start()) + 1, " ".join(match.group(1).split())
    value = re.compile(r"""^(?P<indent> *)(?P<flow>.*?[{ ,])?"?(?:title|summary|description)"?: (?:\|\n(?P<block>(?:(?P=indent) +\S.*\n|\n)+)|"(?P<quoted>(?:[^"\\\n]|\\.)*)"|(?P<plain>[^"|\n]+))""", re.MULTILINE)
    for match in value.finditer(text):
        plain = match.group("plain")
        if plain and "{" in (match.group("flow") or ""):
            plain = re.split(r"[,}]", plain)[0]
        found = match.group("block") or match.group("quoted") or plain or ""
        yield text.count("\n", 0, match.start()) + 1, " ".join(found.split())


def without_code(text: str) -> str:
    text = re.sub(r"`[^`]*`", "`code`", text)
    return re.sub(r"\]\([^)]*\)", "]", text)


PROSE_BY_SUFFIX = {".md": prose_of_markdown, ".ftl": prose_of_fluent, ".yaml": prose_of_yaml, ".tpl": prose_of_yaml, ".json": prose_of_yaml}
PROSE_FILES = ("*.md", "templates/text/*.ftl", "charts/*.yaml", "charts/*.tpl", "charts/*.json", "deploy/*.yaml", "deploy/grafana/*.json", "src/http/api/openapi.yaml")


def check_prose(terms: list[Term]) -> list[Violation]:
    """Forbidden sentence starts and glossary terms in documents, messages, the chart, examples and the API description."""
    violations = []
    for path in tracked(*PROSE_FILES):
        for line, text in PROSE_BY_SUFFIX[path.suffix](path.read_text()):
            text = without_code(text)
            place = f"{relative(path)}:{line}"
            violations += [Violation(place, sentence) for sentence in sentences(text) if is_bad_start(sentence)]
            for term in terms:
                if match := term.pattern.search(text):
                    violations.append(Violation(place, f'"{match.group(0)}": write {term.instead}'))
    return violations


def check_wrapping() -> list[Violation]:
    """Lines of Markdown beyond the limit, but for tables, code and what cannot be broken."""
    violations = []
    for path in tracked("*.md"):
        fenced = False
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.lstrip().startswith(("```", "~~~")):
                fenced = not fenced
            if fenced or len(line) <= MAX_COLUMNS or line.lstrip().startswith(("|", "<")) or " " not in line.strip()[:MAX_COLUMNS].lstrip("-*# "):
                continue
            violations.append(Violation(f"{relative(path)}:{number}", f"{len(line)} columns"))
    return violations


def report(title: str, violations: list[Violation]) -> None:
    print(title)
    for violation in violations:
        print(f"  {violation.place}: {violation.text[:160]}")


def main() -> int:
    sentence_starts, sentence_count = check_comments()
    types, type_count = check_types()
    file_names, file_count = check_file_names()
    terms = load_glossary()
    words, prose, wrapping, lengths = check_words_of_code(terms), check_prose(terms), check_wrapping(), check_lengths()
    phrases, phrase_count = check_phrases(terms)
    repeated = repeated_types(modules.sources())
    imports, summary = modules.check()
    rules = [
        ("sentences in comments that begin with What, Whether, Who, Where or Which:", sentence_starts),
        ("types that are named by a participle, an adjective or a pronoun:", types),
        ("files that are named by a participle, an adjective or a pronoun:", file_names),
        ("types with one name in several files:", repeated),
        ("words in comments and names of functions:", words),
        ("wording in string literals of Rust:", phrases),
        ("wording in documents and messages:", prose),
        (f"Markdown lines of more than {MAX_COLUMNS} columns:", wrapping),
        (f"files of more than {MAX_LINES} lines:", lengths),
        ("imports between modules (ARCHITECTURE.md):", [Violation("modules", text) for text in imports]),
    ]
    for title, violations in rules:
        if violations:
            report(title, violations)
    print(f"language: {len(sentence_starts)} of {sentence_count} comment sentences ({len(sentence_starts) / sentence_count:.1%}), {len(types)} of "
          f"{type_count} types ({len(types) / type_count:.1%}), {len(file_names)} of {file_count} file names, {len(repeated)} type "
          f"names in several files, {len(words)} words in code, {len(phrases)} of {phrase_count} string literals, {len(prose)} places in prose, {len(wrapping)} long Markdown lines, {len(lengths)} long files")
    print(summary)
    return 1 if any(violations for _, violations in rules) else 0


if __name__ == "__main__":
    sys.exit(main())
