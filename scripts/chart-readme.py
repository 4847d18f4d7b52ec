#!/usr/bin/env python3
"""Writes charts/longstride/README.md: the text here, and a table of what values.yaml says of itself.

Reads the one form that values.yaml is kept in: a comment above every value, two spaces a level, lists and objects that
are defaults as [..], {..} or deeper lines without comments.
"""

import pathlib
import re

CHART = pathlib.Path(__file__).resolve().parents[1] / "charts/longstride"

HEAD = """# The longstride chart

<!-- Generated from values.yaml by `make verify`; do not edit. -->

Installs the operator that runs TrainingJobs: the CustomResourceDefinition, two replicas of the controller of which one
leads, and the rights that they need.

    helm install longstride charts/longstride --namespace longstride-system --create-namespace \\
        --set image.repository=$REGISTRY/longstride/controller,worker.image.repository=$REGISTRY/longstride/worker
    helm test longstride --namespace longstride-system --timeout 10m --logs

`--create-namespace` makes the namespace without the label by which `manifests/install.yaml` has the restricted Pod Security
standard enforced in it. The controller keeps to that standard; to hold everything else there to it as well:

    kubectl label namespace longstride-system pod-security.kubernetes.io/enforce=restricted

The pod of `helm test` stays until the next test, so that `--logs` finds it; `helm uninstall` leaves it, too.

The [images](../../images/README.md) are yours to build and push.
[Operations](../../docs/operations.md#in-a-cluster) says how to upgrade and uninstall, which rights are given and why,
what travels unencrypted, and how to scrape metrics without the Prometheus operator. Without Helm:
`kubectl apply --server-side -f manifests/install.yaml` installs the same with the defaults below, but for two things: there
is no test, and nothing keeps the CustomResourceDefinition. `kubectl delete -f manifests/install.yaml` deletes it, and with it
every job of the cluster; it also deletes the namespace `longstride-system` with all that is in it, whoever made it.

On OpenShift the security context constraint `restricted-v2` gives pods a user of the namespace's range and refuses others:
install with `--set podSecurityContext.runAsUser=null`.

## Values

| value | default | meaning |
|---|---|---|
"""


def rows(lines):
    """(path, default, meaning) of each commented value."""
    path, comment, found = [], [], []
    for line in lines[2:]:  # the file's own comment stands first
        text = line.strip()
        if text.startswith("#"):
            comment.append(text.lstrip("# "))
            continue
        match = re.match(r"( *)([\w.-]+):(.*)$", line)
        if not match:
            if not comment and text and found and text.startswith("- "):
                found[-1][1].append(text)
            continue
        depth, name, value = len(match[1]) // 2, match[2], match[3].strip()
        path[depth:] = [name]
        if comment:
            found.append((".".join(path), [value] if value else [], " ".join(comment), depth))
            comment = []
        elif value and found and depth > found[-1][3] and ".".join(path).startswith(found[-1][0] + "."):
            found[-1][1].append(".".join(path)[len(found[-1][0]) + 1:] + ": " + value)
    return [(name, ", ".join(default), meaning) for name, default, meaning, _ in found]


def main():
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    table = "".join(f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |\n"
                    for name, default, meaning in rows(lines))
    (CHART / "README.md").write_text(HEAD + table, encoding="utf-8")


if __name__ == "__main__":
    main()
