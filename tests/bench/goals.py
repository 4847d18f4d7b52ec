"""What is wanted of a benchmark's figures: judged, printed and written in the same way by all benchmarks.

A goal that is missed is said, and does not fail the benchmark: its exit code tells whether it could measure. Only what
no machine excuses makes it fail, too: samples lost or repeated, parameters that differ.
"""

import math
import operator

RELATIONS = {"<=": ("at most", operator.le), "<": ("below", operator.lt), "==": ("exactly", operator.eq),
             ">=": ("at least", operator.ge), ">": ("above", operator.gt)}


def goal(what, value, relation, wanted):
    """A figure and its verdict. What was not measured, or not fairly, is None, and meets nothing."""
    known = value is not None and math.isfinite(value)
    return {"goal": what, "value": value if known else None, "relation": relation, "wanted": wanted,
            "met": bool(known and RELATIONS[relation][1](value, wanted))}


def judged(goals):
    """Prints the verdicts; what the JSON file gets: {goals, met}, where `met` says whether all are."""
    print()
    for g in goals:
        value = "not measured" if g["value"] is None else f"{g['value']:.4g}"
        print(f"{g['goal']:58s}{value:>13s}, wanted: {RELATIONS[g['relation']][0]} {g['wanted']:.4g}: "
              f"{'met' if g['met'] else 'NOT met'}")
    return {"goals": goals, "met": bool(goals) and all(g["met"] for g in goals)}
