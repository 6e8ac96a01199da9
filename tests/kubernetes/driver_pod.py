"""The driver's pod, which sends all traffic of the tests inside the cluster. Its program is in driver/."""

import json
import subprocess

import images
import kube
import pods
from paths import HERE

NAME = "driver"


class Driver:
    def __init__(self, namespace, authority):
        self.namespace = namespace
        files = {path.name: path.read_text() for path in sorted((HERE / "driver").glob("*.py"))}
        namespace.config_map("driver", files)
        namespace.config_map("driver-authority", {"ca.pem": authority.certificate})
        container = pods.container("driver", images.image("driver"), ["/driver/driver.py", "idle"], memory="512Mi",
                                   mounts={"program": "/driver", "authority": "/etc/driver", "tmp": "/tmp"})
        namespace.apply(pods.pod(NAME, container, volumes=[
            {"name": "program", "configMap": {"name": "driver"}},
            {"name": "authority", "configMap": {"name": "driver-authority"}},
            {"name": "tmp", "emptyDir": {}},
        ]))

    def command(self, name, arguments):
        return kube.command("--namespace", self.namespace.name, "exec", "--stdin", NAME, "--", "/usr/bin/python3", "-B",
                            "/driver/driver.py", name, json.dumps(arguments))

    def run(self, name, **arguments):
        """Runs a command and returns the lines of its output."""
        done = subprocess.run(self.command(name, arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"the driver's {name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def one(self, name, **arguments):
        return self.run(name, **arguments)[-1]

    def ask(self, url, **more):
        return self.one("ask", url=url, **more)

    def start(self, name, **arguments):
        return RunningCommand(self.command(name, arguments))


class RunningCommand:
    """A command that runs until `end`, which returns the rest of its output."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def line(self):
        text = self.process.stdout.readline()
        if not text:
            raise AssertionError(f"the driver has ended with {self.process.wait()}")
        return json.loads(text)

    def end(self):
        self.process.stdin.close()
        return [json.loads(line) for line in self.process.stdout]
