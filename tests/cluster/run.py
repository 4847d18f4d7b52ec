#!/usr/bin/env python3
"""run.py [-k WORD]... [-x WORD]... [--again] [--minutes M]: runs the scenarios in test_*.py on the running cluster
(up.sh), one after the other.

With -k only those whose name contains a WORD, with -x none of those. Prints a line per scenario, what the namespace
looked like for each that failed, and last 'N passed, N failed, N skipped'. Namespaces that do not go away count as a
failure.

For machines that are shared: with --again those that failed are run once more, and only who fails twice has failed; what
passed then is named. With --minutes none is begun after so long; what was not run is named, and no failure.
"""
import argparse
import sys
import time
import unittest

import harness
import operator_test

DELETION_SECONDS = 60
AGAIN_SECONDS = 600  # for those that are run once more


class Report(unittest.TestResult):
    def __init__(self, suite, end):
        super().__init__()
        self.end = end  # after which no scenario is begun
        self.passed, self.left = [], list(scenarios(suite))
        self.began = time.monotonic()  # what fails before its first scenario (setUpClass) has one, too

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.left.remove(test)

    def stopTest(self, test):
        super().stopTest(test)
        if time.monotonic() > self.end:
            self.stop()

    def failed(self):
        """The scenarios that failed, and how often something failed that is none."""
        tests = [getattr(test, "test_case", test) for test, _ in self.failures]
        of_scenarios = [test for test in tests if isinstance(test, harness.ClusterTest)]
        return list(dict.fromkeys(of_scenarios)), len(tests) - len(of_scenarios)

    def line(self, verdict, test, detail=""):
        print(f"{verdict:6} {time.monotonic() - self.began:6.1f} s  {test.id()}{detail}", flush=True)

    def addSuccess(self, test):
        self.passed.append(test)
        self.line("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell(test)
        print(harness.describe(test), flush=True)

    def addSubTest(self, test, subtest, err):
        if err:
            super().addFailure(subtest, err)
            self.tell(subtest)

    def tell(self, test):
        self.line("FAILED", test)
        print(self.failures[-1][1], flush=True)

    def addError(self, test, err):
        self.addFailure(test, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("skip", test, f": {reason}")


def scenarios(suite):
    for test in suite:
        yield from scenarios(test) if isinstance(test, unittest.TestSuite) else [test]


def namespaces_went_away():
    try:
        harness.kubectl("wait", "--for=delete", "namespace",
                        f"--selector={harness.NAMESPACE_LABEL}={harness.RUN}",
                        f"--timeout={DELETION_SECONDS}s", timeout=DELETION_SECONDS + 5)
    except harness.CommandFailed as failure:
        print(f"FAILED namespaces of scenarios are still there after {DELETION_SECONDS} s\n{failure}")
        return False
    return True


def operator_went_away():
    try:
        operator_test.uninstall()
    except harness.CommandFailed as failure:
        print(f"FAILED to uninstall the operator\n{failure}")
        return False
    return True


def order(test):
    """What shows the most in the least time comes first, for runs that end early."""
    firsts = ["test_cluster.", "test_crd.", "test_operator.OperatorTest.test_the_demo"]
    return next((i for i, first in enumerate(firsts) if test.id().startswith(first)), len(firsts))


def run(tests, end):
    suite = unittest.TestSuite(tests)
    report = Report(suite, end)
    suite.run(report)
    for test in report.left:
        print(f"NOT RUN        {test.id()}")
    return report


def run_again(failed):
    """Those that failed, in a cluster as it was for the first of all; returns the scenarios that passed now."""
    print(f"\n{len(failed)} failed, and run once more:", flush=True)
    operator_went_away()
    report = run([type(test)(test._testMethodName) for test in failed], time.monotonic() + AGAIN_SECONDS)
    for test in report.passed:
        print(f"FLAKY          {test.id()}: passed at the second attempt")
    return report.passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", metavar="WORD", action="append", help="only scenarios with this in their name")
    parser.add_argument("-x", metavar="WORD", action="append", default=[], help="none with this in their name")
    parser.add_argument("--again", action="store_true", help="run those that failed once more")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin none after so long")
    a = parser.parse_args()
    end = time.monotonic() + 60 * a.minutes
    found = sorted(scenarios(unittest.defaultTestLoader.discover(str(harness.CLUSTER))), key=order)
    chosen = [t for t in found if (not a.k or any(w in t.id() for w in a.k)) and not any(w in t.id() for w in a.x)]
    report = run(chosen, end)
    failed, others = report.failed()
    passed = report.passed + (run_again(failed) if a.again and failed else [])
    bad = len({t.id() for t in failed} - {t.id() for t in passed}) + others
    bad += (not operator_went_away()) + (not namespaces_went_away())
    print(f"\n{len(passed)} passed, {bad} failed, {len(report.skipped)} skipped" +
          (f", {len(report.left)} not run" if report.left else ""))
    return 1 if bad or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
