"""Consistency of schema, values and documentation, of generated files, of metrics in alerts and dashboard, and of the image."""

import json
import re
import shutil
import unittest

import manifests
import readme
from helm import CHART, CI, ROOT, objects_of, pick, read_yaml

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# Labels that Prometheus or the operator adds to every series.
OF_THE_SCRAPE = {"namespace", "job", "pod", "le"}


def resolved(node):
    return SCHEMA["definitions"][node["$ref"].split("/")[-1]] if "$ref" in node else node


def leaves(node, path=""):
    """The paths of all fields. `[]` is an item of a list."""
    if path == "roleMap.document":
        return {path}
    node = resolved(node)
    if "properties" in node:
        return {leaf for name, one in node["properties"].items() for leaf in leaves(one, f"{path}.{name}" if path else name)}
    if node.get("type") == "array" and "properties" in resolved(node["items"]):
        return leaves(node["items"], f"{path}[]")
    return {path}


def documented_fields():
    """The path of every field in docs/configuration.md."""
    reference = (ROOT / "docs/configuration.md").read_text().split("<!-- reference: begin -->")[1]
    fields, section = set(), ""
    for line in reference.splitlines():
        if title := re.fullmatch(r"### `(.+)`", line):
            section = f"{title[1]}."
        elif (field := re.match(r"\| `([\w]+)` \|", line)):
            fields.add(section + field[1])
    return fields


class GeneratedFiles(unittest.TestCase):
    HINT = "is not what the chart makes; run `make chart`"

    def test_the_readme_is_up_to_date(self):
        self.assertTrue(readme.README.read_text() == readme.rendered(), f"{readme.README} {self.HINT}")

    def test_the_manifests_are_up_to_date(self):
        made, stored = manifests.rendered(), manifests.stored()
        self.assertEqual(set(stored), set(made))
        for name, text in made.items():
            self.assertTrue(stored[name] == text, f"{manifests.FOLDER / name} {self.HINT}")

    def test_kustomize_accepts_the_manifests(self):
        self.assertIsNotNone(shutil.which("kubectl"), "needs kubectl, which has kustomize")
        objects = manifests.kustomized(manifests.FOLDER)
        config_map = next(one["metadata"]["name"] for one in pick(objects, "ConfigMap") if "vestibule.yaml" in one["data"])
        self.assertRegex(config_map, r"^vestibule-\w{10}$")
        self.assertIn(config_map, json.dumps(pick(objects, "Deployment")))


class Schema(unittest.TestCase):
    def test_every_object_rejects_unknown_fields(self):
        # The binary validates role maps. The schema only has the fields whose values Helm would change.
        role_maps = {"/properties/roleMap/properties/document", "/definitions/roleMapRule"}

        def walk(node, path):
            if isinstance(node, dict) and path not in role_maps:
                if "properties" in node:
                    self.assertIs(node.get("additionalProperties"), False, path)
                for name, one in node.items():
                    walk(one, f"{path}/{name}")

        walk(SCHEMA, "")

    def test_the_schema_has_exactly_the_fields_of_values_yaml(self):
        fields = {path for _, rows in readme.sections() for path, _, _ in rows}
        # The values contain only the required field of Vestibule's configuration.
        known = {path.split("[]")[0] for path in leaves(SCHEMA) if not path.startswith("config.")} | {"config", "config.public_url"}
        self.assertEqual(fields, known)

    def test_config_has_exactly_the_documented_fields_except_secrets_and_those_of_the_chart(self):
        own = ("listen.", "role_map.", "shutdown.")
        secrets = {field.removesuffix("_file") for field in documented_fields() if field.endswith("_file")} - {"providers[].ca", "token_issuers[].ca"}
        wanted = {field for field in documented_fields() if not field.startswith(own)} - secrets - {"replicas", "key_ring_file"}
        self.assertGreater(len(wanted), 30)
        self.assertEqual({path.removeprefix("config.") for path in leaves(SCHEMA) if path.startswith("config.")}, wanted)


class Permissions(unittest.TestCase):
    def test_the_redis_user_has_the_documented_permissions(self):
        page, script = (ROOT / "docs/store.md").read_text(), (ROOT / "deploy/redis/node.sh").read_text()
        listed = set(re.search(r"(?m)^user vestibule on (.+)$", page)[1].split()) | {"+cluster|info", "+cluster|slots"}
        given = re.search(r"vestibule_commands\(\) \{(.+?)\}", script, re.S)[1]
        commands = {word for word in listed if word.startswith(("+", "-"))}
        self.assertEqual(set(re.findall(r"[+-][@\w|]+", given)), commands)


