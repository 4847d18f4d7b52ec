#!/usr/bin/env python3
"""Writes the Grafana dashboards, here and into the Helm chart; scripts/dashboards.sh runs it with what it needs.

`make verify` fails if they are stale.
"""

import pathlib

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import BigValueTextMode

from panels import JOB, RATE, bars, dashboard, graph, stat

HERE = pathlib.Path(__file__).resolve().parent
PLACES = [HERE, HERE.parent / "charts/longstride/dashboards"]

ACTIVITY = f"longstride_job_activity_seconds_total{{{JOB}}}"
SENT = f"longstride_job_sent_bytes_total{{{JOB}}}"
PARALLEL = f"longstride_job_data_parallel_bytes_total{{{JOB}}}"
BY_JOB = "sum by (job_namespace, job_name)"
BY_WORKER = "sum by (job_namespace, job_name, pod)"
COMMUNICATION = f'longstride_job_activity_seconds_total{{{JOB}, activity="communication"}}'
LEGEND = "{{job_name}}"
# Every replica of the controller, and nothing else, has this series.
REPLICA = 'leader_election_master_status{name="longstride-controller"}'


def job(metric, labels=""):
    return f"longstride_job_{metric}{{{JOB}{labels}}}"


def worker(metric, labels=""):
    return f"longstride_worker_{metric}{{{JOB}{labels}}}"


def of_controller(query):
    """Series of the controller's replicas alone: kubelets and other operators export metrics of the same names."""
    return f"{query} and on (job, instance) {REPLICA}"


# What two dashboards show. A panel belongs to one, so that each makes its own.
def batch():
    return graph("Global batch (B)", "Samples of one local step over all workers; grows when the norm test fails.",
                 units.Short, (job("global_batch_samples"), LEGEND), log=True)


def local_steps():
    return graph("Local steps (H)", "Local optimizer steps between two synchronizations.", units.Short,
                 (job("local_steps"), LEGEND), min=0)


def accuracy():
    return graph("Accuracy", "Share of the evaluation data that is predicted right.", units.PercentUnit,
                 (job("evaluation_accuracy_ratio"), LEGEND))


def norm_test():
    return graph("Norm test", "Noise of the batch gradient over what the norm test allows; above 1 the batch grows.",
                 units.Short, (job("norm_test_ratio"), LEGEND), min=0)


def communication_cost():
    return dashboard(
        "longstride-communication-cost", "longstride / Communication cost",
        "What communication costs each job, and what local steps and growing batches save.",
        [
            ("Totals since the job was created", 4, [
                stat("Sent", "Payload bytes that all workers together sent to each other.", units.BytesSI,
                     f"{BY_JOB} ({SENT})"),
                stat("Saved against data-parallel SGD",
                     "Bytes that data-parallel SGD would have sent for the same samples in the same batches, over those "
                     "that were sent.", units.Short,
                     f"{BY_JOB} ({PARALLEL}) / {BY_JOB} ({SENT})", decimals=1),
                stat("Share of time", "Communication's share of the workers' time, waiting for peers included.",
                     units.PercentUnit, f"{BY_JOB} ({COMMUNICATION}) / {BY_JOB} ({ACTIVITY})", decimals=1),
                stat("Sent per sample", "Payload bytes for each training sample in committed rounds.", units.BytesSI,
                     f"{BY_JOB} ({SENT}) / {BY_JOB} ({job('samples_total')})"),
            ]),
            ("Bytes", 8, [
                graph("Sent by purpose",
                      "Payload bytes a second of all workers: the model itself, statistics of the norm test, buffers, "
                      "state for joiners, evaluation.", units.BytesPerSecondSI,
                      (f"sum by (purpose) (rate({SENT}[{RATE}]))", "{{purpose}}"), stack=True, min=0),
                graph("Sent, and what data-parallel SGD would have sent",
                      "Bytes since the job was created, on a logarithmic scale: the distance is what is saved.",
                      units.BytesSI,
                      (f"{BY_JOB} ({SENT})", "{{job_name}} sent"),
                      (f"{BY_JOB} ({PARALLEL})", "{{job_name}} data-parallel SGD"), log=True),
            ]),
            ("Time", 8, [
                graph("Share of time by activity", "What the workers spend their time on.", units.PercentUnit,
                      (f"sum by (activity) (rate({ACTIVITY}[{RATE}])) / scalar(sum(rate({ACTIVITY}[{RATE}])))",
                       "{{activity}}"), stack=True, min=0, max=1),
                graph("Communication's share by worker",
                      "A worker that waits for slower ones has a high share: its batch could be larger.",
                      units.PercentUnit,
                      (f"{BY_WORKER} (rate("
                       + worker("activity_seconds_total", ', activity="communication"') + f"[{RATE}]))"
                       f" / {BY_WORKER} (rate(" + worker("activity_seconds_total") + f"[{RATE}]))",
                       "{{pod}}"), min=0, max=1),
            ]),
            ("Why it is what it is", 8, [batch(), local_steps(), norm_test(), accuracy()]),
            ("By worker", 8, [
                bars("Sent by worker",
                     "Payload bytes since the leader took the job over; processes that are older count all they sent.",
                     units.BytesSI, job("worker_sent_bytes_total"), "{{job_name}} {{worker}}", min=0),
                bars("Samples by worker", "Share of the job's samples: faster workers take larger batches.",
                     units.PercentUnit,
                     job("worker_samples_total") + " / on (job_namespace, job_name) group_left () "
                     + f"{BY_JOB} ({job('worker_samples_total')})", "{{job_name}} {{worker}}", min=0),
            ]),
        ])


