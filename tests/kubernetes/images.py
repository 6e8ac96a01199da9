"""Packs the tests' images from programs of this machine and imports them into the cluster.

    python3 images.py [NAME…]      packs them as archives in target/test-images

An existing cluster needs them in a registry: push them there and set TEST_REGISTRY.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from paths import PEERS, ROOT, TARGET

import cluster

FOLDER = TARGET / "test-images"
NONROOT = "65532:65532"
# Modules of Python that no program of the tests imports.
LEFT_OUT = {"__pycache__", "ensurepip", "idlelib", "lib2to3", "site-packages", "dist-packages", "test", "tests",
            "tkinter", "turtledemo", "pydoc_data"}


class MissingFileError(Exception):
    """A program that an image needs is not installed on this machine."""


def registry():
    return os.environ.get("TEST_REGISTRY", "localhost").rstrip("/")


def version():
    return re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]


def repository(name):
    return f"{registry()}/vestibule" if name == "vestibule" else f"{registry()}/vestibule-test-{name}"


def tag(name):
    return version() if name == "vestibule" else "1"


def image(name):
    return f"{repository(name)}:{tag(name)}"


def pull_policy():
    """An image of the same name in a registry may have changed."""
    return "IfNotPresent" if registry() == "localhost" else "Always"


def values(name):
    """An image in the format of the chart's values."""
    return {"repository": repository(name), "tag": tag(name), "pullPolicy": pull_policy()}


def program(name):
    found = shutil.which(name)
    if found is None:
        raise MissingFileError(f"{name} is not on this machine")
    return os.path.realpath(found)


def node():
    asked = subprocess.run(["node", "-p", "process.execPath"], capture_output=True, text=True, check=True)
    modules = [path for path in sorted((PEERS / "node_modules").iterdir())
               if path.is_dir() and not path.name.startswith(".") and path.name not in {"playwright-core", "axe-core"}]
    return ["--libs", f"{asked.stdout.strip()}:/usr/bin/node", *(f"{path}:/peers/node_modules/{path.name}" for path in modules),
            f"{PEERS}/idp:/peers/idp", f"{PEERS}/idp.mjs:/peers/idp.mjs", f"{PEERS}/upstream.mjs:/peers/upstream.mjs",
            f"{PEERS}/package.json:/peers/package.json", "--", "/usr/bin/node"]


def nginx():
    binary = PEERS / ".venv/peer-nginx"
    if not binary.exists():
        raise MissingFileError(f"{binary} is not there; run `make peers`")
    return ["--libs", f"{binary.resolve()}:/usr/sbin/nginx", "--", "/usr/sbin/nginx"]


def redis():
    return ["--libs", f"{program('redis-server')}:/usr/bin/redis-server", f"{program('redis-cli')}:/usr/bin/redis-cli",
            f"{program('sh')}:/bin/sh", "--", "/usr/bin/redis-server"]


def tools():
    """The image for `helm test`."""
    names = {"sh": "/bin/sh", "curl": "/usr/bin/curl", "grep": "/usr/bin/grep"}
    return ["--libs", *(f"{program(name)}:{place}" for name, place in names.items()), "--", "/bin/sh"]


def driver():
    return [*python(), "--", "/usr/bin/python3"]


def traefik():
    return [f"{wheels('traefik')}/bin/traefik:/usr/bin/traefik", "--", "/usr/bin/traefik"]


def litellm():
    folder = wheels("litellm")
    return [*python(), "--env", "PYTHONPATH=/opt/litellm", f"{folder}:/opt/litellm",
            "--", "/usr/bin/python3", "/opt/litellm/bin/litellm"]


def wheels(name):
    """The folder of a set of wheels, installed on demand."""
    subprocess.run([PEERS / "wheels/install.sh", name], check=True)
    return PEERS / "wheels" / name


def python():
    """This Python as /usr/bin/python3, with its modules at the same paths as on this machine."""
    binary, files = os.path.realpath(sys.executable), []
    for folder, folders, names in os.walk(sysconfig.get_path("stdlib")):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT and not name.startswith("config-"))
        files += [os.path.join(folder, name) for name in sorted(names)]
    return ["--libs", "--env", f"PYTHONHOME={sys.base_prefix}", "--env", "PYTHONDONTWRITEBYTECODE=1",
            f"{binary}:/usr/bin/python3", *(f"{path}:{path}" for path in files)]


RECIPES = {"node": node, "nginx": nginx, "redis": redis, "tools": tools, "driver": driver, "traefik": traefik, "litellm": litellm}


def archive(name):
    """The archive of an image, packed again only if its files have changed."""
    if name == "vestibule":
        return product()
    words = RECIPES[name]()
    out, made_of = FOLDER / f"{name}.tar", digest(words)
    stamp = FOLDER / f"{name}.made-of"
    if not (out.exists() and stamp.exists() and stamp.read_text() == made_of):
        FOLDER.mkdir(parents=True, exist_ok=True)
        print(f"images: packing {name}", file=sys.stderr)
        pack = [sys.executable, ROOT / "deploy/image/archive.py", f"localhost/vestibule-test-{name}:1", out, "--user", NONROOT,
                *words]
        subprocess.run(list(map(str, pack)), check=True)
        stamp.write_text(made_of)
    return out


def product():
    """Vestibule's own image, built by deploy/image/build.sh."""
    out = Path(os.environ.get("VESTIBULE_IMAGE", TARGET / "vestibule-image.tar"))
    if not out.exists():
        raise MissingFileError(f"{out} is not there; `make image` makes it, and VESTIBULE_IMAGE names another")
    return out


def digest(words):
    """The digest of a recipe and of the files that it refers to."""
    found = hashlib.sha256()
    for word in words:
        source = Path(word.partition(":")[0])
        within = source.rglob("*") if source.is_absolute() and source.is_dir() else [source]
        found.update(word.encode())
        for path in sorted(path for path in within if path.is_file()):
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def into_cluster(*names):
    """Imports images into the local cluster, unless the same archives were imported before."""
    for name in names:
        found = archive(name)
        stamp = FOLDER / f"{name}.made-of"
        content = hashlib.sha256((stamp if stamp.exists() else found).read_bytes()).hexdigest()
        marker = cluster.home() / "run/imported" / name
        if marker.exists() and marker.read_text() == content:
            continue
        marker.parent.mkdir(exist_ok=True)
        print(f"images: importing {name}", file=sys.stderr)
        inside = ROOT / "tests/cluster/in"
        subprocess.run([inside, "ctr", "images", "import", found.resolve()], check=True, stdout=subprocess.DEVNULL)
        marker.write_text(content)


def main():
    for name in sys.argv[1:] or RECIPES:
        out = archive(name)
        print(f"{out}: localhost/vestibule-test-{name}:1, {out.stat().st_size // 1_000_000} MB")


if __name__ == "__main__":
    main()
