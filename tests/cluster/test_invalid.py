"""Manifests that are wrong are refused, or fail with the field named; others do not suffer from them."""
import json
import pathlib
import re

import harness
from harness import wait_for
from operator_test import CHART, SMOKE, WithOperator, moment, restarts_of_controllers

BROKEN = sorted((harness.REPOSITORY / "tests/core/spec/broken").iterdir())
ACCEPTED = {line.split(":")[0] for line in
            pathlib.Path(__file__).with_name("accepted_by_crd.txt").read_text(encoding="utf-8").splitlines()}
# What of those is wrong all the same, and the operator's to find; in the others no fault reaches the operator.
LEFT_TO_THE_OPERATOR = {"63-less-than-the-groups-need.yaml", "64-more-than-the-groups-may-take.yaml"}
KUBECTL_MENDS = ACCEPTED - LEFT_TO_THE_OPERATOR
CRD = CHART / "files/crd.yaml"
# Faults of the text alone, or of the name, which the scenario replaces.
TEXT_ONLY = {"09-string-as-number.yaml", "16-duplicate-field.yaml", "17-missing-name.yaml", "22-invalid-name.yaml",
             "48-custom-tag.yaml"}
DELAY_SECONDS = 30  # by which bad jobs may hold up a good one on a busy machine


def expected_field(manifest):
    """The field that the first fault is about; None if it is about the text or the metadata."""
    found = re.search(r"^(?:#|//).*?(spec\.[\w.\[\]]+): ", manifest.read_text(encoding="utf-8"), re.M)
    return found[1] if found else None


class InvalidTest(WithOperator):
    def submit_smoke(self, name):
        job = self.load(SMOKE)
        job["metadata"]["name"] = name
        self.apply(job)

    def seconds_of(self, name):
        """Waits for the end of a good job; returns how long it took from its submission, as its own times say."""
        self.wait_complete(name, 180)
        job = self.get("tj", name)
        return moment(job["status"]["completionTime"]) - moment(job["metadata"]["creationTimestamp"])

    def timed_smoke(self, name):
        self.submit_smoke(name)
        return self.seconds_of(name)

    def assert_names_the_field(self, manifest, failed):
        self.assertIn(expected_field(manifest) or "spec", failed["message"])

    def test_invalid_manifests_are_refused_or_fail_and_a_good_job_among_them_is_not_delayed(self):
        before, alone = restarts_of_controllers(), self.timed_smoke("alone")
        taken = []
        for i, manifest in enumerate(BROKEN):
            if i == len(BROKEN) // 2:
                self.submit_smoke("among")
            try:
                self.kubectl("create", "--validate=strict", "--filename", str(manifest))
                taken.append(manifest.name)
            except harness.CommandFailed:
                pass
            if manifest.name in LEFT_TO_THE_OPERATOR:
                with self.subTest(manifest.name):
                    self.assert_names_the_field(manifest, self.wait_reason("broken", "Failed", "InvalidSpec", True, 30))
            if manifest.name in ACCEPTED:  # also of two documents the first, where the second is refused
                self.kubectl("delete", "tj/broken", "--ignore-not-found")
        took = self.seconds_of("among")
        print(f"a good job alone: {alone:.0f} s; among {len(BROKEN)} that are refused or fail: {took:.0f} s")
        self.assertLess(took, alone + DELAY_SECONDS)
        self.assertLessEqual(set(taken), ACCEPTED)
        self.assertLessEqual(LEFT_TO_THE_OPERATOR, set(taken))
        self.assertEqual(restarts_of_controllers(), before)

    def open_schema(self):
        """Takes the schema away from the CustomResourceDefinition: whatever it does not know slips through."""
        self.addCleanup(harness.kubectl, "replace", "--filename", str(CRD))
        crd = json.loads(harness.kubectl("get", "crd", "trainingjobs.longstride.dev", "--output=json"))
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        for version in crd["spec"]["versions"]:
            version["schema"]["openAPIV3Schema"] = {"type": "object", "properties": {"spec": anything,
                                                                                     "status": anything}}
            version["subresources"] = {"status": {}}
        harness.kubectl("replace", "--filename", "-", stdin=json.dumps(crd))

        # The API server takes a moment to forget the schema, and prunes what it tells old watches even longer.
        wait_for("end of the schema", self.probe_fails, 120)

    def probe_fails(self):
        """Whether a job with an unknown field reaches the controller as it is."""
        probe = {"apiVersion": "longstride.dev/v1alpha1", "kind": "TrainingJob", "metadata": {"name": "probe"},
                 "spec": {"polcy": "constant"}}
        self.kubectl("delete", "tj/probe", "--ignore-not-found")
        self.kubectl("create", "--validate=false", "--filename", "-", stdin=json.dumps(probe))
        return "spec.polcy" in self.wait_reason("probe", "Failed", "InvalidSpec", True, timeout=10)["message"]

    def test_what_slips_through_fails_with_the_field_named(self):
        alone = self.timed_smoke("alone")
        self.open_schema()
        before = restarts_of_controllers()
        names = {}
        for i, manifest in enumerate(BROKEN):
            if manifest.name in KUBECTL_MENDS | TEXT_ONLY:
                continue
            try:
                job = self.load_unchecked(manifest)
            except (harness.CommandFailed, ValueError):
                continue  # not YAML, or no TrainingJob
            job.setdefault("metadata", {})["name"] = f"broken-{i + 1}"
            job["metadata"].pop("namespace", None)

            try:
                self.kubectl("create", "--validate=false", "--filename", "-", stdin=json.dumps(job))
            except harness.CommandFailed as refused:
                print(f"{manifest.name} is refused without a schema, too: {str(refused).splitlines()[-1][:200]}")
                continue
            names[job["metadata"]["name"]] = manifest
        took = self.timed_smoke("good")
        self.assertGreaterEqual(len(names), 40)
        def failures():
            """By the job's name."""
            return {job["metadata"]["name"]: c for job in self.get("tj") for c in job.get("status", {}).get(
                "conditions", []) if (c["type"], c["status"], c["reason"]) == ("Failed", "True", "InvalidSpec")}
        wait_for("failure of all", lambda: names.keys() <= failures().keys(), 60, every=1)
        for name, failed in failures().items():
            if name in names:
                with self.subTest(names[name].name):
                    self.assert_names_the_field(names[name], failed)
        owners = {item["metadata"]["labels"].get("longstride.dev/job-name")
                  for item in self.get("pods,networkpolicies") if item["metadata"].get("labels")}
        self.assertEqual(owners & names.keys(), set())
        print(f"{len(names)} broken jobs that slipped through failed; a good one alone took {alone:.0f} s, after them "
              f"{took:.0f} s")
        self.assertLess(took, alone + DELAY_SECONDS)
        self.assertEqual(restarts_of_controllers(), before)

    def load_unchecked(self, manifest):
        """As kubectl would send it, whatever the schema says."""
        sent = self.kubectl("create", "--dry-run=client", "--validate=false", "--output=json", "--filename",
                            str(manifest))
        job = json.loads(sent)
        if job.get("kind") != "TrainingJob":
            raise ValueError(job)
        return job