class Metrics(unittest.TestCase):
    """Alerts and dashboard use existing metrics only."""

    def setUp(self):
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
        self.labels = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in rows}
        self.kinds = {name: kind for name, kind, _ in rows}
        self.words = set(re.findall(r'=> "(\w+)"', (ROOT / "src/metrics/labels.rs").read_text()))
        self.assertGreater(min(len(self.labels), len(self.words)), 20)

    def rules(self):
        rule = pick(objects_of(CHART / "ci/deployment-values.yaml"), "PrometheusRule")[0]
        return [one["expr"] for group in rule["spec"]["groups"] for one in group["rules"]]

    def dashboard(self):
        board = json.loads((ROOT / "deploy/grafana/vestibule.json").read_text())
        return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]

    def known(self, series):
        base = re.sub(r"_(bucket|sum|count)$", "", series)
        return base if self.kinds.get(base) == "histogram" else series

    def verify(self, expressions):
        self.assertTrue(expressions)
        for expression in expressions:
            with self.subTest(expression):
                used = {self.known(series) for series in re.findall(r"\bvestibule_\w+", re.sub(r'"[^"]*"', "", expression))}
                self.assertLessEqual(used, set(self.labels))
                labels = set().union(OF_THE_SCRAPE, *(self.labels[name] for name in used))
                self.assertLessEqual(set(re.findall(r"(\w+)=~?\"", expression)), labels)
                for grouped in re.findall(r"by \(([^)]*)\)", expression):
                    self.assertLessEqual(set(re.split(r",\s*", grouped)), labels)
                for value in re.findall(r'(?:outcome|result|reason|operation)=~?"([^"]*)"', expression):
                    self.assertLessEqual(set(value.split("|")), self.words)
                self.assertEqual(expression.count("("), expression.count(")"))

    def test_alerts_use_documented_metrics_labels_and_values(self):
        self.verify(self.rules())

    def test_the_dashboard_uses_documented_metrics_labels_and_values(self):
        self.verify(self.dashboard())

    def test_the_dashboard_shows_every_documented_metric(self):
        shown = {self.known(series) for series in re.findall(r"\bvestibule_\w+", " ".join(self.dashboard()))}
        self.assertEqual(set(self.labels) - shown, set())


class Image(unittest.TestCase):
    DOCKERFILE = (ROOT / "Dockerfile").read_text()

    def test_user_and_ports_match_the_chart(self):
        values = read_yaml((CHART / "values.yaml").read_text())[0]
        user = f"{values['securityContext']['runAsUser']}:{values['securityContext']['runAsGroup']}"
        self.assertEqual(re.findall(r"(?m)^USER (\S+)$", self.DOCKERFILE), [user])
        exposed = re.findall(r"(?m)^EXPOSE (.+)$", self.DOCKERFILE)[0].split()
        self.assertEqual(set(exposed), {str(port) for port in values["ports"].values()})

    def test_the_entry_point_is_the_binary_and_the_chart_sets_only_arguments(self):
        entry = json.loads(re.search(r"(?m)^ENTRYPOINT (.+)$", self.DOCKERFILE)[1])
        self.assertEqual(entry, ["/usr/bin/vestibule"])
        self.assertIn(f"/target/dist/vestibule {entry[0]}\n", self.DOCKERFILE)
        container = pick(objects_of(CI[0]), "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]
        self.assertNotIn("command", container)

    def test_every_copied_file_exists_and_is_not_ignored(self):
        sent = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        copied = set()
        for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", self.DOCKERFILE):
            copied.update(line.split()[:-1])
        self.assertEqual(copied, sent)
        self.assertEqual({name for name in copied if not (ROOT / name).exists()}, set())

    def test_every_file_that_the_build_needs_is_copied(self):
        copied = {name for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", self.DOCKERFILE) for name in line.split()[:-1]}
        for source in (ROOT / "src").rglob("*.rs"):
            for included in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', source.read_text()):
                path = (source.parent / included).resolve().relative_to(ROOT)
                outside = path.parts[0] not in {"src", "templates"} and path.as_posix() not in copied
                self.assertTrue(not outside or "tests" in source.with_suffix("").parts, f"{source} includes {path}")

    def test_versions_agree(self):
        version = re.search(r'(?m)^version = "(.+)"$', (ROOT / "Cargo.toml").read_text())[1]
        chart = (CHART / "Chart.yaml").read_text()
        self.assertIn(f'image.version="{version}"', self.DOCKERFILE)
        self.assertIn(f"\nappVersion: {version}\n", chart)

    def test_the_builder_image_meets_the_minimum_version(self):
        floor = re.search(r'(?m)^rust-version = "(.+)"$', (ROOT / "Cargo.toml").read_text())[1]
        builder = re.search(r"(?m)^FROM rust:([\d.]+)-", self.DOCKERFILE)[1]
        self.assertGreaterEqual([int(part) for part in builder.split(".")], [int(part) for part in floor.split(".")])


if __name__ == "__main__":
    unittest.main()
