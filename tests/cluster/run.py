#!/usr/bin/env python3
"""run.py [-k WORD]...: runs the scenarios in test_*.py on the running cluster (up.sh), one after the other.

With -k only those whose name contains a WORD. Prints a line per scenario, what the namespace looked like for each
that failed, and last 'N passed, N failed, N skipped'. Namespaces that do not go away count as a failure.
"""
import argparse
import sys
import time
import unittest

import harness
import operator_test

DELETION_SECONDS = 60


class Report(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = 0
        self.began = time.monotonic()  # what fails before its first scenario (setUpClass) has one, too

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def line(self, verdict, test, detail=""):
        print(f"{verdict:6} {time.monotonic() - self.began:6.1f} s  {test.id()}{detail}", flush=True)

    def addSuccess(self, test):
        self.passed += 1
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", metavar="WORD", action="append", help="only scenarios with this in their name")
    words = parser.parse_args().k
    found = scenarios(unittest.defaultTestLoader.discover(str(harness.CLUSTER)))
    chosen = unittest.TestSuite(t for t in found if not words or any(w in t.id() for w in words))
    report = Report()
    chosen.run(report)
    failed = len(report.failures) + (not operator_went_away()) + (not namespaces_went_away())
    print(f"\n{report.passed} passed, {failed} failed, {len(report.skipped)} skipped")
    return 1 if failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
