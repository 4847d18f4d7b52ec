"""The operator as its users meet it: installed by helm, given jobs by kubectl, on two nodes."""
import json
import subprocess
import time

import harness
from harness import wait_for
from operator_test import (BATCH, ENDLESS, FASHION, GONE_SECONDS, SMOKE, STANDBY_SECONDS, SYSTEM, WithOperator,
                           controllers, helm, is_ready, kill_container, leader, longest_pause, moment, round_of, uids,
                           wait_controllers)

# Of workers with a quarter of a CPU: some seconds a round, beside which the tenths that a container waits for its next
# share of its CPU when workers talk count little; and so many rounds that an evaluation more or less does too.
LIMITED_CPU, LIMITED_STEPS, TIMED_ROUNDS = "250m", 64, 8
LIMITED_ROUND_SAMPLES = BATCH * LIMITED_STEPS
TTL_SECONDS = 3


def samples_per_second(pod, round_samples):
    """Of all workers of a job together, over some rounds of one: the job's status is up to 10 s old."""
    begun = round_of(pod)
    # Seldom enough to take little of the worker's CPU.
    first = wait_for("the next round", lambda: (now := round_of(pod)) > begun and now, every=0.1)
    began = time.monotonic()
    last = wait_for(f"{TIMED_ROUNDS} rounds", lambda: (now := round_of(pod)) >= first + TIMED_ROUNDS and now, 240,
                    every=0.1)
    return (last - first) * round_samples / (time.monotonic() - began)


