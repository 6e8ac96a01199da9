"""Holds the check of imports between modules against good and bad sources."""

import unittest

import modules

DOCUMENT = """
## Modules, in reading order

| module | its job |
| --- | --- |
| `http` | pages of `users` |
| `users`, `store` | records |
| `clock` | time |

## Allowed imports

```text
http     -> users (their pages),
            store
users    -> store
store, clock -> no other module
```

## Other
"""
GOOD = {
    "lib.rs": "pub mod http;\n#[cfg(test)]\nmod docs;\n",
    "http.rs": "use crate::users::User;\n",
    "http/page.rs": "use super::super::store::{self, Key};\nuse super::users;\n",
    "http/users.rs": "",
    "users.rs": "use crate::{store};\n",
    "store.rs": "",
    "clock.rs": "",
    "docs.rs": "use crate::http;\n",
}


def violations(**changed):
    files = GOOD | {name.replace("_", "/") + ".rs": text for name, text in changed.items()}
    return modules.check_imports(files, DOCUMENT)[0]


class Imports(unittest.TestCase):
    def names(self, code, depth=1):
        return sorted(modules.imported_names(modules.code_of(code), depth))

    def test_paths_and_groups_are_read_and_text_is_not(self):
        code = """use crate::{
            a::{self, b::C as D},
            e,
        };
        // crate::comment
        fn f<'a>(x: &'a str) -> char { let _ = ("crate::text", r#"crate::raw "x""#, '"', '\\''); crate::g::h(); '"' }
        """
        self.assertEqual(self.names(code), ["a", "e", "g"])

    def test_only_as_many_supers_as_modules_lead_to_the_root(self):
        self.assertEqual(self.names("use super::a;\nuse super::super::b;"), ["a"])
        self.assertEqual(self.names("use super::a;\nuse super::super::{b::X, c};", depth=2), ["b", "c"])

    def test_code_for_tests_does_not_count(self):
        code = """
        #[cfg(test)]
        use crate::{a, b};
        #[cfg(test)]
        pub fn f() { crate::c::d(); }
        use crate::e;
        #[cfg(test)]
        mod tests { use crate::{f, g}; fn x() {} }
        """
        self.assertEqual(self.names(code), ["e"])

    def test_the_list_is_complete_and_contains_no_import_without_a_use(self):
        self.assertEqual(violations(), [])
        self.assertEqual(violations(users="use crate::clock::Clock;"), [
            "src/users.rs: users -> clock is not allowed", "users -> store is allowed, but not imported",
        ])
        self.assertEqual(violations(http="use crate::users;", http_page=""), ["http -> store is allowed, but not imported"])
        self.assertEqual(violations(scim=""), ["module scim is not in the list", "module scim is not in the table"])

    def test_paths_of_the_document_exist(self):
        files = GOOD | {"store/redis.rs": "pub struct Redis;\npub fn start() {}\n"}
        known = "`store::redis`, `store::redis::Redis`, `store::redis::start`, `Redis::start` and `clock`"
        self.assertEqual(modules.unknown_paths(files, known), [])
        unknown = modules.unknown_paths(files, "`store::memory`, `redis::start`, `store::redis::stop`")
        self.assertEqual(unknown, ["there is no redis::start", "there is no store::memory", "there is no store::redis::stop"])

    def test_a_cycle_is_found(self):
        found = violations(store="use crate::users::User;")
        self.assertEqual(found, [
            "src/store.rs: store -> users is not allowed", "store imports itself through other modules",
            "users imports itself through other modules",
        ])


if __name__ == "__main__":
    unittest.main()
