"""Jobs whose pods all go at once, suspended or not, with a claim for checkpoints and without."""
import json

import harness
from harness import wait_for
from operator_test import ROUND_SAMPLES, WithOperator, node_of, other, round_of, uids

SAMPLES = 70_000
CLAIM = {"storage": {"claimName": "store"}, "everyRounds": 5}


class SuspendTest(WithOperator):
    def train(self, **options):
        """A job of two workers that has committed ten rounds, and its pods. They can write to their volumes only."""
        job = self.demo(replicas=2, samples=SAMPLES, **options)
        container = job["spec"]["workers"][0]["template"]["spec"]["containers"][0]
        container["securityContext"] = {"readOnlyRootFilesystem": True}
        self.apply(job)
        name = job["metadata"]["name"]
        pods = self.wait_training(name, 2, rounds=10)
        for pod in pods.values():
            self.assertTrue(pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"])
        return name, pods

    def delete_all(self, job, *flags):
        self.kubectl("delete", "pods", f"--selector=longstride.dev/job-name={job}", "--wait=false", *flags)

    def cordon(self, node):
        self.addCleanup(harness.kubectl, "uncordon", f"node{node}")
        harness.kubectl("cordon", f"node{node}")

    def wait_anew(self, job, before):
        """Returns the pods that train in place of all of `before`."""
        def anew():
            pods = self.all_ready(job, 2)
            return pods if pods and not set(uids(pods).values()) & set(uids(before).values()) else None
        return wait_for("new workers", anew, 180, every=1)

    def placed_anew(self, job, before):
        """The job's pods, alive or not, if they are two, have a node, and none is of `before`."""
        pods = self.get("pods", selector=f"longstride.dev/job-name={job}")
        anew = all(pod["spec"].get("nodeName") and pod["metadata"]["uid"] not in uids(before).values() for pod in pods)
        return pods if len(pods) == 2 and anew else None

    def lost(self, job):
        """Samples that were discarded, by the status and by the events, of which there is one."""
        self.assertEqual(len(self.events_of(job).get("ProgressDiscarded", [])), 1)
        return self.status(job)["discardedSamples"]

    def complete(self, job):
        status = self.wait_complete(job, 300)
        self.assertGreaterEqual(status["samples"], SAMPLES)
        return status

    def test_all_pods_deleted_at_once_go_on_from_the_claim_on_the_other_node(self):
        self.shared_claim()
        job, before = self.train(checkpoint=CLAIM)
        self.assertEqual(self.condition(job, "CheckpointDurable")["reason"], "Claim")
        node = node_of(before[0])
        self.cordon(node)
        reached = round_of(before[0])
        self.delete_all(job)
        after = self.wait_anew(job, before)
        self.assertEqual({node_of(pod) for pod in after.values()}, {other(node)})
        print(f"{reached} rounds when deleted, {round_of(after[0])} when both are ready again")
        # Told to leave, the workers end their round and write a checkpoint of it.
        self.assertGreaterEqual(round_of(after[0]), reached)
        status = self.complete(job)
        self.assertEqual(status.get("discardedSamples", 0), 0)
        self.assertNotIn("ProgressDiscarded", self.events_of(job))
        self.assertNotIn("failures", status["groups"][0])

    def test_all_pods_killed_at_once_go_on_from_the_newest_checkpoint_of_the_claim(self):
        directory = self.shared_claim()
        job, before = self.train(checkpoint=CLAIM)
        wait_for("a checkpoint", lambda: self.status(job).get("lastCheckpoint"), 60)
        self.assertTrue(any(directory.rglob("checkpoints/*")))
        self.delete_all(job, "--force", "--grace-period=0")
        after = self.wait_anew(job, before)
        self.assertGreaterEqual(round_of(after[0]), 5)
        status = self.complete(job)
        print(f"discarded {status.get('discardedSamples', 0)} samples")
        self.assertLessEqual(status.get("discardedSamples", 0), 10 * ROUND_SAMPLES)

    def final_model(self, directory, job):
        """The name of a job's newest checkpoint, and its parameters."""
        newest = max(directory.glob(f"{job}-*/checkpoints/round-*[0-9]"))
        return newest.name, (newest / "model.safetensors").read_bytes()

    def test_suspended_with_all_pods_deleted_ends_on_the_other_node_as_an_undisturbed_run_does(self):
        directory = self.shared_claim()

        # With bounds that leave one way only to share a batch, so that all plans are alike.
        options = {"bounds": {"min": 64, "max": 64}, "checkpoint": CLAIM}
        job, before = self.train(name="moved", **options)
        node = node_of(before[0])
        self.suspend(job, True)
        self.delete_all(job)
        self.wait_condition(f"tj/{job}", "Suspended", timeout=120)
        self.assertEqual(self.get("pods", selector=f"longstride.dev/job-name={job}"), [])
        suspended = self.status(job)
        self.assertEqual(suspended["state"], "Suspended")
        self.assertEqual(suspended["lastCheckpoint"]["round"], suspended["round"])
        self.cordon(node)
        self.suspend(job, False)
        # Not while they train: a fast machine is at the end before they are looked at.
        after = wait_for("new pods", lambda: self.placed_anew(job, before), 180, every=1)
        self.assertEqual({node_of(pod) for pod in after}, {other(node)})
        status = self.complete(job)
        self.assertGreater(status["round"], suspended["round"])
        self.assertEqual(status.get("discardedSamples", 0), 0)
        self.assertEqual(status["restarts"], 0)
        undisturbed = self.submit_demo(replicas=2, samples=SAMPLES, name="undisturbed", **options)
        self.complete(undisturbed)
        self.assertEqual(self.final_model(directory, job), self.final_model(directory, undisturbed))

    def test_all_pods_deleted_at_once_without_a_claim_begin_anew_and_say_so(self):
        job, before = self.train()
        durable = self.condition(job, "CheckpointDurable")
        self.assertEqual((durable["status"], durable["reason"]), ("False", "NoStorage"))
        self.assertIn("spec.checkpoint.storage", durable["message"])
        self.delete_all(job)
        after = self.wait_anew(job, before)
        wait_for("event", lambda: self.lost(job), 60, every=1)
        print(f"discarded {self.lost(job)} samples")
        self.assertGreaterEqual(self.lost(job), 10 * ROUND_SAMPLES)
        begun = round_of(after[0])
        wait_for("more rounds", lambda: round_of(after[0]) > begun + 2, 60, every=0.5)
        lost = self.lost(job)
        status = self.complete(job)
        self.assertEqual(status["discardedSamples"], lost)

    def test_suspended_without_a_claim_begins_anew_and_says_so(self):
        job, before = self.train()
        self.suspend(job, True)
        self.wait_condition(f"tj/{job}", "Suspended", timeout=120)
        suspended = self.status(job)
        self.assertIn("there is no spec.checkpoint.storage", self.condition(job, "Suspended")["message"])
        self.suspend(job, False)
        self.wait_anew(job, before)
        wait_for("event", lambda: self.lost(job), 60, every=1)
        self.assertEqual(self.lost(job), suspended["samples"])
        self.assertEqual(self.condition(job, "Suspended")["reason"], "Resumed")
        status = self.complete(job)
        self.assertEqual(status["discardedSamples"], suspended["samples"])

    def test_what_a_suspended_job_may_change_it_does(self):
        job, before = self.train()
        with self.assertRaisesRegex(harness.CommandFailed, "suspend"):
            self.kubectl("patch", f"tj/{job}", "--type=merge", "--patch", '{"spec":{"seed":2}}')
        self.suspend(job, True)
        self.wait_condition(f"tj/{job}", "Suspended", timeout=120)
        self.kubectl("patch", f"tj/{job}", "--type=merge", "--patch", json.dumps({"spec": {"replicas": 1, "seed": 2}}))
        self.suspend(job, False)
        wait_for("one worker", lambda: self.all_ready(job, 1), 120, every=1)
        self.assertFalse(set(uids(self.workers(job)).values()) & set(uids(before).values()))
        self.complete(job)
