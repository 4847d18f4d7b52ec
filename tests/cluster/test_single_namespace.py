"""The chart with singleNamespace: the jobs of the release's namespace are run, with rights in that namespace alone."""
import json

import harness
from harness import wait_for
from operator_test import (CONTROLLER_METRICS_PORT, GONE_SECONDS, SMOKE, SYSTEM, WithOperator, controllers, install,
                           is_ready, leader, restarts_of_controllers, series_of, total)

CONFINED = f"--watch-namespace={SYSTEM}"


def confined():
    """The controllers, once there are two, both confined and ready, and one of them leads."""
    pods = controllers()
    as_wanted = all(CONFINED in pod["spec"]["containers"][0]["args"] and is_ready(pod) for pod in pods.values())
    return pods if len(pods) == 2 and as_wanted and leader() in pods else None


class SingleNamespaceTest(WithOperator):
    def test_only_jobs_of_the_releases_namespace_are_run(self):
        self.addCleanup(install)
        install("--set", "singleNamespace=true")
        before = wait_for("two confined controllers, of which one leads", confined, every=0.5)

        elsewhere = self.namespace
        self.apply(SMOKE)
        self.namespace = SYSTEM  # where the job that is to run lives
        job = self.load(SMOKE)
        name = job["metadata"]["name"]
        job["spec"]["runPolicy"] = {"cleanPodPolicy": "all"}
        self.apply(job)
        self.addCleanup(self.kubectl, "delete", f"tj/{name}", "--ignore-not-found")
        self.wait_complete(name, 90)
        self.assert_ends_are_tidied_up(name)

        self.assert_untouched(elsewhere, name)
        self.assertEqual(restarts_of_controllers(), dict.fromkeys(before, 0))
        self.assert_nothing_was_refused(before)

    def assert_ends_are_tidied_up(self, job):
        """What the controller deletes takes rights, too: the pods that have ended, and the job."""
        wait_for("end of all pods", lambda: not self.get("pods", selector=f"longstride.dev/job-name={job}"),
                 GONE_SECONDS)
        at_once = json.dumps({"spec": {"runPolicy": {"ttlSecondsAfterFinished": 0}}})
        self.kubectl("patch", f"tj/{job}", "--type=merge", "--patch", at_once)
        self.wait_gone(f"tj/{job}", GONE_SECONDS)
        wait_for("end of all that it owned", lambda: self.owned(job) == [], GONE_SECONDS)

    def assert_untouched(self, namespace, job):
        """The job there has no status, nothing that it owns and no events; deletes it, before others come for it."""
        def there(*arguments):
            return harness.kubectl("--namespace", namespace, *arguments)
        self.assertNotIn("status", json.loads(there("get", f"tj/{job}", "--output=json")))
        self.assertEqual(there("get", "pods,networkpolicies,events", "--output=name"), "")
        there("delete", f"tj/{job}")

    def assert_nothing_was_refused(self, pods):
        """By the logs, and by the count of answers: not every refusal is logged."""
        for name, pod in pods.items():
            self.assertNotIn("forbidden", self.kubectl("logs", name).lower(), name)
            series = series_of(pod, CONTROLLER_METRICS_PORT)
            self.assertGreater(total(series, "rest_client_requests_total"), 0)
            refused = [key for key in series if key.startswith("rest_client_requests_total{") and 'code="403"' in key]
            self.assertEqual(refused, [], name)
