#!/usr/bin/env python3
"""The Helm chart renders what it promises. Skipped (exit code 77) where there is no helm: see scripts/helm.sh."""

import pathlib
import re
import subprocess
import sys
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/longstride"
HELM = subprocess.run([ROOT / "scripts/helm.sh"], capture_output=True, text=True, check=False).stdout.strip()


def helm(*arguments):
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)


def template(*sets):
    flags = [flag for each in sets for flag in ("--set", each)]
    return helm("template", "longstride", str(CHART), "--namespace", "longstride-system",
                "--kube-version", "1.34.4", *flags)


def documents(*sets):
    """The rendered objects, as text."""
    result = template(*sets)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return [text for text in re.split(r"^---$", result.stdout, flags=re.M) if re.search(r"^kind:", text, re.M)]


def kind(text):
    return re.search(r"^kind: (\w+)", text, re.M)[1]


def name(text):
    return re.search(r"^  name: (\S+)", text, re.M)[1]


def only(wanted, *sets):
    """The one rendered object of a kind."""
    found = [t for t in documents(*sets) if kind(t) == wanted]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} of kind {wanted}")
    return found[0]


def block(text, key):
    """The lines under the first such key, without their common indentation."""
    match = re.search(rf"^( *){key}:\n((?:\1 .*\n?)+)", text, re.M)
    return textwrap.dedent(match[2]).splitlines() if match else []


def listed(text, key):
    match = re.search(rf"{key}: \[([^\]]*)\]", text)
    return match[1].replace('"', "").split(", ") if match else []


def rights(*sets):
    """A line for each right of each role: 'Role longstride-leader: get,update leases.coordination.k8s.io [longstride]'."""
    lines = []
    for text in documents(*sets):
        if kind(text) not in ("Role", "ClusterRole") or "helm.sh/hook" in text:
            continue
        for rule in re.split(r"^  - ", text.split("\nrules:\n")[1], flags=re.M)[1:]:
            names = listed(rule, "resourceNames")
            for group in listed(rule, "apiGroups"):
                for resource in listed(rule, "resources"):
                    lines.append(f"{kind(text)} {name(text)}: {','.join(listed(rule, 'verbs'))} "
                                 f"{resource}{'.' + group if group else ''}"
                                 f"{' [' + ','.join(names) + ']' if names else ''}")
    return sorted(lines)