class OperatorTest(WithOperator):
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
        # Where the machine is so busy that a worker is silent for too long, it is replaced, rightly.
        print(f"restarts: {status['restarts']}")
        self.assertIn(status.get("lastFailure", {}).get("reason"), (None, "Unresponsive"))
        self.assertEqual(status.get("discardedSamples", 0), 0)
        self.assertEqual(status["observedGeneration"], 1)
        self.assertGreater(status["bytesSent"], 0)
        self.assertGreater(status["groups"][0]["profile"]["microBatchCap"], 0)
        for kind in ("Running", "Restarting", "Suspended"):
            self.assertEqual(self.condition("fashion-mnist", kind)["status"], "False", kind)
        self.assertEqual(self.condition("fashion-mnist", "Profiled")["status"], "True")
        reasons = {e["reason"] for e in self.get("events") if e["involvedObject"]["kind"] == "TrainingJob"}
        self.assertLessEqual({"Created", "Started", "Completed"}, reasons)
        story.kill()
        printed = story.communicate()[0]
        print(printed)
        self.assert_story(printed)

    def assert_story(self, printed):
        """What `kubectl get tj --watch` prints, from a job's submission to its end, tells how it went."""
        heading, *rows = [line.split() for line in printed.splitlines() if line.strip()]
        self.assertEqual(heading[:4], ["NAME", "STATE", "READY", "ROUND"])
        states = [row[1] for row in rows]
        self.assertIn("Running", states)
        self.assertGreater(states.index("Running"), 0)
        self.assertEqual(states[-1], "Complete")
        # What is not known yet is an empty cell, so that only rows of a job that makes progress are nearly whole.
        progress = [row for row in rows if len(row) >= len(heading) - 1]
        rounds = [int(row[heading.index("ROUND")]) for row in progress]
        self.assertEqual(rounds, sorted(rounds))
        self.assertIn("Running", [row[1] for row in progress])
        self.assertGreater(rounds[-1], rounds[0])
        self.assertEqual(len(rows[-1]), len(heading))
        self.assertGreaterEqual(float(rows[-1][heading.index("ACCURACY")]), 0.90)

    def test_the_charts_own_test_passes(self):
        helm("test", "longstride", "--timeout=300s", timeout=310)

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
        job = self.submit_demo(replicas=4, samples=150_000)
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

    def submit_limited_demo(self, replicas):
        """One that uses so little CPU for each worker that four take no more than one."""
        # Two and four share a batch in one way only: what a worker measures of itself depends on when it has to wait.
        job = self.demo(replicas, ENDLESS, bounds={"min": BATCH // 4, "max": BATCH // 2})
        job["spec"]["training"]["localSteps"]["steps"] = LIMITED_STEPS
        resources = job["spec"]["workers"][0]["template"]["spec"]["containers"][0]["resources"]
        for bound in ("requests", "limits"):
            resources[bound]["cpu"] = LIMITED_CPU
        self.apply(job)
        return job["metadata"]["name"]

    def test_scaling_keeps_the_survivors_and_throughput_follows(self):
        job = self.submit_limited_demo(replicas=2)
        two = self.wait_training(job, 2)
        speeds = {2: samples_per_second(two[0], LIMITED_ROUND_SAMPLES)}
        self.kubectl("scale", f"tj/{job}", "--replicas=4")
        pause = longest_pause(two[0], lambda: self.all_ready(job, 4))
        four = self.wait_training(job, 4)
        print(f"2 -> 4: longest time without a round {pause:.1f} s")
        self.assertEqual({i: uids(four)[i] for i in two}, uids(two))
        speeds[4] = samples_per_second(two[0], LIMITED_ROUND_SAMPLES)

        self.kubectl("scale", f"tj/{job}", "--replicas=3")
        pause = longest_pause(four[0], lambda: self.all_ready(job, 3))
        three = self.wait_training(job, 3)
        print(f"4 -> 3: longest time without a round {pause:.1f} s")
        self.assertEqual(uids(three), {i: uids(four)[i] for i in (0, 1, 2)})
        wait_for("status of three", lambda: self.status(job)["ready"] == "3/3", 30)
        self.assertEqual(self.status(job)["restarts"], 0)
        self.assertIsNone(self.status(job).get("lastFailure"))
        speeds[3] = samples_per_second(two[0], LIMITED_ROUND_SAMPLES)
        self.assert_nothing_is_lost(job, two[0], LIMITED_ROUND_SAMPLES)
        print("samples a second: " + ", ".join(f"{speed:,.0f} by {n} workers" for n, speed in speeds.items()))
        self.assertGreater(speeds[4], 1.4 * speeds[2])
        self.assertLess(speeds[3], speeds[4])

    def test_the_run_policy_of_ended_jobs_and_of_another_controllers_job(self):
        foreign = self.submit_script("foreign", "exit 0", managedBy="longstride.test/another")
        tidy = self.submit_script("tidy", "exit 0", cleanPodPolicy="all")
        brief = self.submit_script("brief", "exit 0", ttlSecondsAfterFinished=TTL_SECONDS)

        # As it is when it has ended, in the same answer: it does not stay for another question.
        ended = json.loads(self.kubectl("wait", "--for=condition=Complete", f"tj/{brief}", "--timeout=60s",
                                        "--output=json", timeout=65))["status"]
        self.assertEqual(ended["groups"][0]["incarnations"], [1])
        self.wait_gone(f"tj/{brief}", timeout=30)
        self.assertGreaterEqual(time.time() - moment(ended["completionTime"]), TTL_SECONDS)
        wait_for("end of all that it owned", lambda: self.owned(brief) == [], GONE_SECONDS, every=0.5)

        self.wait_complete(tidy, 60)
        self.assertEqual(self.incarnations(tidy), [1])
        wait_for("end of its pod", lambda: self.get("pods", selector=f"longstride.dev/job-name={tidy}") == [], 30,
                 every=0.5)
        self.assertEqual(self.status(tidy)["state"], "Complete")

        # Submitted before the others, whose pods have come and gone.
        self.assertEqual(self.owned(foreign), [])
        self.assertEqual(self.status(foreign), {})
        self.assertEqual(self.events_of(foreign), {})

    def test_training_goes_on_when_the_leader_is_deleted(self):
        job = self.submit_demo(replicas=2, samples=600_000)
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
        wait_controllers(60)
