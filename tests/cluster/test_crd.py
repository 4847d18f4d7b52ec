"""The CustomResourceDefinition and the chart, as the API server judges them; no controller acts on what is made here."""
import json
import pathlib
import re

import harness

ROOT = harness.REPOSITORY
CHART = ROOT / "charts/longstride"
BROKEN = sorted((ROOT / "tests/core/spec/broken").iterdir())
# What `longstride run` refuses and a cluster takes, as another job than was written or the same, and why.
ACCEPTED = dict(
    line.split(": ", 1)
    for line in pathlib.Path(__file__).with_name("accepted_by_crd.txt").read_text(encoding="utf-8").splitlines())


def wait_established():
    """kubectl wait fails at once on a definition that is so new that it has no conditions yet."""
    harness.wait_for("established definition", lambda: harness.kubectl(
        "wait", "--for=condition=Established", "--timeout=20s", "crd/trainingjobs.longstride.dev"), 30)


class CrdTest(harness.ClusterTest):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(harness.kubectl, "delete", "crd", "trainingjobs.longstride.dev")
        harness.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(CHART / "files/crd.yaml"))
        wait_established()

    def dry_run(self, manifest):
        """What the API server says against a manifest; empty if nothing."""
        try:
            self.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename", str(manifest))
        except harness.CommandFailed as failure:
            return failure.stderr
        return ""

    def test_shipped_manifests_are_accepted(self):
        for manifest in sorted((ROOT / "manifests").glob("*.yaml")):
            if manifest.name != "install.yaml":
                with self.subTest(manifest.name):
                    self.assertEqual(self.dry_run(manifest), "")

    def test_broken_manifests_are_refused_at_apply_time(self):
        refused = 0
        for manifest in BROKEN:
            with self.subTest(manifest.name):
                complaint = self.dry_run(manifest)
                refused += bool(complaint)
                if manifest.name in ACCEPTED:
                    self.assertEqual(complaint, "", "refused now: take it off accepted_by_crd.txt")
                else:
                    self.assertNotEqual(complaint, "", ACCEPTED)
        self.assertGreaterEqual(refused, 40)

    def test_the_spec_is_immutable_unless_suspended(self):
        text = (ROOT / "manifests/synthetic-smoke.yaml").read_text(encoding="utf-8")
        self.kubectl("apply", "--filename", "-", stdin=re.sub(r"(?m)^  name: .*", "  name: smoke", text, count=1))

        def patch(spec):
            self.kubectl("patch", "trainingjob/smoke", "--type=merge", "--patch", '{"spec":' + spec + "}")

        for spec in ('{"seed":2}', '{"runPolicy":{"shedStragglers":true}}', '{"training":{"maxEpochs":4}}',
                     '{"runPolicy":{"managedBy":"kueue.x-k8s.io/multikueue"}}',
                     '{"limits":{"maxGlobalBatch":4096}}',
                     '{"workers":[{"name":"worker","template":{"metadata":{"labels":{"a":"b"}}}}]}'):
            with self.subTest(spec), self.assertRaisesRegex(harness.CommandFailed, "cannot change"):
                patch(spec)
        patch('{"runPolicy":{"suspend":true}}')
        patch('{"seed":2,"limits":{"maxGlobalBatch":4096},"runPolicy":{"suspend":false}}')
        with self.assertRaisesRegex(harness.CommandFailed, "cannot change"):
            patch('{"seed":3}')

    def test_what_the_operator_alone_judges_may_change_at_any_time(self):
        text = (ROOT / "manifests/synthetic-smoke.yaml").read_text(encoding="utf-8")
        self.kubectl("apply", "--filename", "-", stdin=re.sub(r"(?m)^  name: .*", "  name: smoke", text, count=1))
        policy = {"activeDeadlineSeconds": 3600, "backoffLimit": 3, "backoffLimitPerWorker": 2, "cleanPodPolicy": "all",
                  "startTimeoutSeconds": 30, "suspendGraceSeconds": 40, "ttlSecondsAfterFinished": 50}
        self.kubectl("patch", "trainingjob/smoke", "--type=merge", "--patch",
                     json.dumps({"spec": {"runPolicy": policy}}))
        kept = self.get("tj", "smoke")["spec"]["runPolicy"]
        self.assertEqual({name: kept[name] for name in policy}, policy)

    def test_replicas_scale_within_the_groups_bounds(self):
        text = (ROOT / "manifests/synthetic-smoke.yaml").read_text(encoding="utf-8")
        self.kubectl("apply", "--filename", "-", stdin=re.sub(r"(?m)^  name: .*", "  name: smoke", text, count=1))
        self.kubectl("scale", "trainingjob/smoke", "--replicas=3")
        self.assertEqual(self.get("tj", "smoke")["spec"]["replicas"], 3)
        with self.assertRaisesRegex(harness.CommandFailed, "replicas"):
            self.kubectl("scale", "trainingjob/smoke", "--replicas=2000")

    def test_replicas_stay_where_they_are_also_the_number_of_shards(self):
        text = (ROOT / "manifests/synthetic-smoke.yaml").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^  name: .*", "  name: smoke", text, count=1)
        partition = "  data:\n    placement: local\n    partition: {dirichlet: 1}\n"
        self.kubectl("apply", "--filename", "-", stdin=re.sub(r"(?m)^  data:\n", partition, text, count=1))
        with self.assertRaisesRegex(harness.CommandFailed, "as many shards"):
            self.kubectl("scale", "trainingjob/smoke", "--replicas=1")
        for spec in ('{"runPolicy":{"suspend":true}}',
                     '{"replicas":1,"data":{"partition":{"shards":2}},"runPolicy":{"suspend":false}}'):
            self.kubectl("patch", "trainingjob/smoke", "--type=merge", "--patch", '{"spec":' + spec + "}")
        self.kubectl("scale", "trainingjob/smoke", "--replicas=2")
        with self.assertRaisesRegex(harness.CommandFailed, "fewer shards"):
            self.kubectl("scale", "trainingjob/smoke", "--replicas=3")

    def test_explain_and_columns_are_for_people(self):
        # The schema is published a moment after the kind is.
        for field, words in (("status.globalBatch", "Global batch"),
                             ("spec.training.batch.normTest.eta", "Threshold of the norm test")):
            harness.wait_for(f"explanation of {field}",
                             lambda f=field, w=words: w in self.kubectl("explain", "trainingjob." + f))
        self.apply(ROOT / "manifests/synthetic-smoke.yaml")
        heading = self.kubectl("get", "tj").splitlines()[0].split()
        self.assertEqual(heading, ["NAME", "STATE", "READY", "ROUND", "BATCH", "ACCURACY", "COMM%", "RESTARTS", "AGE"])
        self.assertIn("trainingjob.longstride.dev/synthetic-smoke", self.kubectl("get", "all", "--output=name"))


