"""The operator as its users meet it: installed by helm, given jobs by kubectl, on two nodes."""
import copy
import json
import subprocess
import time
import urllib.request

import harness
from harness import wait_for

SYSTEM = "longstride-system"
CHART = harness.REPOSITORY / "charts/longstride"
FASHION = harness.REPOSITORY / "manifests/fashion-mnist.yaml"
SMOKE = harness.REPOSITORY / "manifests/synthetic-smoke.yaml"
METRICS_PORT = 9464
STANDBY_SECONDS = 20  # until a standby leads
ENDLESS = 10**9  # samples


def helm(*arguments, timeout=180):
    return harness.run(["helm", "--namespace", SYSTEM, *arguments], timeout=timeout)


def install():
    harness.kubectl("apply", "--filename", "-", stdin=json.dumps({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": SYSTEM, "labels": {harness.NAMESPACE_LABEL: harness.RUN,
                                                "pod-security.kubernetes.io/enforce": "restricted"}}}))
    helm("upgrade", "--install", "longstride", str(CHART), "--wait", "--timeout=120s")


def uninstall():
    helm("uninstall", "longstride", "--ignore-not-found")
    harness.kubectl("delete", "crd", "trainingjobs.longstride.dev", "--ignore-not-found")
    harness.kubectl("delete", "namespace", SYSTEM, "--wait=false", "--ignore-not-found")


def controllers():
    """The controller's pods that are not on their way out, by name."""
    found = json.loads(harness.kubectl("--namespace", SYSTEM, "get", "pods", "--output=json",
                                       "--selector=app.kubernetes.io/component=controller"))["items"]
    return {pod["metadata"]["name"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}


def leader():
    """The name of the pod that leads; empty if none does."""
    lease = json.loads(harness.kubectl("--namespace", SYSTEM, "get", "lease", "longstride", "--output=json"))
    return lease["spec"].get("holderIdentity", "").rsplit("_", 1)[0]


def is_ready(pod):
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_running(pod):
    containers = pod["status"].get("containerStatuses", [])
    return bool(containers) and all("running" in c["state"] for c in containers)


def uids(pods):
    return {index: pod["metadata"]["uid"] for index, pod in pods.items()}


def kill_container(pod):
    """kill -9 of the only container of a pod."""
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    harness.on_node(pod["spec"]["nodeName"].removeprefix("node"), "ctr", "--namespace", "k8s.io", "tasks", "kill",
                    "--signal", "SIGKILL", container)


def round_of(pod):
    """The last round that a worker has committed, by its own metrics: the job's status is up to 10 s old."""
    try:
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:{METRICS_PORT}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError as error:
        raise AssertionError(f"{pod['metadata']['name']}: {error}") from error
    values = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(("longstride_worker_round{",
                                                                           "longstride_worker_round "))]
    return int(float(values[0])) if values else 0


def longest_pause(pod, until):
    """The longest time between two rounds of a worker from now until until() is true, asked every two seconds."""
    last = asked = time.monotonic()
    known, longest = round_of(pod), 0.0
    while True:
        now, current = time.monotonic(), round_of(pod)
        if current != known:
            longest, last, known = max(longest, now - last), now, current
        if now - asked > 2:
            asked = now
            if until():
                return max(longest, now - last)
        time.sleep(0.05)


