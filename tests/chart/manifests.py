"""The kustomize base in deploy/kubernetes: the chart's output without Helm's own labels and annotations."""

import re
import subprocess

from helm import ROOT, read_yaml, run

FOLDER = ROOT / "deploy/kubernetes"
HEADER = "# Generated from the chart by `make chart`; use an overlay instead of editing it.\n"
CONFIGURATION = "vestibule.yaml"


def rendered():
    """Maps file names to contents. Helm's text is kept, so that no YAML writer is needed."""
    text = run("template", "vestibule", ROOT / "charts/vestibule", "--values", FOLDER / "values.yaml", "--skip-tests",
               "--kube-version", "1.34.0")
    files = {}
    for document in re.split(r"(?m)^---\n", text):
        if not (source := re.match(r"# Source: vestibule/templates/([\w-]+)\.yaml\n", document)):
            continue
        name, body = f"{source[1]}.yaml", plain(document[source.end():])
        if source[1] == "configuration":
            files[CONFIGURATION] = HEADER + configuration(body)
        else:
            files[name] = files[name] + "---\n" + body if name in files else HEADER + body
    files["kustomization.yaml"] = kustomization(sorted(files))
    return files


def plain(text):
    """Removes the namespace, which the overlay sets, and the checksum: a change restarts the pods by the ConfigMap's new name."""
    drop = r"^ *(namespace: default|helm\.sh/chart: .*|app\.kubernetes\.io/managed-by: .*|vestibule/(?:configuration|rendered): .*)\n"
    text = re.sub(drop, "", text, flags=re.M)
    return re.sub(r"^ *annotations:\n(?= *spec:|data:)", "", text, flags=re.M)


def configuration(config_map):
    lines = config_map.split("  vestibule.yaml: |\n")[1].splitlines()
    return "".join(f"{line.removeprefix('    ')}\n" for line in lines)


def kustomization(names):
    resources = "".join(f"  - {name}\n" for name in names if name != CONFIGURATION)
    return f"""{HEADER}apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
{resources}configMapGenerator:
  - name: vestibule
    files: [{CONFIGURATION}]
"""


def stored():
    kept = {"README.md", "values.yaml"}
    return {path.name: path.read_text() for path in FOLDER.iterdir() if path.name not in kept}


def kustomized(folder):
    """Renders a folder with kustomize."""
    built = subprocess.run(["kubectl", "kustomize", ROOT / folder], capture_output=True, text=True, check=True)
    return read_yaml(built.stdout)