class ChartTest(harness.ClusterTest):
    """With no replicas, so that it needs no image."""

    def helm(self, *arguments):
        return harness.run(["helm", "--namespace", self.namespace, *arguments], timeout=60)

    def test_install_upgrade_roll_back_uninstall(self):
        self.addCleanup(harness.kubectl, "delete", "crd", "trainingjobs.longstride.dev", "--ignore-not-found")
        harness.kubectl("delete", "crd", "trainingjobs.longstride.dev", "--ignore-not-found")
        self.helm("install", "longstride", str(CHART), "--set", "replicas=0")
        wait_established()
        self.apply(ROOT / "manifests/synthetic-smoke.yaml")

        # What the controller has put into the Secret outlives an upgrade.
        self.kubectl("patch", "secret", "longstride-ca", "--type=merge", "--patch", '{"stringData":{"ca.crt":"x"}}')
        self.helm("upgrade", "longstride", str(CHART), "--set", "replicas=0,dashboards.enabled=true")
        self.assertEqual(self.get("secret", "longstride-ca")["data"], {"ca.crt": "eA=="})
        self.assertEqual(len(self.get("configmaps", selector="grafana_dashboard=1")), 3)
        self.helm("rollback", "longstride", "1")
        self.assertEqual(len(self.get("configmaps", selector="grafana_dashboard=1")), 0)
        self.assertEqual(self.get("secret", "longstride-ca")["data"], {"ca.crt": "eA=="})

        self.helm("uninstall", "longstride")
        self.assertEqual(len(self.get("trainingjobs")), 1)
        self.assertEqual(self.kubectl("get", "role,rolebinding,secret,service,deployment", "--output=name",
                                      "--selector=app.kubernetes.io/name=longstride"), "")
