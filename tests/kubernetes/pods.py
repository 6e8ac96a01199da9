"""Manifests of the tests' own pods and Services; every pod meets the `restricted` Pod Security Standard."""

import images


def container(name, image, arguments=(), ports=(), mounts=(), ready=None, cpu="20m", memory="256Mi", environment=()):
    """`mounts` maps volumes to paths. `ready` is the readiness probe."""
    made = {
        "name": name, "image": image, "imagePullPolicy": images.pull_policy(), "args": list(arguments),
        "env": [{"name": name, "value": value} for name, value in dict(environment).items()],
        "ports": [{"containerPort": port} for port in ports],
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in dict(mounts).items()],
        "resources": {"requests": {"cpu": cpu, "memory": "32Mi"}, "limits": {"memory": memory}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    }
    return made | ({"readinessProbe": {**ready, "periodSeconds": 1}} if ready else {})


def spec(container, volumes=(), grace=1):
    return {
        "automountServiceAccountToken": False, "enableServiceLinks": False, "terminationGracePeriodSeconds": grace,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                            "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container], "volumes": list(volumes),
    }


def pod(name, container, **more):
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec(container, **more)}


def deployment(name, container, replicas=1, **more):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": spec(container, **more)},
    }}


def service(name, ports):
    """`ports` maps the Service's ports to the pods' ports."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"app": name}}, "spec": {
        "selector": {"app": name},
        "ports": [{"name": f"port-{port}", "port": port, "targetPort": target} for port, target in ports.items()],
    }}
