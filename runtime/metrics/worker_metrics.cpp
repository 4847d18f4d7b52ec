#include "runtime/metrics/worker_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <exception>
#include <map>

#include "core/base/format.h"
#include "runtime/metrics/metric_table.h"

namespace longstride {
namespace {

const MetricDescription& Describe(Metric metric) {
  return MetricTable()[static_cast<size_t>(metric)];
}

// References into families live as long as the registry and are looked up once: nothing is ever
// removed.
class PrometheusMetrics final : public WorkerMetrics {
 public:
  explicit PrometheusMetrics(const MetricsOptions& options)
      : registry_(std::make_shared<prometheus::Registry>()),
        round_seconds_(prometheus::BuildHistogram()
                           .Name(Describe(Metric::kRoundSeconds).name)
                           .Help(Describe(Metric::kRoundSeconds).help)
                           .Register(*registry_)
                           .Add({}, DurationBuckets())) {
    for (const MetricDescription& m : MetricTable()) {
      if (m.type == MetricType::kCounter) {
        counters_[m.metric] =
            &prometheus::BuildCounter().Name(m.name).Help(m.help).Register(*registry_);
        if (m.labels.empty()) counters_[m.metric]->Add({});
      } else if (m.type == MetricType::kGauge) {
        gauges_[m.metric] =
            &prometheus::BuildGauge().Name(m.name).Help(m.help).Register(*registry_);
      }
    }
    gauges_[Metric::kInfo]
        ->Add({{"group", options.worker.group},
               {"index", std::to_string(options.worker.index)},
               {"device", options.device},
               {"device_name", options.device_name}})
        .Set(1);
    Set(Metric::kMemoryLimit, static_cast<double>(options.memory_limit_bytes));
    for (const std::string& purpose : options.purposes) {
      sent_.push_back(&counters_[Metric::kSentBytes]->Add({{"purpose", purpose}}));
      received_.push_back(&counters_[Metric::kReceivedBytes]->Add({{"purpose", purpose}}));
    }
  }

  Status Serve(const std::string& address) {
    try {
      // Two threads: one scraper at a time, and one spare.
      exposer_ = std::make_unique<prometheus::Exposer>(address, 2);
      exposer_->RegisterCollectable(registry_);
      const std::vector<int> ports = exposer_->GetListeningPorts();
      port_ = ports.empty() ? 0 : ports.front();
    } catch (const std::exception& e) {  // CivetException, when the address is taken
      return TransientError(
          Format("cannot serve metrics on %s (%s); choose another --metrics-port, or 0 for any",
                 address.c_str(), e.what()));
    }
    return Status();
  }

  void Observe(const RoundReport& r) override {
    Set(Metric::kRound, static_cast<double>(r.round));
    Increment(Metric::kRounds, 1);
    Increment(r.delta_finite ? Metric::kSamples : Metric::kDiscardedSamples,
              static_cast<double>(r.local_samples));
    Set(Metric::kLocalBatch, static_cast<double>(r.local_batch));
    Set(Metric::kGlobalBatch, static_cast<double>(r.global_batch));
    Set(Metric::kLocalSteps, static_cast<double>(r.local_steps));
    Set(Metric::kLearningRate, r.learning_rate);
    Set(Metric::kLoss, r.loss);
    if (r.evaluation_loss) Set(Metric::kEvaluationLoss, *r.evaluation_loss);
    if (r.evaluation_accuracy) Set(Metric::kEvaluationAccuracy, *r.evaluation_accuracy);
    if (r.statistics_finite) {
      Set(Metric::kNoiseScale, r.noise_scale);
      Set(Metric::kNormTestRatio, r.norm_test_ratio);
      Set(Metric::kSkew, r.skew);
    } else {
      Increment(Metric::kNonfiniteStatistics, 1);
    }
    for (size_t i = 0; i < std::min(sent_.size(), r.bytes_sent.size()); ++i) {
      sent_[i]->Increment(static_cast<double>(r.bytes_sent[i]));
    }
    for (size_t i = 0; i < std::min(received_.size(), r.bytes_received.size()); ++i) {
      received_[i]->Increment(static_cast<double>(r.bytes_received[i]));
    }
    Spend("data", r.seconds.data);
    Spend("compute", r.seconds.compute);
    Spend("communication", r.seconds.communication);
    Spend("outer", r.seconds.outer);
    Spend("evaluation", r.seconds.evaluation);
    Spend("checkpoint", r.seconds.checkpoint);
    round_seconds_.Observe(r.wall_seconds);
    Set(Metric::kMemory, static_cast<double>(r.memory_bytes));
    Set(Metric::kGenerationTerm, static_cast<double>(r.generation.term));
    Set(Metric::kGenerationCounter, static_cast<double>(r.generation.counter));
    Set(Metric::kPlanVersion, static_cast<double>(r.plan_version));
    if (r.micro_batch_cap) Set(Metric::kMicroBatchCap, static_cast<double>(*r.micro_batch_cap));
    if (r.checkpointed) Increment(Metric::kCheckpoints, 1);
  }

  void ObserveGpu(int index, const GpuDescription& gpu) override {
    const prometheus::Labels label{{"gpu", std::to_string(index)}};
    const auto set = [&](Metric metric, double value) {
      gauges_.at(metric)->Add(label).Set(value);
    };
    set(Metric::kGpuMemory, static_cast<double>(gpu.memory_used_bytes));
    set(Metric::kGpuMemoryTotal, static_cast<double>(gpu.memory_total_bytes));
    if (gpu.utilization) set(Metric::kGpuUtilization, *gpu.utilization);
    if (gpu.ecc_uncorrected)
      set(Metric::kGpuEccUncorrected, static_cast<double>(*gpu.ecc_uncorrected));
    auto& throttled = throttled_[index];
    for (auto& [reason, gauge] : throttled) gauge->Set(0);
    for (const std::string& reason : gpu.throttle_reasons) {
      prometheus::Labels labels = label;
      labels["reason"] = reason;
      throttled[reason] = &gauges_.at(Metric::kGpuThrottled)->Add(labels);
      throttled[reason]->Set(1);
    }
  }

  int port() const override { return port_; }

  std::string Render() const override {
    return prometheus::TextSerializer().Serialize(registry_->Collect());
  }

 private:
  // A gauge appears with its first value: none is shown that was never measured.
  void Set(Metric metric, double value) { gauges_.at(metric)->Add({}).Set(value); }
  void Increment(Metric metric, double by) { counters_.at(metric)->Add({}).Increment(by); }
  void Spend(const char* activity, double seconds) {
    counters_.at(Metric::kActivitySeconds)
        ->Add({{"activity", activity}})
        .Increment(std::max(0.0, seconds));
  }

  std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Histogram& round_seconds_;
  std::map<Metric, prometheus::Family<prometheus::Counter>*> counters_;
  std::map<Metric, prometheus::Family<prometheus::Gauge>*> gauges_;
  // By GPU and reason, those that were ever seen.
  std::map<int, std::map<std::string, prometheus::Gauge*>> throttled_;
  std::vector<prometheus::Counter*> sent_;
  std::vector<prometheus::Counter*> received_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  int port_ = 0;
};

}  // namespace

Result<std::unique_ptr<WorkerMetrics>> WorkerMetrics::Start(const MetricsOptions& options) {
  auto metrics = std::make_unique<PrometheusMetrics>(options);
  if (!options.address.empty()) LONGSTRIDE_RETURN_IF_ERROR(metrics->Serve(options.address));
  return std::unique_ptr<WorkerMetrics>(std::move(metrics));
}

}  // namespace longstride