def training_progress():
    return dashboard(
        "longstride-training-progress", "longstride / Training progress",
        "How far each job is, how well it learns, and how its batch and workers change.",
        [
            ("Now", 4, [
                stat("State", "The job's state, by name.", units.Short, job("state") + " == 1",
                     "{{job_name}}: {{state}}", text=BigValueTextMode.NAME),
                stat("Round", "Last committed round.", units.Short, job("round")),
                stat("Epochs", "Passes over the training data.", units.Short, job("epoch"), decimals=2),
                stat("Accuracy", "On the evaluation data.", units.PercentUnit, job("evaluation_accuracy_ratio"),
                     decimals=2),
                stat("Workers ready", "Of those that the job should have.", units.PercentUnit,
                     job("ready_replicas") + " / " + job("replicas")),
            ]),
            ("Learning", 8, [
                graph("Loss", "Mean training loss of the last round, and loss on the evaluation data.", units.Short,
                      (job("loss"), "{{job_name}} training"), (job("evaluation_loss"), "{{job_name}} evaluation")),
                accuracy(),
                graph("Learning rate", "Of the last local step.", units.ScientificNotation,
                      (job("learning_rate"), LEGEND)),
            ]),
            ("Batch", 8, [
                batch(),
                graph("Noise scale and batch",
                      "Gradient noise scale: batches well below it gain from growing.", units.Short,
                      (job("noise_scale_samples"), "{{job_name}} noise scale"),
                      (job("global_batch_samples"), "{{job_name}} batch"), log=True),
                norm_test(),
                local_steps(),
            ]),
            ("Speed", 8, [
                graph("Samples a second", "Training samples in committed rounds.", units.Short,
                      (f"rate({job('samples_total')}[{RATE}])", LEGEND), min=0),
                graph("Round time", "Median wall time of a round, synchronization included.", units.Seconds,
                      (f"histogram_quantile(0.5, sum by (job_namespace, job_name, le) (rate("
                       f"{worker('round_duration_seconds_bucket')}[{RATE}])))", LEGEND), min=0),
                graph("Local batch by worker", "Samples of one local step of each worker.", units.Short,
                      (worker("local_batch_samples"), "{{pod}}"), min=0),
                graph("Memory by worker", "Physical memory over the limit at which the worker would be killed.",
                      units.PercentUnit,
                      (worker("resident_memory_bytes") + " / " + worker("memory_limit_bytes"), "{{pod}}"), min=0),
            ]),
            ("Losses and changes of membership", 8, [
                graph("Workers", "Ready, and those that the job should have.", units.Short,
                      (job("ready_replicas"), "{{job_name}} ready"), (job("replicas"), "{{job_name}} all"), min=0),
                graph("Generation", "Grows with every change of membership.", units.Short, (job("generation"), LEGEND)),
                graph("Restarts", "Workers lost and replaced since the job began.", units.Short,
                      (job("restarts_total"), LEGEND), min=0),
                graph("Discarded samples", "Trained on and lost, as no checkpoint held them.", units.Short,
                      (job("discarded_samples_total"), LEGEND), min=0),
            ]),
        ])


