// The table's top level, worker groups, and everything around training.
#include "core/spec/field_builders.h"

namespace longstride {

using namespace field_builders;  // NOLINT: a table is unreadable with every name qualified

std::vector<Field> JobFields() {
  std::vector<Field> f;
  f.push_back(String("apiVersion", nullptr, "Always longstride.dev/v1alpha1.").Required());
  f.push_back(String("kind", nullptr, "Always TrainingJob.").Required());
  f.push_back(Object("metadata", "Kubernetes metadata; fields that the API server sets are kept.")
                  .Required());
  f.push_back(
      String(
          "metadata.name", [](TrainingJob& j, size_t) -> FieldRef { return &j.metadata.name; },
          "Name of the job: lower-case letters, digits and '-'. With the name of each worker "
          "group it has at most 51 characters, as pods' names hold both.")
          .Required()
          .MaxLength(63)
          .Pattern(kLabelPattern)
          .Example("fashion-mnist"));
  f.push_back(String(
                  "metadata.namespace",
                  [](TrainingJob& j, size_t) -> FieldRef { return &j.metadata.namespace_; },
                  "Namespace that the job and its pods live in.")
                  .MaxLength(63)
                  .Pattern(kLabelPattern));
  f.push_back(Make(
      FieldType::kStringMap, "metadata.labels",
      [](TrainingJob& j, size_t) -> FieldRef { return &j.metadata.labels; }, "Labels of the job."));
  f.push_back(Make(
      FieldType::kStringMap, "metadata.annotations",
      [](TrainingJob& j, size_t) -> FieldRef { return &j.metadata.annotations; },
      "Annotations of the job."));
  f.push_back(Object("spec", "What to train, on what, and how.").Required());
  f.push_back(
      Integer("spec.replicas", LONGSTRIDE_AT(replicas), From(1, 1024), "workers",
              "Workers in total, dealt to the groups within their minReplicas and maxReplicas."));
  f.push_back(Integer("spec.seed", LONGSTRIDE_AT(seed), From(0), "",
                      "Seed of initial parameters, data order, dropout and synthetic data."));

  f.push_back(Make(FieldType::kObjectList, "spec.workers", nullptr,
                   "Groups of workers that are alike; one group named worker if left out.")
                  .Items(1, 64));
  f.push_back(
      String("spec.workers[].name", LONGSTRIDE_GROUP_AT(name),
             "Name of the group, part of its pods' names: lower-case letters, digits and '-'.")
          .MaxLength(50)
          .Pattern(kLabelPattern)
          .Example("gpu"));
  f.push_back(Integer("spec.workers[].minReplicas", LONGSTRIDE_GROUP_AT(min_replicas),
                      From(0, 1024), "workers", "Fewest workers of this group."));
  f.push_back(Integer("spec.workers[].maxReplicas", LONGSTRIDE_GROUP_AT(max_replicas),
                      From(1, 1024), "workers", "Most workers of this group."));
  f.push_back(Object("spec.workers[].batch", "Bounds of each worker's share of the global batch."));
  f.push_back(Integer("spec.workers[].batch.min", LONGSTRIDE_GROUP_AT(batch.min), From(1),
                      "samples per local step", "Smallest local batch."));
  f.push_back(Integer("spec.workers[].batch.max", LONGSTRIDE_GROUP_AT(batch.max), From(1),
                      "samples per local step",
                      "Largest local batch; what does not fit into memory is accumulated."));
  f.push_back(
      Make(FieldType::kOpaque, "spec.workers[].template", LONGSTRIDE_GROUP_AT(pod_template),
           "Pod template (corev1.PodTemplateSpec); its container named worker is completed, "
           "all else kept. In a cluster only."));

  f.push_back(Object("spec.model", ""));
  f.push_back(Object("spec.data", ""));
  f.push_back(Object("spec.training", ""));

  f.push_back(Object("spec.evaluation",
                     "When to measure on the evaluation data, and when that ends the job."));
  f.push_back(Integer("spec.evaluation.everySamples", LONGSTRIDE_AT(evaluation.every_samples),
                      From(0), "samples",
                      "Evaluate each time this many samples were trained on; 0 = once an epoch."));
  Field target = Object("spec.evaluation.target", "Stop the job as complete once this is reached.");
  target.present = [](const TrainingJob& j) { return j.spec.evaluation.target.has_value(); };
  target.create = [](TrainingJob& j) { j.spec.evaluation.target.emplace(); };
  f.push_back(std::move(target));
  f.push_back(Enum("spec.evaluation.target.metric", LONGSTRIDE_ENUM_AT(evaluation.target->metric),
                   {"accuracy", "loss"},
                   "Stop at an accuracy of at least, or a loss of at most, value."));
  f.push_back(Number("spec.evaluation.target.value", LONGSTRIDE_AT(evaluation.target->value),
                     From(0), "", "The accuracy (a fraction of 1) or loss to reach.")
                  .Required()
                  .Example("0.9"));

  f.push_back(Object("spec.checkpoint", "How often state is saved, and where."));
  f.push_back(Integer(
      "spec.checkpoint.everyRounds", LONGSTRIDE_AT(checkpoint.every_rounds), From(0), "rounds",
      "Write a checkpoint each time this many rounds are done; 0 = only when stopping."));
  f.push_back(Integer("spec.checkpoint.keep", LONGSTRIDE_AT(checkpoint.keep), From(1, 1000),
                      "checkpoints", "Keep this many of the latest, delete older ones."));
  Field storage = Object(
      "spec.checkpoint.storage",
      "Volume that outlives the pods; without it a job whose pods are all gone starts over. In a "
      "cluster only.");
  storage.present = [](const TrainingJob& j) { return j.spec.checkpoint.storage.has_value(); };
  storage.create = [](TrainingJob& j) { j.spec.checkpoint.storage.emplace(); };
  f.push_back(std::move(storage));
  f.push_back(String("spec.checkpoint.storage.claimName",
                     LONGSTRIDE_AT(checkpoint.storage->claim_name),
                     "PersistentVolumeClaim (ReadWriteMany) in the job's namespace.")
                  .Required()
                  .MaxLength(253)
                  .Pattern(kSubdomainPattern)
                  .Example("checkpoints"));
  f.push_back(String("spec.checkpoint.storage.subPath", LONGSTRIDE_AT(checkpoint.storage->sub_path),
                     "Folder in the volume, relative to its root.")
                  .MaxLength(kMaxPathLength));

  f.push_back(Object("spec.runPolicy", "Limits on the job as a whole, and its life in a cluster."));
  f.push_back(Boolean("spec.runPolicy.suspend", LONGSTRIDE_AT(run_policy.suspend),
                      "True: write a checkpoint, if there is checkpoint.storage, and delete all "
                      "pods; false again: go on from it, or begin at round 0. In a cluster only."));
  f.push_back(Integer("spec.runPolicy.suspendGraceSeconds",
                      LONGSTRIDE_AT(run_policy.suspend_grace_seconds), From(0, 1e6), "seconds",
                      "How long a suspended job's pods may take to end their round and write the "
                      "checkpoint; 0 = from the measured times. In a cluster only."));
  f.push_back(Integer("spec.runPolicy.activeDeadlineSeconds",
                      LONGSTRIDE_AT(run_policy.active_deadline_seconds), From(0, 1e9), "seconds",
                      "End the job after this time: in a cluster it fails; longstride run finishes "
                      "the round, writes a checkpoint and exits with 7. 0 = never."));
  f.push_back(Integer(
      "spec.runPolicy.backoffLimit", LONGSTRIDE_AT(run_policy.backoff_limit), From(0, 1e6),
      "restarts", "Workers lost before the job fails; each is replaced, after a growing pause."));
  f.push_back(Integer("spec.runPolicy.backoffLimitPerWorker",
                      LONGSTRIDE_AT(run_policy.backoff_limit_per_worker), From(0, 1e6), "restarts",
                      "How often one worker may be lost before the job fails; 0 = as often as "
                      "backoffLimit allows. In a cluster only."));
  f.push_back(Integer("spec.runPolicy.startTimeoutSeconds",
                      LONGSTRIDE_AT(run_policy.start_timeout_seconds), From(0, 1e9), "seconds",
                      "A job that cannot start for this long, for want of its groups' minReplicas, "
                      "gives up all its pods, so that another may have their place, and tries "
                      "again later; 0 = never. In a cluster only."));
  f.push_back(Integer("spec.runPolicy.ttlSecondsAfterFinished",
                      LONGSTRIDE_AT(run_policy.ttl_seconds_after_finished), From(-1, 1e9),
                      "seconds",
                      "Delete the job, with its pods, this long after its end; -1 = never. In a "
                      "cluster only."));
  f.push_back(Enum("spec.runPolicy.cleanPodPolicy", LONGSTRIDE_ENUM_AT(run_policy.clean_pod_policy),
                   {"none", "running", "all"},
                   "Which pods are deleted at the job's end: none, those that still run, or all "
                   "(with their logs). In a cluster only."));
  f.push_back(
      String("spec.runPolicy.managedBy", LONGSTRIDE_AT(run_policy.managed_by),
             "The controller that runs the job; this operator leaves jobs of others alone. "
             "Empty = longstride.dev/controller. In a cluster only.")
          .MaxLength(63)
          .Pattern("^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/.+)?$")
          .Example("kueue.x-k8s.io/multikueue"));
  f.push_back(
      Boolean("spec.runPolicy.shedStragglers", LONGSTRIDE_AT(run_policy.shed_stragglers),
              "Give up a worker that holds the others up for twelve rounds whatever share it "
              "gets, and start it anew; counts towards backoffLimit."));

  f.push_back(Object(
      "spec.cost",
      "Prices, by which longstride run and longstride report state what a run's rounds cost."));
  f.push_back(String("spec.cost.currency", LONGSTRIDE_AT(cost.currency),
                     "ISO 4217 code of all prices here.")
                  .MaxLength(3)
                  .Pattern("^[A-Z]{3}$")
                  .Example("EUR"));
  f.push_back(Number("spec.cost.workerHour", LONGSTRIDE_AT(cost.worker_hour), From(0), "currency",
                     "Price of one worker for one hour."));
  f.push_back(Number("spec.cost.gigabyteSent", LONGSTRIDE_AT(cost.gigabyte_sent), From(0),
                     "currency", "Price of 10^9 bytes sent."));

  f.push_back(Object("spec.limits", "Bounds that adaptation never passes."));
  f.push_back(Integer("spec.limits.maxGlobalBatch", LONGSTRIDE_AT(limits.max_global_batch),
                      From(1, 1e9), "samples per local step",
                      "Largest batch of all workers together."));
  f.push_back(Numeric(FieldType::kQuantity, "spec.limits.memory",
                      LONGSTRIDE_AT(limits.memory_bytes), From(0), "bytes",
                      "Memory that one worker may use; 0 = what its container or machine allows.")
                  .MaxLength(32)
                  .Pattern("^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][-+]?[0-9]+|[kMGTPE]|[KMGTPE]i)?$")
                  .Example("2Gi"));
  return f;
}

}  // namespace longstride
