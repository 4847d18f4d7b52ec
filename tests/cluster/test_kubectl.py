"""`kubectl longstride` on a real cluster: each subcommand, what it prints, and its exit code."""
import json
import pathlib
import tempfile

import harness
from harness import wait_for
from operator_test import ENDLESS, GONE_SECONDS, WithOperator

PROGRAMS = harness.REPOSITORY / "build/release/bin"


class KubectlTest(WithOperator):
    def longstride(self, *arguments, timeout=harness.COMMAND_SECONDS):
        """As a plugin: kubectl finds kubectl-longstride in PATH. Returns what it prints."""
        path = f"PATH={PROGRAMS}:{harness.ENVIRONMENT['PATH']}"
        return harness.run(["env", path, "kubectl", "longstride", *arguments, f"--namespace={self.namespace}"], timeout)

    def assert_refuses(self, words, *arguments):
        """Exit code 2, of docs/errors.md: only the user can mend it."""
        with self.assertRaisesRegex(harness.CommandFailed, f"(?s)exit code 2\n.*kubectl longstride: .*{words}"):
            self.longstride(*arguments)

    def submit(self, job):
        """Submits a demo that does not end by itself, with two workers, and waits until it trains."""
        with tempfile.TemporaryDirectory() as directory:
            manifest = pathlib.Path(directory, "job.json")
            manifest.write_text(json.dumps(self.demo(replicas=4, samples=ENDLESS, name=job)), encoding="utf-8")
            submit = ("submit", str(manifest), "--set", "replicas=2")
            self.assertEqual(self.longstride(*submit), f"trainingjob {job} submitted to {self.namespace}\n")
            self.assert_refuses("AlreadyExists", *submit)
        self.wait_training(job, 2)

    def test_a_job_from_submission_to_cancellation(self):
        self.assertEqual(self.longstride("status"), "no training jobs here\n")
        job = "by-hand"
        self.submit(job)
        self.assert_status(job)
        self.assert_logs(job)

        self.assertEqual(self.longstride("scale", job, "3"), f"{job} is to have 3 workers\n")
        self.wait_training(job, 3)
        wait_for("status of three", lambda: self.status(job)["ready"] == "3/3", 30)
        self.assertRegex(self.longstride("status", job), r"workers +3/3 ready")
        self.assertIn("3/3", self.kubectl("get", "tj", job))

        said = self.longstride("suspend", job, "--wait", "--timeout=120", timeout=130)
        self.assertEqual(said, f"{job} is to suspend\n{job} is suspended\n")
        self.assertEqual(self.condition(job, "Suspended")["status"], "True")
        self.assertEqual(self.get("pods", selector=f"longstride.dev/job-name={job}"), [])
        self.assertRegex(self.longstride("status", job), r"state +Suspended \(Suspended: ")
        self.assert_refuses("has no pods", "logs", job)

        said = self.longstride("resume", job, "--wait", "--timeout=180", timeout=190)
        self.assertEqual(said, f"{job} is to resume\n{job} is running\n")
        self.wait_training(job, 3)

        self.assertEqual(self.longstride("cancel", job), f"{job} deleted\n")
        wait_for("end of all that it owned", lambda: self.owned(job) == [], GONE_SECONDS, every=0.5)
        self.assert_refuses("NotFound", "status", job)

    def assert_status(self, job):
        self.wait_status_as_new_as(job, 1)
        one = self.longstride("status", job)
        print(one)
        for words in (rf"job +{job} in {self.namespace}", r"state +Running", r"workers +2/2 ready",
                      r"progress +round [\d,]+, [\d,]+ samples", r"learning +loss \d", r"GROUP +READY", r"EVENT +WHEN"):
            self.assertRegex(one, words)
        every = self.longstride("status").splitlines()
        self.assertEqual(every[0].split(), ["NAME", "STATE", "READY", "PROGRESS", "LEARNING", "CREATED"])
        self.assertEqual([line.split()[:3] for line in every[1:]], [[job, "Running", "2/2"]])

    def assert_logs(self, job):
        self.assertRegex(self.longstride("logs", job, "--worker", "worker-0"), r"generation \(\d+, \d+\): rank \d of 2")
        self.assertEqual(len(self.longstride("logs", job, "--worker=worker-1", "--tail=1").splitlines()), 1)
        every = self.longstride("logs", job).splitlines()
        self.assertEqual({line.split(": ")[0] for line in every}, {"worker-0", "worker-1"})
        self.assert_refuses("has no worker \"worker-7\"; it has worker-0, worker-1", "logs", job, "--worker=worker-7")

    def test_an_unknown_job_is_the_users_error(self):
        for command in (["status"], ["suspend"], ["resume"], ["scale", "3"], ["cancel"]):
            with self.subTest(command[0]):
                self.assert_refuses("nobody.*NotFound", command[0], "nobody", *command[1:])
        self.assert_refuses("nobody has no pods", "logs", "nobody")
