"""Holds the wording checker against good and bad examples."""

import unittest
from pathlib import Path

import check
import comments


class Sentences(unittest.TestCase):
    def test_relative_clauses_are_found_and_questions_are_not(self):
        for bad in ["Whether it holds.", "What the map says counts.", '"Who asks" is a name.', "(Where it stands.)", "*Which* one is used."]:
            self.assertTrue(check.is_bad_start(bad), bad)
        for good in ["Whether it holds?", "Whatever happens, it ends.", "The keys that it lists.", "Wherever it stands."]:
            self.assertFalse(check.is_bad_start(good), good)

    def test_text_is_split_into_sentences(self):
        text = "One, e.g. this. Whether two? `three` is code. Four."
        self.assertEqual(check.sentences(text), ["One, e.g this.", "Whether two?", "`three` is code.", "Four."])

    def test_comments_are_joined_and_code_is_left_out(self):
        source = "/// A sentence that\n/// goes on.\n///\n/// ```\n/// What code\n/// ```\nfn x() {} // why it is here\nlet url = \"http://x\";\n"
        self.assertEqual(list(comments.of_braces(source)), [(1, "A sentence that goes on."), (7, "why it is here")])

    def test_list_items_block_comments_and_lower_case_are_read(self):
        source = (
            "/// Two forms:\n/// - whether it is set\n///   or not\n/// - Which one\n\n"
            "/* What a block says\n * goes on. */\n\n//Where it has no space\n"
        )
        blocks = [text for _, text in comments.of_braces(source)]
        self.assertEqual(
            blocks, ["Two forms:", "whether it is set or not", "Which one", "What a block says goes on.", "Where it has no space"],
        )
        self.assertTrue(all(check.is_bad_start(text) for text in blocks[1:]))

    def test_comments_and_docstrings_of_python_and_shell_are_read(self):
        source = '"""A module.\n\nWhat it has."""\nX = "# no comment"  # a trailing one\n# Two\n# lines.\ndef f():\n    """Whether so."""\n'
        self.assertEqual(
            sorted(comments.of_python(source)),
            [(1, "A module."), (1, "What it has."), (4, "a trailing one"), (5, "Two lines."), (8, "Whether so.")],
        )
        source = "#!/bin/sh\n# One\n# block.\n#\n# Another.\nx=${#y}  # the first\nz=1  # the second\nhelp: ## of a target\n"
        self.assertEqual(
            sorted(comments.of_shell(source)),
            [(2, "One block."), (5, "Another."), (6, "the first"), (7, "the second"), (8, "of a target")],
        )


class Phrases(unittest.TestCase):
    def test_string_literals_with_a_space_are_read(self):
        source = (
            "// a \"comment here\"\n"
            "let a = \"name\"; let b = \"two {words:?} here\"; let c: &'a str = '\"';\n"
            'let d = r#"a "raw" one"#; let e = "an \\"escaped\\" \\\n    one"; let f = b"some bytes";\n'
        )
        self.assertEqual(
            list(comments.phrases_of_rust(source)),
            [(2, "two {} here"), (3, 'a "raw" one'), (3, 'an \\"escaped\\" one'), (4, "some bytes")],
        )


class Types(unittest.TestCase):
    def test_participles_adjectives_and_pronouns_name_no_thing(self):
        for bad in ["Told", "Serving", "SignedIn", "Unavailable", "By", "KeysOf", "What", "BlockReady", "Naive", "StoreUnavailable"]:
            self.assertTrue(check.names_no_thing(bad), bad)
        for good in ["Session", "KeyRestrictions", "RevocationNotice", "SignIn", "RoutingTable", "Seed", "Metered2Store", "ExpectedSignIn"]:
            self.assertFalse(check.names_no_thing(good), good)

    def test_names_of_files_are_nouns(self):
        for bad in ["src/naive.rs", "src/a/return_to.rs", "src/store_unavailable.rs", "a/signed-in.mjs"]:
            self.assertFalse(check.is_noun_file(Path(bad)), bad)
        for good in ["src/naive/matcher.rs", "src/onboarding.rs", "a/faulty-idp.mjs", ".ci/run"]:
            self.assertTrue(check.is_noun_file(Path(good)), good)

    def test_a_name_of_two_types_is_found_in_any_form_and_tests_are_left_out(self):
        files = {
            "a.rs": "pub struct Store;\nstruct Key;\n", "b.rs": "    struct Key;\n", "c/d.rs": "pub(super) type Store = u8;\nenum Kind {}\n",
            "c/tests.rs": "struct Kind;\n", "tests/e.rs": "enum Key {}\n",
        }
        self.assertEqual(check.repeated_types(files), [check.Violation("src", "Store: a.rs, c/d.rs")])


class Prose(unittest.TestCase):
    def test_code_fences_and_code_spans_are_no_prose(self):
        text = "# Title\n\nOne line\nand more.\n\n```sh\nWhat code\n```\n\n| a | Whether cell |\n- an item\n"
        prose = [content for _, content in check.prose_of_markdown(text)]
        self.assertEqual(prose, ["Title", "One line and more.", "a", "Whether cell", "an item"])
        self.assertEqual(check.without_code("see `What` at [it](docs/What.md)"), "see `code` at [it]")

    def test_messages_are_prose_and_their_ids_are_not(self):
        text = "# A comment\nwhat-id = A text\n    goes on\n    .label = Other\n"
        self.assertEqual([content for _, content in check.prose_of_fluent(text)], ["A comment", "A text", "goes on", "Other"])

    def test_comments_and_descriptions_of_yaml_are_prose(self):
        text = (
            "# One comment\n# goes on.\n#\n#     example: code\na: 1 # b\n{{/* A template's comment. */}}\n"
            "get:\n  summary: List keys\n  description: |\n    First line\n    and second.\n  other: x\n"
            '  f: {type: string, description: Plain text, example: x}\n  g: {description: "Quoted, text"}\n'
        )
        self.assertEqual(
            sorted(check.prose_of_yaml(text)),
            [(1, "One comment goes on."), (6, "A template's comment."), (8, "List keys"), (9, "First line and second."),
             (13, "Plain text"), (14, "Quoted, text")],
        )
        self.assertTrue(check.is_bad_start("Whether an Ingress is created."))
        self.assertFalse(check.is_bad_start("Which port does the listener use?"))

    def test_glossary_terms_are_whole_words_outside_of_names(self):
        terms = check.load_glossary()
        found = lambda text: any(term.pattern.search(text) for term in terms)
        for bad in ["the epoch moves", "Whoever asks", "sealed anew", "a child key"]:
            self.assertTrue(found(bad), bad)
        for good in ["session_epoch", "allow-epoch", "a reading list", "grandchildrens", "proof of possession"]:
            self.assertFalse(found(good), good)

    def test_words_with_another_meaning_in_code_are_only_looked_for_in_prose(self):
        terms = {term.instead: term for term in check.load_glossary()}
        self.assertFalse(terms['"single flight"'].is_for_code)
        self.assertTrue(terms['"again"'].is_for_code)


if __name__ == "__main__":
    unittest.main()