class Chart(unittest.TestCase):
    def test_lint_is_clean(self):
        for sets in ([], ["singleNamespace=true"], ["dashboards.enabled=true", "metrics.podMonitor.enabled=true"]):
            flags = [flag for each in sets for flag in ("--set", each)]
            result = helm("lint", "--strict", str(CHART), *flags)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_rights_are_those_that_were_agreed_on(self):
        for file, sets in (("rights.txt", []), ("rights-single-namespace.txt", ["singleNamespace=true"])):
            agreed = (ROOT / "tests/chart" / file).read_text(encoding="utf-8").splitlines()
            self.assertEqual(rights(*sets), agreed, f"tests/chart/{file} lists what was agreed on")

    def test_only_token_review_and_users_roles_are_of_the_cluster_in_a_single_namespace(self):
        roles = {name(t) for t in documents("singleNamespace=true") if kind(t) == "ClusterRole"}
        prefix = "longstride-system-longstride-"
        self.assertEqual(roles, {prefix + "token-review", prefix + "edit", prefix + "view"})
        bound = [t for t in documents("singleNamespace=true") if kind(t) == "ClusterRoleBinding"]
        self.assertEqual([name(t) for t in bound], [prefix + "token-review"])

    def test_the_custom_resource_is_optional_and_kept(self):
        crd = [t for t in documents() if kind(t) == "CustomResourceDefinition"]
        self.assertEqual(len(crd), 1)
        self.assertIn("helm.sh/resource-policy: keep", crd[0])
        self.assertNotIn("resource-policy", "".join(
            t for t in documents("crds.keep=false") if kind(t) == "CustomResourceDefinition"))
        self.assertNotIn("CustomResourceDefinition", [kind(t) for t in documents("crds.enabled=false")])

    def test_two_replicas_have_a_disruption_budget_and_one_has_none(self):
        self.assertIn("PodDisruptionBudget", [kind(t) for t in documents()])
        self.assertNotIn("PodDisruptionBudget", [kind(t) for t in documents("replicas=1")])

    def test_a_replica_that_is_not_ready_does_not_hold_up_the_draining_of_its_node(self):
        self.assertIn("\n  unhealthyPodEvictionPolicy: AlwaysAllow\n", only("PodDisruptionBudget"))

    def test_a_digest_is_used_in_place_of_a_tag(self):
        digest = "sha256:" + 64 * "a"
        text = only("Deployment", f"image.digest={digest}", "image.tag=night", f"worker.image.digest={digest}")
        self.assertIn(f"image: longstride/controller@{digest}\n", text)
        self.assertIn(f"- --worker-image=longstride/worker@{digest}\n", text)
        self.assertIn(f"image: longstride/controller@{digest}\n", only("Pod", f"image.digest={digest}"))
        plain = only("Deployment", "image.tag=night")
        self.assertIn("image: longstride/controller:night\n", plain)
        self.assertRegex(plain, r"--worker-image=longstride/worker:\d+\.\d+\.\d+\n")

    def test_replicas_prefer_unlike_nodes_and_can_be_spread_otherwise(self):
        plain = only("Deployment")
        self.assertIn("topologyKey: kubernetes.io/hostname", plain)
        self.assertNotIn("topologySpreadConstraints", plain)
        constraint = [f"topologySpreadConstraints[0].{each}" for each in
                      ("maxSkew=1", "topologyKey=zone", "whenUnsatisfiable=ScheduleAnyway")]
        selector = block(plain, "matchLabels")
        self.assertEqual(block(only("Deployment", *constraint), "topologySpreadConstraints"),
                         ["- maxSkew: 1", "  topologyKey: zone", "  whenUnsatisfiable: ScheduleAnyway",
                          "  labelSelector:", "    matchLabels:", *("      " + label for label in selector)])
        own = only("Deployment", *constraint, "topologySpreadConstraints[0].labelSelector.matchLabels.team=red")
        self.assertEqual(block(own, "topologySpreadConstraints"),
                         ["- labelSelector:", "    matchLabels:", "      team: red", "  maxSkew: 1",
                          "  topologyKey: zone", "  whenUnsatisfiable: ScheduleAnyway"])

    def test_more_peers_may_reach_the_coordinator_and_no_other_port(self):
        def rules(*sets):
            return re.split(r"^    - (?=ports:)", only("NetworkPolicy", *sets), flags=re.M)[1:]
        plain = rules()
        coordinator, metrics = rules("networkPolicy.extraFrom[0].ipBlock.cidr=10.0.0.0/8")
        self.assertEqual(metrics, plain[1])
        self.assertEqual(block(coordinator, "from"),
                         block(plain[0], "from") + ["- ipBlock:", "    cidr: 10.0.0.0/8"])

    def test_the_coordinator_has_no_selector_and_its_secret_no_contents(self):
        services = {name(t): t for t in documents() if kind(t) == "Service"}
        self.assertNotRegex(services["longstride-coordinator"], r"(?m)^  selector:")
        secret = next(t for t in documents() if kind(t) == "Secret")
        self.assertNotRegex(secret, r"(?m)^(data|stringData):")

    def test_monitors_and_dashboards_come_when_asked_for(self):
        plain = [kind(t) for t in documents()]
        self.assertFalse({"ServiceMonitor", "PodMonitor"} & set(plain))
        asked = documents("metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true",
                          "dashboards.enabled=true")
        self.assertLessEqual({"ServiceMonitor", "PodMonitor"}, {kind(t) for t in asked})
        boards = [t for t in asked if kind(t) == "ConfigMap" and 'grafana_dashboard: "1"' in t]
        self.assertEqual(len(boards), len(list((ROOT / "dashboards").glob("*.json"))))

    def test_who_may_reach_metrics_is_said_to_the_controller_too(self):
        def deployment(*sets):
            return next(t for t in documents(*sets) if kind(t) == "Deployment")
        self.assertNotIn("--metrics-from", deployment())
        peers = "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=watch"
        self.assertIn(r'''- "--metrics-from=[{\"namespaceSelector\":{\"matchLabels\":{\"team\":\"watch\"}}}]"''',
                      deployment(peers))

    def test_every_pod_of_the_chart_and_its_test_has_the_pull_secrets(self):
        def with_secret(*sets):
            return sum(len(re.findall(r"imagePullSecrets:\n +- name: registry$", t, re.M)) for t in documents(*sets))
        self.assertEqual(with_secret(), 0)
        self.assertNotIn("workers:", "".join(t for t in documents() if "job.yaml" in t))
        self.assertEqual(with_secret("imagePullSecrets[0]=registry"), 3, "controller, helm test, the workers of its job")

    def test_pods_pass_the_restricted_standard(self):
        for text in (t for t in documents() if kind(t) in ("Deployment", "Pod")):
            for line in ("runAsNonRoot: true", "type: RuntimeDefault", "allowPrivilegeEscalation: false",
                         "drop: [ALL]", "readOnlyRootFilesystem: true"):
                self.assertIn(line, text)

    def test_the_security_context_of_pods_is_merged_and_null_removes_a_key(self):
        for each in ("Deployment", "Pod"):
            self.assertEqual(block(only(each), "securityContext"),
                             ["runAsGroup: 65532", "runAsNonRoot: true", "runAsUser: 65532", "seccompProfile:",
                              "  type: RuntimeDefault"])
            changed = only(each, "podSecurityContext.runAsUser=null", "podSecurityContext.runAsGroup=7")
            self.assertEqual(block(changed, "securityContext"),
                             ["runAsGroup: 7", "runAsNonRoot: true", "seccompProfile:", "  type: RuntimeDefault"])

    def test_the_charts_test_and_its_job_run_where_the_controller_may(self):
        selector, tolerations = ["disk: ssd"], ["- key: gpu", "  operator: Exists"]
        sets = ["nodeSelector.disk=ssd", "tolerations[0].key=gpu", "tolerations[0].operator=Exists"]
        for each in ("Deployment", "Pod", "ConfigMap"):
            self.assertEqual(block(only(each), "nodeSelector") + block(only(each), "tolerations"), [])
            self.assertEqual(block(only(each, *sets), "nodeSelector"), selector)
            self.assertEqual(block(only(each, *sets), "tolerations"), tolerations)
        job = only("ConfigMap", *sets)
        self.assertEqual(block(job, "workers")[:3], ["- name: worker", "  template:", "    spec:"])

    def test_the_charts_test_ends_before_helm_gives_it_up_and_leaves_its_log(self):
        pod = only("Pod")
        self.assertLess(int(re.search(r"--timeout=(\d+)", pod)[1]), 300, "helm's default")
        self.assertNotIn("hook-succeeded", pod, "helm reads logs after it has deleted what succeeded")

    def test_values_that_make_no_sense_are_refused(self):
        for wrong in ("replica=2", "replicas=two", "coordinator.port=0", "image.pullPolicy=Sometimes",
                      "fullnameOverride=Not_A_Name", "metrics.podMonitor.interval=often",
                      "networkPolicy.metricsFrom[0].pods=all", "networkPolicy.extraFrom[0].pods=all",
                      "image.digest=latest", "worker.image.digest=sha256:abc", "podSecurityContext.runAsUser=nobody",
                      "topologySpreadConstraints[0].maxSkew=1"):
            with self.subTest(wrong):
                self.assertNotEqual(template(wrong).returncode, 0)

    def test_the_schema_knows_every_value(self):
        result = helm("lint", str(CHART), "--values", str(CHART / "values.yaml"))
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_the_manifest_for_kubectl_is_fresh(self):
        fresh = subprocess.run([ROOT / "scripts/install-manifest.sh"], capture_output=True, text=True, check=True)
        self.assertEqual(fresh.stdout, (ROOT / "manifests/install.yaml").read_text(encoding="utf-8"),
                         "stale: scripts/install-manifest.sh > manifests/install.yaml")


if __name__ == "__main__":
    if not HELM:
        print("no helm: skipped")
        sys.exit(77)
    unittest.main()
