#!/usr/bin/env python3
"""Packs files as an image archive for `docker load` and `ctr images import`, without a Docker engine.

    archive.py IMAGE OUT.tar [--libs] [--user ID] [--port PORT]... [--label NAME=VALUE]... [--env NAME=VALUE]...
               SOURCE[:DESTINATION]... -- ENTRYPOINT...

Without a destination, a file is placed in the root directory under its own name.
--libs adds the shared libraries and the loader of the programs among the files.
The archive is reproducible: it contains no times and no user names.
"""

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile

PASSWD = b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
GROUP = b"root:x:0:\nnonroot:x:65532:\n"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layer:
    """The root file system, as the only layer of the image."""

    def __init__(self):
        self.bytes, self.seen = io.BytesIO(), set()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w")

    def folder(self, path, mode=0o755):
        if not path or path in self.seen:
            return
        self.folder(os.path.dirname(path))
        self.entry(path, tarfile.DIRTYPE, mode)

    def file(self, path, content, mode):
        if path in self.seen:
            return
        self.folder(os.path.dirname(path))
        self.entry(path, tarfile.REGTYPE, mode, content)

    def link(self, path, target):
        self.folder(os.path.dirname(path))
        self.entry(path, tarfile.SYMTYPE, 0o777, target=target)

    def entry(self, path, kind, mode, content=b"", target=""):
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.size, info.linkname = kind, mode, len(content), target
        self.tar.addfile(info, io.BytesIO(content))
        self.seen.add(path)

    def add(self, source, path, libraries):
        if os.path.isdir(source):
            for name in sorted(os.listdir(source)):
                self.add_within(os.path.join(source, name), os.path.join(path, name), libraries)
            return
        with open(source, "rb") as file:
            content = file.read()
        self.file(path, content, os.stat(source).st_mode & 0o777 | 0o444)
        if libraries and content.startswith(b"\x7fELF"):
            self.add_libraries(source)

    def add_within(self, source, path, libraries):
        """Replaces a link in a folder with its target, unless both are in the same folder."""
        if not os.path.exists(source):
            return
        if os.path.islink(source) and "/" not in os.readlink(source):
            self.link(path, os.readlink(source))
        else:
            self.add(source, path, libraries)

    def add_libraries(self, program):
        linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+\.so\S*)", linked):
            with open(library, "rb") as file:
                self.file(library.lstrip("/"), file.read(), 0o755)

    def close(self):
        self.tar.close()
        return self.bytes.getvalue()


def configuration(given, layer):
    """The image's configuration, in the terms of the OCI image specification."""
    return {
        "architecture": ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {
            "User": given.user,
            "ExposedPorts": {f"{port}/tcp": {} for port in given.port},
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *given.env],
            "Entrypoint": given.entrypoint,
            "WorkingDir": "/",
            "Labels": dict(label.split("=", 1) for label in given.label),
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
        "history": [{"created_by": "archive.py"}],
    }


def write(out, image, config, layer):
    config = json.dumps(config, sort_keys=True).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [image], "Layers": ["layer.tar"]}]).encode()
    # Written under a temporary name first, so that an interrupted run leaves no incomplete archive.
    with tarfile.open(out + ".new", "w") as archive:
        for entry, content in ((name, config), ("layer.tar", layer), ("manifest.json", manifest)):
            info = tarfile.TarInfo(entry)
            info.size, info.mode = len(content), 0o644
            archive.addfile(info, io.BytesIO(content))
    os.replace(out + ".new", out)


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("image")
    parser.add_argument("out")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--libs", action="store_true")
    parser.add_argument("--user", default="")
    for several in ("--port", "--label", "--env"):
        parser.add_argument(several, action="append", default=[])
    words = os.sys.argv[1:]
    split = words.index("--")
    given = parser.parse_intermixed_args(words[:split])
    given.entrypoint = words[split + 1:]
    return given


def main():
    given, layer = arguments(), Layer()
    layer.folder("tmp", 0o1777)
    layer.file("etc/passwd", PASSWD, 0o644)
    layer.file("etc/group", GROUP, 0o644)
    for one in given.files:
        source, _, destination = one.partition(":")
        layer.add(source, (destination or os.path.basename(source)).lstrip("/"), given.libs)
    content = layer.close()
    write(given.out, given.image, configuration(given, content), content)


main()
