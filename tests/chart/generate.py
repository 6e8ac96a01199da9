"""Generates the table of the chart's README, the manifests in deploy/kubernetes, and the chart's copy of the nginx template."""

import shutil

import manifests
import readme
from helm import CHART, ROOT

shutil.copy(ROOT / "deploy/nginx/vestibule.conf.template", CHART / "files")

readme.README.write_text(readme.rendered())
for name in manifests.stored():
    (manifests.FOLDER / name).unlink()
for name, text in manifests.rendered().items():
    (manifests.FOLDER / name).write_text(text)