class OperatorTest(harness.ClusterTest):
    deadline_seconds = 600

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(uninstall)
        install()

    def describe(self):
        """For a scenario that failed: the jobs, and what controllers and workers said last."""
        commands = [["--namespace", self.namespace, "get", "trainingjobs", "--output=yaml"],
                    ["--namespace", self.namespace, "logs", "--prefix", "--tail=30",
                     "--selector=app.kubernetes.io/component=worker"],
                    ["--namespace", SYSTEM, "get", "pods", "--output=wide"],
                    ["--namespace", SYSTEM, "logs", "--prefix", "--tail=60",
                     "--selector=app.kubernetes.io/component=controller"]]
        for command in commands:
            try:
                yield harness.kubectl(*command)
            except harness.CommandFailed as failure:
                yield str(failure)

    def load(self, manifest):
        """A manifest as a dict."""
        return json.loads(self.kubectl("create", "--dry-run=client", "--output=json", "--filename", str(manifest)))

    def submit_demo(self, replicas, samples, **spec):
        """The demo in rounds of about a second that end after so many samples; returns the job's name."""
        job = copy.deepcopy(self.load(FASHION))
        job["spec"].update(replicas=replicas, **spec)
        training = job["spec"]["training"]
        del training["maxEpochs"]
        training.update(maxSamples=samples, batch={"policy": "fixed", "initial": 128},
                        localSteps={"policy": "constant", "steps": 16})
        del job["spec"]["evaluation"]["target"]
        self.apply(job)
        return job["metadata"]["name"]

    def status(self, job):
        return self.get("tj", job).get("status", {})

    def condition(self, job, kind):
        """A condition of the job, or None."""
        return next((c for c in self.status(job).get("conditions", []) if c["type"] == kind), None)

    def workers(self, job):
        """The pods at work, or about to be, by the index of their worker."""
        return {int(pod["metadata"]["labels"]["longstride.dev/index"]): pod
                for pod in self.get("pods", selector=f"longstride.dev/job-name={job}")
                if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] in ("Pending", "Running")}

    def all_running(self, job, count):
        pods = self.workers(job)
        return pods if len(pods) == count and all(map(is_running, pods.values())) else None

    def all_ready(self, job, count):
        pods = self.workers(job)
        return pods if sorted(pods) == list(range(count)) and all(map(is_ready, pods.values())) else None

    def wait_training(self, job, count, rounds=2):
        """Returns the pods, once all train and have committed so many more rounds."""
        pods = wait_for(f"{count} ready workers", lambda: self.all_ready(job, count), 120, every=1)
        begun = round_of(pods[0])
        wait_for(f"{rounds} rounds", lambda: all(round_of(p) >= begun + rounds for p in pods.values()), 120, every=0.5)
        return pods

    def wait_complete(self, job, timeout):
        """Returns the status of the job when it is complete; fails at once if it fails."""
        def ended():
            return next((c for c in self.status(job).get("conditions", [])
                         if c["type"] in ("Complete", "Failed") and c["status"] == "True"), None)
        end = wait_for(f"end of {job}", ended, timeout, every=2)
        self.assertEqual(end["type"], "Complete", end)
        self.wait_condition(f"tj/{job}", "Complete", timeout=5)
        return self.status(job)

    def owned(self, job):
        """Names of all that is left of a job."""
        return self.kubectl("get", "pods,configmaps,networkpolicies", "--output=name",
                            f"--selector=longstride.dev/job-name={job}").split()

    def test_controllers_are_ready_and_one_leads(self):
        replicas = controllers()
        self.assertEqual(len(replicas), 2)
        self.assertTrue(all(map(is_ready, replicas.values())), replicas)
        wait_for("leader", lambda: leader() in controllers(), 30)
        leads = wait_for("address of the leader", lambda: json.loads(harness.kubectl(
            "--namespace", SYSTEM, "get", "endpointslice", "longstride-coordinator", "--output=json"))["endpoints"])
        self.assertEqual(leads[0]["addresses"], [controllers()[leader()]["status"]["podIP"]])

    def test_the_demo_completes_on_two_nodes(self):
        story = subprocess.Popen(["kubectl", "--namespace", self.namespace, "get", "tj", "--watch"],
                                 stdout=subprocess.PIPE, text=True, env=harness.ENVIRONMENT)
        self.addCleanup(story.wait)
        self.addCleanup(story.kill)
        began = time.monotonic()
        self.apply(FASHION)
        pods = wait_for("four running workers", lambda: self.all_running("fashion-mnist", 4), 90)
        print(f"submitted to all four pods running: {time.monotonic() - began:.1f} s")
        self.assertEqual({pod["spec"]["nodeName"] for pod in pods.values()}, {"node1", "node2"})
        for pod in pods.values():
            self.assertFalse([v for v in pod["spec"]["volumes"] if v["name"].startswith("kube-api-access")])

        status = self.wait_complete("fashion-mnist", 360)
        print(f"submitted to Complete: {time.monotonic() - began:.1f} s")
        self.assertGreaterEqual(status["accuracy"], 0.90)
        self.assertEqual(status["restarts"], 0)
        self.assertEqual(status["observedGeneration"], 1)
        self.assertGreater(status["bytesSent"], 0)
        self.assertGreater(status["groups"][0]["profile"]["microBatchCap"], 0)
        for kind in ("Running", "Restarting", "Suspended"):
            self.assertEqual(self.condition("fashion-mnist", kind)["status"], "False", kind)
        self.assertEqual(self.condition("fashion-mnist", "Profiled")["status"], "True")
        reasons = {e["reason"] for e in self.get("events") if e["involvedObject"]["kind"] == "TrainingJob"}
        self.assertLessEqual({"Created", "Started", "Completed"}, reasons)
        story.kill()
        print(story.communicate()[0])

    def test_the_charts_own_test_passes(self):
        helm("test", "longstride", "--timeout=240s", timeout=250)

    def test_a_job_that_cannot_work_fails_alone(self):
        job = self.load(FASHION)
        job["metadata"]["name"] = "lost"
        job["spec"]["data"]["path"] = "/nowhere"
        self.apply(job)
        self.apply(SMOKE)
        self.wait_complete("synthetic-smoke", 180)
        failed = wait_for("failure", lambda: (c := self.condition("lost", "Failed")) and c["status"] == "True" and c,
                          120, every=1)
        self.assertIn(failed["reason"], ("DataError", "UserError"))
        self.assertIn("/nowhere", failed["message"])

    def test_a_killed_worker_is_replaced_and_the_others_go_on(self):
        job = self.submit_demo(replicas=4, samples=300_000)
        before = self.wait_training(job, 4)
        victim = max(before)
        kill_container(before[victim])

        def replaced():
            pods = self.all_ready(job, 4)
            return pods and uids(pods)[victim] != uids(before)[victim]
        print(f"longest time without a round: {longest_pause(before[0], replaced):.1f} s")
        after = self.workers(job)
        self.assertEqual(after[victim]["metadata"]["labels"]["longstride.dev/incarnation"], "2")
        self.assertEqual({i: u for i, u in uids(after).items() if i != victim},
                         {i: u for i, u in uids(before).items() if i != victim})
        status = self.wait_complete(job, 300)
        self.assertEqual(status["restarts"], 1)
        self.assertIn(status["lastFailure"]["reason"], ("Killed", "Unresponsive"))
        self.assertEqual(status["lastFailure"]["worker"], f"worker-{victim}")
        self.assertEqual(status.get("discardedSamples", 0), 0)

    def test_scaling_keeps_the_survivors(self):
        job = self.submit_demo(replicas=2, samples=ENDLESS)
        two = self.wait_training(job, 2)
        self.kubectl("scale", f"tj/{job}", "--replicas=4")
        pause = longest_pause(two[0], lambda: self.all_ready(job, 4))
        four = self.wait_training(job, 4)
        print(f"2 -> 4: longest time without a round {pause:.1f} s")
        self.assertEqual({i: uids(four)[i] for i in two}, uids(two))

        self.kubectl("scale", f"tj/{job}", "--replicas=3")
        pause = longest_pause(four[0], lambda: self.all_ready(job, 3))
        three = self.wait_training(job, 3)
        print(f"4 -> 3: longest time without a round {pause:.1f} s")
        self.assertEqual(uids(three), {i: uids(four)[i] for i in (0, 1, 2)})
        wait_for("status of three", lambda: self.status(job)["ready"] == "3/3", 30)
        self.assertEqual(self.status(job)["restarts"], 0)
        self.assertIsNone(self.status(job).get("lastFailure"))

    def test_a_suspended_job_goes_on_from_its_claim_on_another_node(self):
        directory = self.shared_claim()
        job = self.submit_demo(replicas=2, samples=200_000, checkpoint={"storage": {"claimName": "store"}})
        self.wait_training(job, 2)
        self.suspend(job, True)
        self.wait_condition(f"tj/{job}", "Suspended", timeout=120)
        self.assertEqual(self.workers(job), {})
        suspended = self.status(job)
        self.assertGreater(suspended["lastCheckpoint"]["round"], 0)
        self.assertEqual(suspended["lastCheckpoint"]["round"], suspended["round"])
        self.assertTrue(any(directory.rglob("checkpoints/*")))

        self.addCleanup(harness.kubectl, "uncordon", "node1")
        harness.kubectl("cordon", "node1")
        self.suspend(job, False)
        pods = wait_for("resumed workers", lambda: self.all_ready(job, 2), 120, every=1)
        self.assertEqual({pod["spec"]["nodeName"] for pod in pods.values()}, {"node2"})
        self.assertGreaterEqual(round_of(pods[0]), suspended["round"])
        status = self.wait_complete(job, 240)
        self.assertGreaterEqual(status["samples"], 200_000)
        self.assertEqual(status.get("discardedSamples", 0), 0)

    def suspend(self, job, suspended):
        patch = json.dumps({"spec": {"runPolicy": {"suspend": suspended}}})
        self.kubectl("patch", f"tj/{job}", "--type=merge", "--patch", patch)

    def test_deletion_leaves_nothing(self):
        for cascade in ("background", "foreground"):
            for phase in ("at once", "while training"):
                with self.subTest(f"{cascade}, {phase}"):
                    job = self.submit_demo(replicas=2, samples=ENDLESS)
                    if phase == "while training":
                        self.wait_training(job, 2)
                    self.kubectl("delete", f"tj/{job}", f"--cascade={cascade}", "--timeout=90s", timeout=95)
                    wait_for("end of all that it owned", lambda: self.owned(job) == [], 90, every=1)

    def test_training_goes_on_when_the_leader_is_deleted(self):
        job = self.submit_demo(replicas=2, samples=300_000)
        before = self.wait_training(job, 2)
        old = leader()
        began = time.monotonic()
        harness.kubectl("--namespace", SYSTEM, "delete", "pod", old, "--wait=false")
        wait_for("standby that leads", lambda: leader() not in ("", old), STANDBY_SECONDS)
        print(f"the standby leads after {time.monotonic() - began:.1f} s")
        end = began + STANDBY_SECONDS
        pause = longest_pause(before[0], lambda: time.monotonic() > end)
        print(f"longest time without a round: {pause:.1f} s")
        self.assertEqual(uids(self.workers(job)), uids(before))
        status = self.wait_complete(job, 300)
        self.assertEqual(status["restarts"], 0)
        self.assertEqual(status.get("discardedSamples", 0), 0)
        wait_for("two controllers", lambda: sum(map(is_ready, controllers().values())) == 2)
