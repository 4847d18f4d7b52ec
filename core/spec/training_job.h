// The TrainingJob as typed values: what `kubectl apply` and `longstride run` take, after parsing,
// defaulting and validation. The member initializers here are the defaults; names, bounds,
// conditions and descriptions are in the field table (fields.h), which reads the defaults from
// here.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace longstride {

enum class ModelKind { kMlp, kCnn, kResnet, kGpt, kTorchscript };
enum class ResnetStyle { kCifar, kImagenet };
enum class ScriptLoss { kCrossEntropy, kMeanSquaredError };
enum class DataFormat { kIdx, kNpy, kCifar10, kTokens, kText, kSynthetic };
enum class TokenType { kUint16, kUint32 };
enum class SyntheticTask { kClassification, kRegression, kImages, kTokens };
enum class Precision { kFloat32, kFloat64 };
enum class OptimizerKind { kSgd, kAdagrad, kAdam, kAdamw };
enum class ScheduleKind { kConstant, kCosine, kLinear, kStep };
enum class CouplingKind { kNone, kLinear, kSqrt, kAdascale };
enum class LocalStepsPolicy { kConstant, kPostLocal, kQsr, kAuto };
enum class BatchPolicy { kFixed, kAdaptive };
enum class BatchTest { kNorm, kInnerProduct, kAugmentedInnerProduct };
enum class TestScope { kLocal, kGlobal };
enum class NoiseEstimator { kExact, kSketch, kMicrobatch, kPseudoGradient };
enum class OuterOptimizerKind { kAverage, kNesterov, kSlowmo };
enum class MessageType { kFloat32, kBfloat16 };
enum class InnerStatePolicy { kKeep, kAverage, kReset };
enum class TargetMetric { kAccuracy, kLoss };
enum class CleanPodPolicy { kNone, kRunning, kAll };

struct ObjectMeta {
  std::string name;
  std::string namespace_ = "default";
  nlohmann::json labels = nlohmann::json::object();
  nlohmann::json annotations = nlohmann::json::object();
  // Everything else that the API server keeps in metadata (uid, resourceVersion, ...), untouched.
  nlohmann::json other = nlohmann::json::object();
};

struct BatchBounds {
  int64_t min = 1;     // samples per local step
  int64_t max = 4096;  // samples per local step
};

struct WorkerGroup {
  std::string name = "worker";
  int64_t min_replicas = 0;
  int64_t max_replicas = 1024;
  BatchBounds batch;
  nlohmann::json pod_template = nlohmann::json::object();  // corev1.PodTemplateSpec, opaque here
};

struct MlpModel {
  std::vector<int64_t> hidden{256};
};
struct CnnModel {
  std::vector<int64_t> channels{16, 32};
  int64_t hidden = 256;
};
struct ResnetModel {
  ResnetStyle style = ResnetStyle::kCifar;
  int64_t depth = 20;  // cifar: 6n+2; imagenet: 18 or 50
};
struct GptModel {
  int64_t layers = 4;
  int64_t heads = 4;
  int64_t width = 128;
  double dropout = 0.0;
};
struct TorchscriptModel {
  std::string path;
  ScriptLoss loss = ScriptLoss::kCrossEntropy;
};
struct ModelSpec {
  ModelKind kind = ModelKind::kCnn;
  MlpModel mlp;
  CnnModel cnn;
  ResnetModel resnet;
  GptModel gpt;
  TorchscriptModel torchscript;
};

struct SyntheticData {
  SyntheticTask task = SyntheticTask::kClassification;
  int64_t samples = 10000;
  int64_t evaluation_samples = 1000;
  std::vector<int64_t> shape{
      32};  // of one sample: {features}, {channels, height, width}, or unused for tokens
  int64_t classes = 10;  // classes, outputs of a regression, or vocabulary
  double noise = 0.1;    // standard deviation of label or feature noise
};
struct Normalization {
  std::vector<double> mean;  // one value, or one per channel; empty = 0
  std::vector<double> std;   // as mean; empty = 1
};
struct DataSpec {
  DataFormat format = DataFormat::kIdx;
  std::string path;             // folder (idx, cifar10, npy) or file (tokens, text)
  std::string evaluation_path;  // tokens, text: a file of its own; empty = the last 10 % of `path`
  Normalization normalization;
  int64_t context = 128;                      // tokens, text: tokens per sample
  TokenType token_type = TokenType::kUint16;  // tokens
  int64_t vocabulary = 0;                     // tokens: number of token ids; 0 = largest id + 1
  SyntheticData synthetic;
};

struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kSgd;
  double momentum = 0.0;
  bool nesterov = false;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  // sgd, adagrad, adam: L2 added to the gradient; adamw: decoupled
};
struct LearningRateSpec {
  double value = 0.05;  // peak; the parser's default for adam and adamw is 0.001
  ScheduleKind schedule = ScheduleKind::kConstant;
  int64_t warmup_samples = 0;  // linear from 0
  int64_t decay_samples =
      0;  // length of cosine or linear, warm-up included; 0 = training.maxSamples
  double final_fraction = 0.0;        // cosine, linear: where it ends, as a fraction of value
  std::vector<int64_t> step_samples;  // step: multiply by step_factor at each
  double step_factor = 0.1;
  CouplingKind coupling = CouplingKind::kNone;
};
struct LocalStepsSpec {
  LocalStepsPolicy policy = LocalStepsPolicy::kConstant;
  int64_t steps = 16;                // constant: H; postLocal: H after the switch; qsr: H_base
  int64_t max_steps = 1024;          // qsr, auto: H_max
  int64_t switch_samples = 0;        // postLocal: H = 1 before
  double qsr_coefficient = 0.02;     // qsr: the alpha of (alpha/lr)^2 [Gu 2024]
  double communication_share = 0.1;  // auto: rho
};
struct NormTestSpec {
  BatchTest test = BatchTest::kNorm;
  TestScope scope = TestScope::kGlobal;
  NoiseEstimator estimator = NoiseEstimator::kSketch;
  double eta = 0.5;            // threshold
  double theta = 0.9;          // innerProduct: threshold of the inner-product test
  double nu = 5.84;            // augmented: threshold of the orthogonality test [Bollapragada 2018]
  int64_t sketch_size = 1024;  // K
  double ema = 0.5;            // weight of the old value, on numerator and denominator separately
  double hysteresis = 0.05;
  double max_growth = 2.0;  // per round
  bool monotone = true;
  bool bias_corrected = false;
};
struct BatchSpec {
  BatchPolicy policy = BatchPolicy::kAdaptive;
  int64_t initial = 128;  // global batch: samples per local step over all workers
  NormTestSpec norm_test;
};
struct OuterOptimizerSpec {
  OuterOptimizerKind kind = OuterOptimizerKind::kAverage;
  double learning_rate = 0.7;  // nesterov; slowmo: its outer learning rate, by default 1
  double momentum = 0.9;       // nesterov; slowmo, by default 0.5
};
enum class Aggregation { kMean, kClippedMean, kTrimmedMean };
struct SynchronizationSpec {
  OuterOptimizerSpec outer;
  Aggregation aggregation = Aggregation::kMean;
  MessageType message = MessageType::kFloat32;
  InnerStatePolicy inner_state = InnerStatePolicy::kKeep;
};
struct TrainingSpec {
  Precision precision = Precision::kFloat32;
  int64_t max_samples =
      0;  // stop after; exactly one of max_samples and max_epochs, or both: the first reached
  double max_epochs = 0;  // stop after; 0 = not set
  OptimizerSpec optimizer;
  LearningRateSpec learning_rate;
  double gradient_clipping = 0.0;  // L2 norm per local step; 0 = off
  LocalStepsSpec local_steps;
  BatchSpec batch;
  SynchronizationSpec synchronization;
};

struct EvaluationTarget {
  TargetMetric metric = TargetMetric::kAccuracy;
  double value = 0;
};
struct EvaluationSpec {
  int64_t every_samples = 0;  // 0 = once an epoch
  std::optional<EvaluationTarget> target;
};

struct CheckpointStorage {
  std::string claim_name;
  std::string sub_path;
};
struct CheckpointSpec {
  int64_t every_rounds = 50;  // 0 = only when stopping
  int64_t keep = 2;
  std::optional<CheckpointStorage> storage;
};

struct RunPolicy {
  bool suspend = false;
  int64_t suspend_grace_seconds = 0;        // for the last checkpoint; 0 = from measured times
  int64_t active_deadline_seconds = 0;      // 0 = none
  int64_t backoff_limit = 20;               // workers lost before the job fails
  int64_t backoff_limit_per_worker = 0;     // the same for each worker alone; 0 = no such limit
  int64_t start_timeout_seconds = 600;      // with fewer than the least workers; 0 = forever
  int64_t ttl_seconds_after_finished = -1;  // then the job is deleted; -1 = never
  CleanPodPolicy clean_pod_policy = CleanPodPolicy::kRunning;
  std::string managed_by;  // "" = this operator
};
struct CostSpec {
  std::string currency = "USD";
  double worker_hour = 0;    // price of one worker for one hour
  double gigabyte_sent = 0;  // price of 10^9 bytes sent
};
struct LimitsSpec {
  int64_t max_global_batch = 8192;
  int64_t memory_bytes = 0;  // per worker; 0 = what the container or machine allows
};

struct TrainingJobSpec {
  int64_t replicas = 4;
  int64_t seed = 1;
  std::vector<WorkerGroup> workers{WorkerGroup{}};
  ModelSpec model;
  DataSpec data;
  TrainingSpec training;
  EvaluationSpec evaluation;
  CheckpointSpec checkpoint;
  RunPolicy run_policy;
  CostSpec cost;
  LimitsSpec limits;
};

struct TrainingJob {
  ObjectMeta metadata;
  TrainingJobSpec spec;
};

}  // namespace longstride
