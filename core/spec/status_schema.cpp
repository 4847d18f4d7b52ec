#include "core/spec/status_schema.h"

#include <string>

namespace longstride {
namespace {

using Json = nlohmann::ordered_json;

Json String(const std::string& description) {
  return {{"description", description}, {"type", "string"}};
}
Json Time(const std::string& description) {
  return {{"description", description}, {"type", "string"}, {"format", "date-time"}};
}
Json Count(const std::string& description) {
  return {{"description", description}, {"type", "integer"}, {"format", "int64"}, {"minimum", 0}};
}
Json Number(const std::string& description) {
  return {{"description", description}, {"type", "number"}, {"format", "double"}};
}
Json Object(const std::string& description, Json properties) {
  return {{"description", description}, {"type", "object"}, {"properties", std::move(properties)}};
}
Json ByName(const std::string& description, Json item) {
  return {
      {"description", description}, {"type", "object"}, {"additionalProperties", std::move(item)}};
}
Json ListByKey(const std::string& description, const std::string& key, Json item) {
  return {{"description", description},
          {"type", "array"},
          {"maxItems", 64},
          {"x-kubernetes-list-type", "map"},
          {"x-kubernetes-list-map-keys", {key}},
          {"items", std::move(item)}};
}

// As metav1.Condition.
Json Conditions() {
  Json status = String("True, False or Unknown.");
  status["enum"] = {"True", "False", "Unknown"};
  Json reason = String("Why, as one word.");
  reason["maxLength"] = 1024;
  Json message = String("Why, for a person, and what to do.");
  message["maxLength"] = 32768;
  Json type =
      String("Running, Suspended, Complete, Failed, Restarting, Profiled, CheckpointDurable.");
  type["maxLength"] = 316;
  Json condition =
      Object("One aspect of the job's state.",
             {{"type", type},
              {"status", status},
              {"observedGeneration", Count("metadata.generation that this was said of.")},
              {"lastTransitionTime", Time("When status last changed.")},
              {"reason", reason},
              {"message", message}});
  condition["required"] = {"type", "status", "lastTransitionTime", "reason", "message"};
  return ListByKey("The job's state, aspect by aspect.", "type", std::move(condition));
}

// One entry for each worker of the group, by index.
Json PerWorker(const std::string& description) {
  return {{"description", description},
          {"type", "array"},
          {"maxItems", 1024},
          {"x-kubernetes-list-type", "atomic"},
          {"items", {{"type", "integer"}, {"format", "int64"}}}};
}

Json Groups() {
  Json profile =
      Object("Measured speed of its workers; absent until they are profiled.",
             {{"alphaSeconds", Number("Fixed part of a local step's time (alpha). Unit: seconds.")},
              {"betaSeconds", Number("Time of each sample in it (beta). Unit: seconds.")},
              {"microBatchCap", Count("Largest micro-batch that fits into memory. Unit: samples.")},
              {"share", Number("Share of the samples that the group takes; 0 to 1.")}});
  Json group = Object(
      "One group of workers.",
      {{"name", String("Name of the group.")},
       {"replicas", Count("Workers that the group has.")},
       {"ready", Count("Those of them that are ready.")},
       {"profile", std::move(profile)},
       {"incarnations", PerWorker("Of each worker: number of its newest pod.")},
       {"ended", PerWorker("Of each worker: number of the newest pod whose end is accounted for.")},
       {"failures", PerWorker("Of each worker: ends that count towards the backoff limits.")},
       {"endedAt", PerWorker("Of each worker: when the last such end was. Unit: Unix seconds.")}});
  group["required"] = {"name"};
  return ListByKey("Workers by group.", "name", std::move(group));
}

Json LastFailure() {
  return Object("The newest end of a worker that counted against the job.",
                {{"worker", String("Group and index, as worker-0.")},
                 {"pod", String("Name of its pod.")},
                 {"node", String("Node that it ran on.")},
                 {"reason", String("Why, as one word.")},
                 {"exitCode", Count("Exit code, if it had one; see docs/errors.md.")},
                 {"message", String("The last that it said.")},
                 {"time", Time("When that was.")}});
}

}  // namespace

Json StatusSchema() {
  return Object(
      "What the controller knows of the job. Progress is renewed every 10 seconds at most.",
      {{"observedGeneration", Count("metadata.generation that this status answers to.")},
       {"state", String("The job's state in one word, for people; programs read conditions.")},
       {"conditions", Conditions()},
       {"replicas", Count("Workers that the job has, by the last look.")},
       {"readyReplicas", Count("Those of them that are ready.")},
       {"ready", String("readyReplicas and replicas, as 3/4.")},
       {"selector", String("Label selector of the job's pods, for the scale subresource.")},
       {"round", Count("Last committed round.")},
       {"samples", Count("Training samples in committed rounds.")},
       {"epoch", Number("Passes over the training data.")},
       {"globalBatch", Count("Global batch (B). Unit: samples per local step.")},
       {"localSteps", Count("Local steps between two synchronizations (H).")},
       {"loss", Number("Mean training loss of the last round.")},
       {"accuracy", Number("Accuracy on the evaluation data, when last measured; 0 to 1.")},
       {"bytesSent", Count("Payload bytes that all workers together sent to each other.")},
       {"communicationPercent",
        Number("Share of the workers' time that communication took, waiting for peers included.")},
       {"totals",
        Object("What all workers together have done since the job was created.",
               {{"sentBytes",
                 ByName("Payload bytes sent, by purpose.", Count("Bytes of this purpose."))},
                {"dataParallelBytes", Count("Bytes that data-parallel SGD would have sent.")},
                {"activitySeconds",
                 ByName("Time by activity. Unit: seconds.", Number("Seconds of this one."))}})},
       {"restarts", Count("Workers lost and replaced.")},
       {"discardedSamples",
        Count("Samples that were trained on and lost, as no checkpoint held them.")},
       {"groups", Groups()},
       {"lastFailure", LastFailure()},
       {"startTime", Time("When the job was first acted upon.")},
       {"completionTime", Time("When the job was complete or failed.")},
       {"lastCheckpoint", Object("The newest complete checkpoint.",
                                 {{"round", Count("Round after which it was written.")},
                                  {"samples", Count("Training samples in its rounds.")},
                                  {"time", Time("When that was.")}})},
       {"specHash", String("Digest of what must not change while the job runs.")},
       {"waitingSince", Time("Since when the job waits for workers to train with.")},
       {"startAttempts", Count("Times that it gave up its pods for want of workers.")},
       {"retryTime", Time("When it tries again after that.")},
       {"stopRequestedTime", Time("When its workers were told to stop for a suspend.")}});
}

}  // namespace longstride
