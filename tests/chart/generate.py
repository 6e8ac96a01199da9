"""Generates the table of the chart's README and the manifests in deploy/kubernetes."""

import manifests
import readme

readme.README.write_text(readme.rendered())
for name in manifests.stored():
    (manifests.FOLDER / name).unlink()
for name, text in manifests.rendered().items():
    (manifests.FOLDER / name).write_text(text)
