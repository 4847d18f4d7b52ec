"""Whatever becomes of a pod has the condition, reason and retry that docs/operator.md gives."""
import json
import time

import harness
from harness import restricted_pod, wait_for
from operator_test import ENDLESS, SMOKE, WithOperator, node_of, restarts_of_controllers, round_of, uids

SLEEP = "exec sleep 3600"


class PodFailuresTest(WithOperator):
    def failure(self, job, reason, timeout=90):
        """Returns status.lastFailure once it has this reason."""
        def as_wanted():
            found = self.status(job).get("lastFailure")
            assert found and found["reason"] == reason, found
            return found
        return wait_for(f"last failure {reason} of {job}", as_wanted, timeout, every=0.5)

    def one_running(self, job):
        return wait_for(f"worker of {job}", lambda: self.all_running(job, 1), 90, every=0.5)[0]

    def test_a_failure_that_would_recur_fails_the_job_with_its_last_words(self):
        reasons = {1: "Bug", 2: "UserError", 3: "DataError", 4: "ResourceError"}
        for code in reasons:
            self.submit_script(f"exits-{code}", f"echo last words of {code}; exit {code}")
        for code, reason in reasons.items():
            with self.subTest(reason):
                failed = self.wait_reason(f"exits-{code}", "Failed", reason, True)
                self.assertIn(f"last words of {code}", failed["message"])
                self.assertEqual(self.status(f"exits-{code}")["lastFailure"]["exitCode"], code)
                self.assertEqual(self.incarnations(f"exits-{code}"), [1])
                self.assertEqual(self.status(f"exits-{code}")["state"], "Failed")
                self.assertIn(reason, self.events_of(f"exits-{code}"))

    def test_a_failure_that_may_pass_is_tried_again_up_to_the_limit(self):
        reasons = {5: "LostPeer", 6: "TransientError", 137: "Killed"}
        for code in reasons:
            self.submit_script(f"tries-{code}", f"exit {code}", backoffLimit=1)
        for code, reason in reasons.items():
            with self.subTest(reason):
                failed = self.wait_reason(f"tries-{code}", "Failed", "BackoffLimitExceeded", True)
                self.assertIn(reason, failed["message"])
                self.assertEqual(self.status(f"tries-{code}")["lastFailure"]["reason"], reason)
                self.assertEqual(self.incarnations(f"tries-{code}"), [2])

    def test_the_limit_of_one_worker_holds_too(self):
        job = self.submit_script("one-of-two", '[ "$LONGSTRIDE_INDEX" = 0 ] && exec sleep 3600; exit 6', replicas=2,
                                 backoffLimitPerWorker=1)
        failed = self.wait_reason(job, "Failed", "BackoffLimitExceeded", True)
        self.assertIn("worker-1", failed["message"])
        self.assertEqual(self.incarnations(job), [1, 2])

    def test_an_interrupted_worker_is_started_anew_at_once_and_does_not_count(self):
        job = self.submit_script("interrupted", "sleep 2; exit 7", backoffLimit=0)
        wait_for("fourth incarnation", lambda: self.incarnations(job)[0] >= 4, 120, every=0.5)
        self.assertEqual(self.failure(job, "Interrupted")["exitCode"], 7)
        self.assertNotIn("failures", self.status(job)["groups"][0])

    def test_too_much_memory(self):
        job = self.submit_script("hungry", "exec tail /dev/zero", backoffLimit=1,
                                 container={"resources": {"limits": {"memory": "24Mi"}}})
        failed = self.wait_reason(job, "Failed", "BackoffLimitExceeded", True)
        self.assertIn("OOMKilled", failed["message"])
        self.assertIn("limits.memory", failed["message"])
        self.assertEqual(self.failure(job, "OOMKilled")["worker"], "worker-0")

    def test_too_much_storage(self):
        sprawl = "trap 'exit 7' TERM; head -c 8388608 /dev/zero >/scratch/all; sleep 3600 & wait"
        job = self.submit_script(
            "sprawling", sprawl, backoffLimit=1,
            container={"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
            pod={"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]})
        # The kubelet measures volumes, and holds them to their limits, every 10 s each.
        failed = self.wait_reason(job, "Failed", "BackoffLimitExceeded", True, timeout=300)
        self.assertIn("Evicted", failed["message"])
        self.assertIn("scratch", self.failure(job, "Evicted")["message"])
        self.assertEqual(self.incarnations(job), [2])

    def test_a_pod_that_is_force_deleted_has_vanished(self):
        job = self.submit_script("vanishing", SLEEP)
        pod = self.one_running(job)
        self.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
        self.failure(job, "Vanished")
        wait_for("second incarnation", lambda: self.all_running(job, 1), 60, every=0.5)
        self.assertEqual(self.incarnations(job), [2])
        self.assertEqual(self.status(job)["groups"][0]["failures"], [1])

    def test_a_pod_that_is_deleted_by_hand(self):
        job = self.submit_script("deleted", SLEEP)
        pod = self.one_running(job)
        self.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
        wait_for("second incarnation", lambda: self.incarnations(job) == [2], 60, every=0.5)
        self.assertIn(self.status(job)["lastFailure"]["reason"], ("Deleted", "Killed"))
        self.assertEqual(self.status(job)["groups"][0]["failures"], [1])

    def disrupt(self, job, before, by):
        """Does `by` to the pod of worker 1 of a training job of two, and returns the pods that then train."""
        began = time.monotonic()
        by(before[1])

        def replaced():
            pods = self.all_ready(job, 2)
            return pods if pods and uids(pods)[1] != uids(before)[1] else None
        after = wait_for("replacement", replaced, 120, every=1)
        print(f"{self._testMethodName}: another in its place after {time.monotonic() - began:.1f} s")
        self.assertEqual(uids(after)[0], uids(before)[0])
        status = self.status(job)
        self.assertEqual(status["restarts"], 1)
        self.assertEqual(self.incarnations(job), [1, 2])
        self.assertNotIn("failures", status["groups"][0])
        self.assertEqual(status["lastFailure"]["worker"], "worker-1")
        self.assertEqual(status["lastFailure"]["reason"], "Disrupted")
        self.assertEqual(status.get("discardedSamples", 0), 0)
        self.assertIn("WorkerDisrupted", self.events_of(job))
        begun = round_of(after[0])
        wait_for("three more rounds", lambda: all(round_of(p) >= begun + 3 for p in after.values()), 120, every=0.5)
        return after

    def test_an_evicted_pod_does_not_count(self):
        job = self.submit_demo(replicas=2, samples=ENDLESS, runPolicy={"backoffLimit": 0})
        before = self.wait_training(job, 2)

        def evict(pod):
            name = pod["metadata"]["name"]
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction",
                        "metadata": {"name": name, "namespace": self.namespace}}
            self.kubectl("create", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{name}/eviction",
                         "--filename", "-", stdin=json.dumps(eviction))
        self.disrupt(job, before, evict)

    def test_a_drained_node_does_not_count(self):
        job = self.submit_demo(replicas=2, samples=ENDLESS, runPolicy={"backoffLimit": 0})
        before = self.wait_training(job, 2)
        node = f"node{node_of(before[1])}"
        self.addCleanup(harness.kubectl, "uncordon", node)
        # Only this pod: controllers that go have scenarios of their own.
        after = self.disrupt(job, before, lambda pod: harness.kubectl(
            "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=100s", timeout=110,
            *[f"--pod-selector=longstride.dev/job-name={job},longstride.dev/index=1"]))
        self.assertNotEqual(f"node{node_of(after[1])}", node)

    def test_a_tainted_node_does_not_count(self):
        # A controller goes with it, the leader perhaps, and CoreDNS perhaps.
        job = self.submit_demo(replicas=2, samples=ENDLESS, runPolicy={"backoffLimit": 0})
        before = self.wait_training(job, 2)
        node = f"node{node_of(before[1])}"
        self.assertNotEqual(f"node{node_of(before[0])}", node)
        self.addCleanup(harness.kubectl, "taint", "node", node, "longstride.test/bad-")
        after = self.disrupt(job, before, lambda pod: harness.kubectl(
            "taint", "node", node, "longstride.test/bad=:NoExecute"))
        self.assertNotEqual(f"node{node_of(after[1])}", node)

    def test_an_image_that_cannot_be_pulled(self):
        job = self.submit_script("imageless", SLEEP, container={"image": "longstride.test/none:1",
                                                                "imagePullPolicy": "IfNotPresent"})
        why = self.wait_reason(job, "Running", "ImagePullFailed", False)
        self.assertIn("longstride.test/none:1", why["message"])
        self.assertIn("ImagePullFailed", self.events_of(job))
        self.assertEqual(self.incarnations(job), [1])

        # Mended: suspend, change, resume.
        self.suspend(job, True)
        self.wait_condition(f"tj/{job}", "Suspended", timeout=60)
        self.kubectl("patch", f"tj/{job}", "--type=json", "--patch", json.dumps([
            {"op": "replace", "path": "/spec/workers/0/template/spec/containers/0/image",
             "value": harness.TOOLS_IMAGE}]))
        self.suspend(job, False)
        self.one_running(job)
        self.assertEqual(self.incarnations(job), [2])

    def test_init_containers_that_cannot_do_their_work(self):
        fetch = self.script_container("fetch", "echo no such host >&2; exit 3")
        imageless = {**fetch, "image": "longstride.test/none:1", "imagePullPolicy": "IfNotPresent"}
        job = self.submit_script("init-imageless", SLEEP, pod={"initContainers": [imageless]})
        failing = self.submit_script("init-failing", SLEEP, pod={"initContainers": [fetch]}, backoffLimit=0)
        why = self.wait_reason(job, "Running", "ImagePullFailed", False)
        self.assertIn("init container fetch", why["message"])
        self.assertIn("longstride.test/none:1", why["message"])
        failed = self.wait_reason(failing, "Failed", "BackoffLimitExceeded", True)
        self.assertIn("init container fetch: exit code 3", failed["message"])

    def test_a_sidecar_that_runs_on_keeps_no_machine(self):
        sidecar = self.script_container("sidecar", SLEEP)
        once = '[ "$LONGSTRIDE_INDEX" = 0 ] && exec sleep 3600; case "$HOSTNAME" in *-1) exit 7; esac; exec sleep 3600'
        job = self.submit_script("with-sidecars", once, replicas=2, sidecars=[sidecar])
        wait_for("another in its place", lambda: self.incarnations(job) == [1, 2], 60, every=0.5)
        wait_for("end of the pod before", lambda: len(self.get("pods", selector=f"longstride.dev/job-name={job}")) == 2,
                 60, every=0.5)
        done = self.submit_script("done-beside-a-sidecar", "exit 0", sidecars=[sidecar])
        self.wait_condition(f"tj/{done}", "Complete", timeout=60)
        wait_for("end of its pod", lambda: self.get("pods", selector=f"longstride.dev/job-name={done}") == [], 60,
                 every=0.5)

    def test_a_config_map_that_is_not_there(self):
        job = self.submit_script("configless", SLEEP, container={"envFrom": [{"configMapRef": {"name": "later"}}]})
        why = self.wait_reason(job, "Running", "CreateContainerConfigError", False)
        self.assertIn("later", why["message"])
        self.kubectl("create", "configmap", "later")
        self.one_running(job)
        self.assertEqual(self.incarnations(job), [1])

    def test_no_node_fits(self):
        job = self.submit_script("homeless", SLEEP, pod={"nodeSelector": {"longstride.test/moon": "yes"}})
        why = self.wait_reason(job, "Running", "Unschedulable", False)
        self.assertIn("didn't match Pod's node affinity/selector", why["message"])
        self.assertIn("Unschedulable", self.events_of(job))
        gated = self.submit_script("gated", SLEEP, pod={"schedulingGates": [{"name": "longstride.test/gate"}]})
        self.wait_reason(gated, "Running", "SchedulingGated", False)

    def test_a_used_up_quota_is_waited_for(self):
        self.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "two"},
                    "spec": {"hard": {"pods": "2"}}})
        job = self.submit_script("hopeful", SLEEP, replicas=3)
        why = self.wait_reason(job, "Running", "QuotaExceeded", False)
        self.assertIn("exceeded quota: two", why["message"])
        self.assertEqual(self.condition(job, "Failed"), None)
        wait_for("the two that fit", lambda: self.all_running(job, 2), 60)
        self.kubectl("patch", "resourcequota", "two", "--type=merge", "--patch", '{"spec":{"hard":{"pods":"3"}}}')
        began = time.monotonic()
        wait_for("the third", lambda: self.all_running(job, 3), 120, every=0.5)
        print(f"quota raised to all pods running: {time.monotonic() - began:.1f} s")
        self.assertEqual(self.incarnations(job), [1, 1, 1])
        self.wait_reason(job, "Running", "Starting", False, timeout=30)

    def test_a_template_that_no_pod_can_have_fails_with_the_field(self):
        job = self.submit_script("impossible", SLEEP, container={"resources": {"requests": {"cpu": "2"},
                                                                               "limits": {"cpu": "1"}}})
        failed = self.wait_reason(job, "Failed", "InvalidPodTemplate", True)
        self.assertIn("spec.workers[0].template.spec.containers[0].resources.requests", failed["message"])
        unknown = self.submit_script("typed-wrong", SLEEP, container={"livenessProbe": {"periodSeconds": "often"}})
        failed = self.wait_reason(unknown, "Failed", "InvalidPodTemplate", True)
        self.assertIn("periodSeconds", failed["message"])

    def test_what_admission_forbids_is_tried_again(self):
        job = self.submit_script("privileged", SLEEP, pod={"hostNetwork": True})
        why = self.wait_reason(job, "Running", "PodForbidden", False)
        self.assertIn("violates PodSecurity", why["message"])
        self.assertIn("PodForbidden", self.events_of(job))
        self.assertEqual(self.condition(job, "Failed"), None)
        harness.kubectl("label", "namespace", self.namespace, "--overwrite",
                        "pod-security.kubernetes.io/enforce=privileged")
        began = time.monotonic()
        self.one_running(job)
        print(f"allowed to running: {time.monotonic() - began:.1f} s")

    def test_a_policy_that_denies_a_replacement_does_not_end_the_job(self):
        name = f"no-second-{self.namespace}"
        self.addCleanup(harness.kubectl, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", name,
                        "--ignore-not-found")
        self.apply([
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
             "metadata": {"name": name},
             "spec": {"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                                                              "resources": ["pods"], "operations": ["CREATE"]}]},
                      "validations": [{"expression": "!object.metadata.name.endsWith('-2')",
                                       "message": "no second one"}]}},
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
             "metadata": {"name": name},
             "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {
                 "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}}}}])

        def enforced():
            try:
                self.kubectl("create", "--dry-run=server", "--filename", "-",
                             stdin=json.dumps(restricted_pod("probe-2")))
            except harness.CommandFailed as refused:
                return "no second one" in refused.stderr
            return False
        wait_for("policy to be enforced", enforced, 60, every=0.5)
        job = self.submit_script("denied", 'case "$HOSTNAME" in *-1) sleep 1; exit 7; esac; exec sleep 3600')
        why = self.wait_reason(job, "Running", "PodForbidden", False)
        self.assertIn("no second one", why["message"])
        self.assertEqual(self.condition(job, "Failed"), None)
        harness.kubectl("delete", "validatingadmissionpolicybinding", name)
        self.one_running(job)
        self.assertEqual(self.incarnations(job), [2])

    def test_somebody_elses_pod_of_that_name(self):
        self.apply(restricted_pod("namesake-worker-0-1", ["/bin/sleep", "3600"]))
        job = self.submit_script("namesake", SLEEP)
        why = self.wait_reason(job, "Running", "NameConflict", False)
        self.assertIn("namesake-worker-0-1", why["message"])
        stranger = self.get("pod", "namesake-worker-0-1")
        self.assertNotIn("ownerReferences", stranger["metadata"])
        self.kubectl("delete", "pod", "namesake-worker-0-1", "--now")
        pod = self.one_running(job)
        self.assertEqual(pod["metadata"]["name"], "namesake-worker-0-1")

    def test_a_deadline(self):
        job = self.submit_script("late", SLEEP, activeDeadlineSeconds=10)
        self.wait_reason(job, "Failed", "DeadlineExceeded", True)
        wait_for("end of its pod", lambda: self.workers(job) == {}, 60)

    def test_two_jobs_that_hold_half_of_each_others_machines_both_complete(self):
        # Each wants two of four places on both nodes; node2 opens for the first when the second is there.
        label, restarts = "longstride.test/open", restarts_of_controllers()
        self.addCleanup(harness.kubectl, "label", "node", "node2", f"{label}-")

        def submit(name, first, second):
            job = self.load(SMOKE)
            job["metadata"]["name"] = name
            job["spec"].update(replicas=4, runPolicy={"startTimeoutSeconds": 20})
            job["spec"]["workers"] = [
                {"name": group, "minReplicas": 2, "maxReplicas": 2, "template": {"spec": {
                    "nodeSelector": selector,
                    "containers": [{"name": "worker", "resources": {"requests": {"cpu": "900m"}}}]}}}
                for group, selector in (("a", first), ("b", second))]
            self.apply(job)

        def on(node):
            return {p["metadata"]["labels"]["longstride.dev/job-name"]
                    for p in self.get("pods") if p["spec"].get("nodeName") == node}
        submit("one", {"kubernetes.io/hostname": "node1"}, {label: "yes"})
        wait_for("first half of one", lambda: on("node1") == {"one"}, 60)
        submit("two", {"kubernetes.io/hostname": "node1"}, {"kubernetes.io/hostname": "node2"})
        wait_for("second half of two", lambda: on("node2") == {"two"}, 60)
        harness.kubectl("label", "node", "node2", f"{label}=yes")
        self.assertEqual((on("node1"), on("node2")), ({"one"}, {"two"}))
        began = time.monotonic()
        for job in ("one", "two"):
            self.wait_complete(job, 300)
            print(f"{job} complete after {time.monotonic() - began:.1f} s, "
                  f"having given up {len(self.events_of(job).get('StartTimeout', []))} times")
        self.assertTrue(any("StartTimeout" in self.events_of(job) for job in ("one", "two")))
        self.assertEqual(restarts_of_controllers(), restarts)
