"""A job that is deleted leaves nothing, in whatever phase it is, and nothing waits for the operator."""
import time

import harness
from harness import wait_for
from operator_test import (ENDLESS, GONE_SECONDS, SMOKE, SYSTEM, WithOperator, controllers, helm, install,
                           restarts_of_controllers, round_of, uids)

SLEEP = "exec sleep 3600"


class DeletionTest(WithOperator):
    def unschedulable(self):
        job = self.submit_script("homeless", SLEEP, pod={"nodeSelector": {"longstride.test/moon": "yes"}})
        self.wait_reason(job, "Running", "Unschedulable", False)
        return job

    def starting(self):
        """Its worker runs, and has not joined: as one that profiles."""
        job = self.submit_script("profiling", SLEEP, replicas=2)
        wait_for("running workers", lambda: self.all_running(job, 2), 60)
        return job

    def training(self):
        job = self.submit_demo(replicas=2, samples=ENDLESS)
        self.wait_training(job, 2)
        return job

    def suspended(self):
        job = self.submit_script("suspended", SLEEP, suspend=True)
        self.wait_condition(f"tj/{job}", "Suspended", timeout=60)
        return job

    def suspending(self):
        job = self.training()
        self.suspend(job, True)
        return job

    def complete(self):
        self.apply(SMOKE)
        self.wait_complete("synthetic-smoke", 180)
        return "synthetic-smoke"

    def failed(self):
        job = self.submit_script("failed", "exit 2", replicas=2, cleanPodPolicy="none")
        self.wait_reason(job, "Failed", "UserError", True)
        return job

    def backing_off(self):
        job = self.submit_script("backing-off", "exit 6")
        wait_for("a pause", lambda: self.incarnations(job)[0] >= 3, 60, every=0.5)
        return job

    def created(self):
        return self.submit_script("created", SLEEP, replicas=4)

    def test_deletion_in_each_phase_leaves_nothing(self):
        before = restarts_of_controllers()
        phases = (self.created, self.unschedulable, self.starting, self.training, self.suspending, self.suspended,
                  self.complete, self.failed, self.backing_off)
        for cascade in ("background", "foreground"):
            for phase in phases:
                with self.subTest(f"{cascade}, {phase.__name__}"):
                    job = phase()
                    began = time.monotonic()
                    self.delete(job, cascade)
                    print(f"{cascade}, {phase.__name__}: nothing is left after {time.monotonic() - began:.1f} s")
        self.assertEqual(restarts_of_controllers(), before)

    def test_an_orphaned_pod_stays(self):
        job = self.starting()
        pods = uids(self.workers(job))
        self.kubectl("delete", f"tj/{job}", "--cascade=orphan", "--timeout=60s")
        self.apply(SMOKE)
        self.wait_complete("synthetic-smoke", 180)  # so that the operator had the time
        self.assertEqual(uids(self.workers(job)), pods)

    def test_a_job_made_again_under_its_name_is_another(self):
        job = self.starting()
        old = set(uids(self.workers(job)).values())
        self.kubectl("delete", f"tj/{job}", "--wait=false")
        self.submit_script(job, SLEEP, replicas=2)

        def anew():
            pods = self.all_running(job, 2)
            return pods if pods and not old & set(uids(pods).values()) else None
        wait_for("workers of the new job", anew, 90, every=0.5)
        owner = self.get("tj", job)["metadata"]["uid"]
        for pod in self.get("pods", selector=f"longstride.dev/job-name={job}"):
            self.assertEqual([o["uid"] for o in pod["metadata"]["ownerReferences"]], [owner])
        self.assertEqual(self.status(job)["restarts"], 0)

    def test_jobs_can_be_deleted_after_the_operator_is_uninstalled(self):
        job, homeless = self.training(), self.unschedulable()
        before = self.workers(job)
        self.addCleanup(install)
        helm("uninstall", "longstride", "--wait", "--timeout=90s")
        self.assertEqual(controllers(), {})
        begun = round_of(before[0])
        wait_for("rounds without an operator", lambda: round_of(before[0]) >= begun + 3, 60, every=0.5)
        self.assertEqual(uids(self.workers(job)), uids(before))
        wait_for("end of all but the lease", lambda: self.left_in_system() == ["lease.coordination.k8s.io/longstride"], 30)
        for name, cascade in ((job, "foreground"), (homeless, "background")):
            self.delete(name, cascade)

    def left_in_system(self):
        names = harness.kubectl("--namespace", SYSTEM, "get", "all,leases,endpointslices,secrets,configmaps,roles",
                                "--output=name").split()
        return [name for name in names if name != "configmap/kube-root-ca.crt"]

    def test_a_namespace_with_jobs_in_all_phases_goes(self):
        before = restarts_of_controllers()
        for phase in (self.unschedulable, self.starting, self.training, self.suspended, self.complete, self.failed):
            phase()
        began = time.monotonic()
        harness.kubectl("delete", "namespace", self.namespace, f"--timeout={GONE_SECONDS}s", timeout=GONE_SECONDS + 5)
        print(f"the namespace is gone after {time.monotonic() - began:.1f} s")
        self.assertEqual(restarts_of_controllers(), before)
        # The cleanup deletes it once more.
        harness.kubectl("create", "namespace", self.namespace)
        self.apply(SMOKE)
        self.wait_complete("synthetic-smoke", 180)
