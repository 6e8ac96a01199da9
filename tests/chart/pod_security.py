"""The `restricted` Pod Security Standard, and the chart's additional guarantees."""

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def pod_specs(objects):
    for one in objects:
        if one["kind"] == "Pod":
            yield one["spec"]
        elif one["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "Job"}:
            spec = one["spec"]["template"]["spec"]
            claims = [claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", [])]
            claimed = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
            yield {**spec, "volumes": spec.get("volumes", []) + claimed}


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def violations(spec):
    """The violations of the `restricted` level, as text."""
    pod = spec.get("securityContext", {})
    found = [f"the pod has {name}" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    found += [f"volume {volume['name']}" for volume in spec.get("volumes", []) if not (set(volume) - {"name"}) <= VOLUMES]
    found += ["the pod sets sysctls"] if pod.get("sysctls") else []
    for container in containers(spec):
        found += [f"{container['name']}: {what}" for what in of_container(container, pod)]
    return found


def of_container(container, pod):
    own = container.get("securityContext", {})
    both = {**pod, **own}
    capabilities = own.get("capabilities", {})
    if own.get("privileged"):
        yield "is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may escalate"
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
        yield "may be root"
    if both.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "has no seccomp profile"
    if capabilities.get("drop") != ["ALL"] or not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
        yield "keeps capabilities"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "has a hostPort"


def promises(spec):
    """The missing guarantees of Vestibule's container, as text."""
    found = ["the pod mounts a token into every container"] if spec.get("automountServiceAccountToken") is not False else []
    for container in containers(spec):
        mounts = container.get("volumeMounts", [])
        found += [f"{container['name']}: {mount['mountPath']} has a subPath" for mount in mounts if "subPath" in mount]
        if container["name"] == "vestibule" and container["securityContext"].get("readOnlyRootFilesystem") is not True:
            found.append("vestibule: its root can be written")
        if container["name"] != "vestibule" and any(mount["name"] == "vestibule-token" for mount in mounts):
            found.append(f"{container['name']}: has the token")
    return found
