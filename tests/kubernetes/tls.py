"""A temporary certificate authority and its certificates."""

import subprocess
import tempfile
from pathlib import Path


class Authority:
    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="authority-")
        self.folder = Path(self.temporary.name)
        self.openssl("req", "-x509", *self.key("ca"), "-days", "2", "-subj", "/CN=Authority of the tests", "-out", "ca.pem",
                     "-addext", "basicConstraints=critical,CA:TRUE")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    @staticmethod
    def key(name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]

    def text(self, name):
        return (self.folder / name).read_text()

    @property
    def certificate(self):
        return self.text("ca.pem")

    def issue(self, *hosts):
        """A certificate and its key for hosts, with the names of a TLS Secret."""
        names = ",".join(f"DNS:{host}" for host in hosts)
        self.openssl("req", *self.key("leaf"), "-subj", f"/CN={hosts[0][:60]}", "-out", "leaf.csr",
                     "-addext", f"subjectAltName={names}")
        self.openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                     "-copy_extensions", "copy", "-out", "leaf.pem")
        return {"tls.crt": self.text("leaf.pem"), "tls.key": self.text("leaf.key")}

    def signing_key(self):
        """A signing key for identity assertions."""
        self.openssl("genpkey", "-algorithm", "ed25519", "-out", "signing.key")
        return self.text("signing.key")
