"""The chart under a job that trains: upgraded, rolled back, uninstalled and installed anew."""
import json
import pathlib
import re
import shutil
import tempfile
import time

import harness
from harness import wait_for
from operator_test import (CHART, ENDLESS, LONGEST_PAUSE, SMOKE, SYSTEM, WithOperator, controllers, helm, install,
                           is_ready, leader, longest_pause, round_of, uids)

NEW_FIELD = "queueName"  # in spec.runPolicy of a later release

DIGEST = "sha256:" + 64 * "0"
FOR_A_STRICT_CLUSTER = [
    f"image.digest={DIGEST}", f"worker.image.digest={DIGEST}",
    "podSecurityContext.runAsUser=null", "podSecurityContext.supplementalGroups[0]=4000",
    "topologySpreadConstraints[0].maxSkew=1", "topologySpreadConstraints[0].topologyKey=topology.kubernetes.io/zone",
    "topologySpreadConstraints[0].whenUnsatisfiable=ScheduleAnyway",
    "networkPolicy.extraFrom[0].ipBlock.cidr=10.0.0.0/8", "priorityClassName=system-cluster-critical",
    "nodeSelector.kubernetes\\.io/os=linux", "tolerations[0].key=dedicated", "tolerations[0].operator=Exists"]


def edit(path, pattern, replacement):
    """Replaces what matches, which must be in one place only."""
    text, places = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), flags=re.M)
    assert places == 1, f"{path}: {pattern} is in {places} places"
    path.write_text(text, encoding="utf-8")


class HelmTest(WithOperator):
    def test_lint_is_clean(self):
        for sets in ([], FOR_A_STRICT_CLUSTER):
            helm("lint", "--strict", str(CHART), *(flag for each in sets for flag in ("--set", each)))

    def test_the_api_server_takes_what_is_rendered(self):
        version = json.loads(harness.kubectl("version", "--output=json"))["serverVersion"]["gitVersion"]
        for sets in ([], ["singleNamespace=true", "dashboards.enabled=true", "networkPolicy.enabled=false"],
                     ["replicas=1", "rbac.aggregate=false", "metrics.port=9090", "nameOverride=stride"],
                     FOR_A_STRICT_CLUSTER):
            with self.subTest(sets):
                flags = [flag for each in sets for flag in ("--set", each)]
                rendered = helm("template", "another", str(CHART), "--skip-tests", "--kube-version", version,
                                *flags)
                self.assertIn("kind: Deployment", rendered)
                # The definition is the installed release's.
                harness.kubectl("--namespace", SYSTEM, "apply", "--server-side", "--dry-run=server",
                                "--force-conflicts", "--filename", "-", stdin=rendered)

    def test_the_manifest_for_kubectl_alone_is_taken(self):
        harness.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "--filename",
                        str(harness.REPOSITORY / "manifests/install.yaml"))

    def change(self, job, before, what, *arguments):
        """Runs helm while the job trains, to the end of the roll-out; returns the new controllers."""
        old = {pod["metadata"]["uid"] for pod in controllers().values()}
        helm(*arguments)
        began = time.monotonic()

        def rolled_out():
            now = controllers()
            return (len(now) == 2 and all(map(is_ready, now.values())) and leader() in now and
                    not old & {pod["metadata"]["uid"] for pod in now.values()})
        pause = longest_pause(before[0], lambda: rolled_out() or time.monotonic() - began > 180)
        self.assertTrue(rolled_out())
        print(f"{what}: rolled out after {time.monotonic() - began:.1f} s, longest time without a round {pause:.1f} s")
        self.assertLess(pause, LONGEST_PAUSE)
        self.wait_status_as_new_as(job, round_of(before[0]))
        self.assertEqual(uids(self.workers(job)), uids(before))
        self.assertEqual(self.status(job)["restarts"], 0)
        self.assert_nothing_is_lost(job, before[0])
        return controllers()

    def later_release(self):
        """A copy of the chart, with one more optional field in the schema."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        chart = pathlib.Path(shutil.copytree(CHART, pathlib.Path(directory.name, CHART.name)))
        edit(chart / "Chart.yaml", "^version: .*$", "version: 99.0.0")
        edit(chart / "files/crd.yaml", "^( +)shedStragglers:$", rf"\1{NEW_FIELD}: {{type: string}}\n\1shedStragglers:")
        return chart

    def job_of_later_release(self):
        job = self.load(SMOKE)
        job["metadata"]["name"] = "later"
        job["spec"]["runPolicy"] = {NEW_FIELD: "night"}
        return job

    def schema_has_new_field(self):
        """Whether the API server takes a job that has it."""
        try:
            self.kubectl("create", "--dry-run=server", "--validate=strict", "--filename", "-",
                         stdin=json.dumps(self.job_of_later_release()))
        except harness.CommandFailed as refused:
            self.assertIn(NEW_FIELD, refused.stderr)
            return False
        return True

    def test_upgrade_roll_back_uninstall_and_install_under_a_job(self):
        self.addCleanup(install)
        job = self.submit_demo(replicas=2, samples=ENDLESS)
        before = self.wait_training(job, 2)
        secret = self.authority()

        self.assertFalse(self.schema_has_new_field())
        now = self.change(job, before, "upgrade", "upgrade", "longstride", str(self.later_release()), "--reuse-values",
                          "--set", "podAnnotations.longstride\\.test/release=two,resources.limits.memory=256Mi")
        self.assertEqual({pod["metadata"]["annotations"]["longstride.test/release"] for pod in now.values()}, {"two"})
        wait_for("schema of the later release", self.schema_has_new_field)
        # The controller is an older one than the schema: it tells of what it does not know, in that job alone.
        self.apply(self.job_of_later_release())
        failed = self.wait_reason("later", "Failed", "InvalidSpec", True)
        self.assertIn(f"spec.runPolicy.{NEW_FIELD}: unknown field", failed["message"])

        now = self.change(job, before, "rollback", "rollback", "longstride")
        wait_for("schema of before", lambda: not self.schema_has_new_field())
        self.assertNotIn(NEW_FIELD, self.get("tj", "later")["spec"]["runPolicy"])
        self.assertFalse(any("longstride.test/release" in pod["metadata"]["annotations"] for pod in now.values()))
        self.assertEqual(self.authority(), secret)

        helm("uninstall", "longstride", "--wait", "--timeout=90s")
        self.assertEqual(controllers(), {})
        began = time.monotonic()
        pause = longest_pause(before[0], lambda: time.monotonic() - began > LONGEST_PAUSE + 3)
        print(f"uninstalled: longest time without a round {pause:.1f} s")
        self.assertLess(pause, LONGEST_PAUSE)
        self.assertEqual(uids(self.workers(job)), uids(before))

        # Installed anew it has another authority. Workers that hear of it late may be replaced, but not all of them.
        install()
        took = self.wait_status_as_new_as(job, round_of(before[0]), 180)
        print(f"installed anew: the status is right after {took:.1f} s, {self.status(job)['restarts']} workers were replaced")
        self.assertNotEqual(self.authority(), secret)
        self.kubectl("scale", f"tj/{job}", "--replicas=3")
        three = self.wait_training(job, 3)
        self.assertTrue(set(uids(three).values()) & set(uids(before).values()))
        self.assertEqual(self.status(job).get("discardedSamples", 0), 0)

    def authority(self):
        return json.loads(harness.kubectl("--namespace", SYSTEM, "get", "secret", "longstride-ca",
                                          "--output=json"))["data"]