def fleet():
    reconcile = '{controller="trainingjob"}'
    queue = '{name="trainingjob"}'
    return dashboard(
        "longstride-fleet", "longstride / Fleet and controller",
        "All jobs at a glance, and whether the controller keeps up with them.",
        [
            ("Jobs", 8, [
                graph("Jobs by state", "Series of a finished job go five minutes after its end.", units.Short,
                      ("sum by (state) (longstride_job_state)", "{{state}}"), stack=True, min=0),
                graph("Workers", "Ready, and those that the jobs should have.", units.Short,
                      ("sum(longstride_job_ready_replicas)", "ready"), ("sum(longstride_job_replicas)", "all"), min=0),
                graph("Workers lost", "And replaced, an hour.", units.Short,
                      ("topk(10, sum by (job_namespace, job_name) (increase(longstride_job_restarts_total[1h])))",
                       "{{job_namespace}}/{{job_name}}"), min=0),
                bars("Largest senders", "Payload bytes a second.", units.BytesPerSecondSI,
                     f"topk(10, sum by (job_namespace, job_name) (rate(longstride_job_sent_bytes_total[{RATE}])))",
                     "{{job_namespace}}/{{job_name}}", min=0),
            ]),
            ("Reconciling", 8, [
                graph("Reconciles", "Looks at jobs a second, by result.", units.OpsPerSecond,
                      ("sum by (result) ("
                       + of_controller(f"rate(controller_runtime_reconcile_total{reconcile}[{RATE}])") + ")",
                       "{{result}}"), min=0),
                graph("Reconcile time", "Median and 99th percentile.", units.Seconds,
                      *((f"histogram_quantile({q}, sum by (le) ("
                         + of_controller("rate(controller_runtime_reconcile_time_seconds_bucket"
                                         f"{reconcile}[{RATE}])") + "))", name)
                        for q, name in ((0.5, "median"), (0.99, "99 %"))), min=0),
                graph("Queue", "Jobs that wait to be looked at.", units.Short,
                      (f"sum by (name) ({of_controller(f'workqueue_depth{queue}')})", "{{name}}"), min=0),
                graph("Queued", "Times a second that a job was put in the queue, and put back after an error.",
                      units.OpsPerSecond,
                      (f"sum({of_controller(f'rate(workqueue_adds_total{queue}[{RATE}])')})", "put in"),
                      (f"sum({of_controller(f'rate(workqueue_retries_total{queue}[{RATE}])')})", "put back"), min=0),
            ]),
            ("API server and workers", 8, [
                graph("Requests to the API server", "By HTTP status; 0 = no answer.", units.RequestsPerSecond,
                      (f"sum by (method, code) ({of_controller(f'rate(rest_client_requests_total[{RATE}])')})",
                       "{{method}} {{code}}"), min=0),
                graph("Watches begun again", "As they broke or had their time.", units.OpsPerSecond,
                      (f"sum by (kind) (rate(longstride_watch_restarts_total[{RATE}]))", "{{kind}}"), min=0),
                graph("Requests of workers", "To the coordinator, by HTTP status.", units.RequestsPerSecond,
                      (f"sum by (code) (rate(longstride_coordinator_requests_total[{RATE}]))", "{{code}}"), min=0),
                graph("Hosted jobs", "Jobs whose coordinator the leader hosts.", units.Short,
                      ("sum(longstride_hosted_jobs)", "jobs"), min=0),
            ]),
            ("Replicas", 8, [
                graph("Leader", "1 for the replica that leads; the sum must be 1.", units.Short,
                      (REPLICA, "{{pod}}"), min=0, max=1),
                graph("Memory", "Physical memory of each replica.", units.BytesIEC,
                      (of_controller("process_resident_memory_bytes"), "{{pod}}"), min=0),
                graph("CPU", "Cores that each replica uses.", units.Short,
                      (of_controller(f"rate(process_cpu_seconds_total[{RATE}])"), "{{pod}}"), min=0),
            ]),
        ], of_jobs=False)


def main():
    for build in (communication_cost, training_progress, fleet):
        name = build.__name__.replace("_", "-") + ".json"
        text = JSONEncoder(indent=1, sort_keys=True).encode(build()) + "\n"
        for place in PLACES:
            place.mkdir(exist_ok=True)
            (place / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
