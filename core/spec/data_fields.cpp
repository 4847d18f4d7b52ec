// spec.data of the field table.
#include "core/spec/field_builders.h"

namespace longstride {

using namespace field_builders;  // NOLINT: a table is unreadable with every name qualified

std::vector<Field> DataFields() {
  const std::string format = "spec.data.format";
  const std::string task = "spec.data.synthetic.task";
  const std::string placement = "spec.data.placement";
  std::vector<Field> f;
  f.push_back(Object("spec.data", "Training and evaluation data; the same path in every worker.")
                  .Required());
  f.push_back(
      Enum(placement, LONGSTRIDE_ENUM_AT(data.placement), {"shared", "local"},
           "shared: every worker reads all training data; local: each its own shard of them, and "
           "the average of their changes is weighted by the sizes of the shards."));
  f.push_back(
      Enum(format, LONGSTRIDE_ENUM_AT(data.format),
           {"idx", "npy", "cifar10", "tokens", "text", "synthetic"},
           "idx: MNIST's files; npy: NumPy arrays; cifar10: its binary version; tokens: token ids; "
           "text: bytes of a text; synthetic: generated from the seed."));
  f.push_back(String("spec.data.path", LONGSTRIDE_AT(data.path),
                     "Folder (idx, npy, cifar10) or file (tokens, text). With placement local, "
                     "{group} and {index} stand for the worker's.")
                  .When(format, {"idx", "npy", "cifar10", "tokens", "text"})
                  .Required()
                  .MaxLength(kMaxPathLength)
                  .Example("/usr/share/datasets/fashion-mnist"));
  f.push_back(String("spec.data.evaluationPath", LONGSTRIDE_AT(data.evaluation_path),
                     "File to evaluate on; if left out, the last tenth of path.")
                  .MaxLength(kMaxPathLength)
                  .When(format, {"tokens", "text"}));
  f.push_back(Object("spec.data.normalization",
                     "Features become (x - mean) / std, after scaling bytes to [0, 1].")
                  .When(format, {"idx", "npy", "cifar10"}));
  f.push_back(NumberList("spec.data.normalization.mean", LONGSTRIDE_AT(data.normalization.mean),
                         From(-1e9, 1e9), "", "One value, or one per channel; if left out, 0.")
                  .Items(1, 4096)
                  .Example("[0.2860]"));
  f.push_back(NumberList("spec.data.normalization.std", LONGSTRIDE_AT(data.normalization.std),
                         Above(0, 1e9), "", "One value, or one per channel; if left out, 1.")
                  .Items(1, 4096)
                  .Example("[0.3530]"));
  f.push_back(Integer("spec.data.context", LONGSTRIDE_AT(data.context), From(1, 1 << 16), "tokens",
                      "Tokens of one sample.")
                  .When(format, {"tokens", "text"})
                  .When(task, {"tokens"}));
  f.push_back(Enum("spec.data.tokenType", LONGSTRIDE_ENUM_AT(data.token_type), {"uint16", "uint32"},
                   "How token ids are stored, little-endian.")
                  .When(format, {"tokens"}));
  f.push_back(Integer("spec.data.vocabulary", LONGSTRIDE_AT(data.vocabulary), From(0, 1 << 30),
                      "token ids",
                      "Number of different token ids; 0 = the largest in the file + 1.")
                  .When(format, {"tokens"}));
  f.push_back(Integer("spec.data.classes", LONGSTRIDE_AT(data.classes), From(0, 1e6), "classes",
                      "Number of classes; 0 = the largest training label + 1. Needed where a shard "
                      "may lack the last ones.")
                  .When(format, {"idx", "npy"}));

  Field partition = Object("spec.data.partition",
                           "Cuts one data set, which every worker has, into the workers' shards: "
                           "local data for experiments.")
                        .When(placement, {"local"});
  partition.present = [](const TrainingJob& j) { return j.spec.data.partition.has_value(); };
  partition.create = [](TrainingJob& j) { j.spec.data.partition.emplace(); };
  f.push_back(std::move(partition));
  f.push_back(
      Number("spec.data.partition.dirichlet", LONGSTRIDE_AT(data.partition->dirichlet),
             From(0.01, 1e6), "",
             "Of each class the shards get shares drawn from a symmetric Dirichlet "
             "distribution of this concentration [Hsu 2019]: 0.1 is very unlike, 1000 alike.")
          .Required()
          .Example("0.1"));
  f.push_back(Integer(
      "spec.data.partition.shards", LONGSTRIDE_AT(data.partition->shards), From(0, 1024), "shards",
      "Number of shards; 0 = spec.replicas, which then cannot change in a cluster."));

  f.push_back(Object("spec.data.synthetic", "Generated data, for tests and first steps.")
                  .When(format, {"synthetic"}));
  f.push_back(Enum(task, LONGSTRIDE_ENUM_AT(data.synthetic.task),
                   {"classification", "regression", "images", "tokens"},
                   "What kind of problem to generate."));
  f.push_back(Integer("spec.data.synthetic.samples", LONGSTRIDE_AT(data.synthetic.samples),
                      From(1, 1e12), "samples", "Training samples, an epoch."));
  f.push_back(Integer("spec.data.synthetic.evaluationSamples",
                      LONGSTRIDE_AT(data.synthetic.evaluation_samples), From(1, 1e12), "samples",
                      "Evaluation samples."));
  f.push_back(IntegerList("spec.data.synthetic.shape", LONGSTRIDE_AT(data.synthetic.shape),
                          From(1, 1 << 20), "",
                          "Of one sample: [features], or [channels, height, width].")
                  .When(task, {"classification", "regression", "images"})
                  .Items(1, 3)
                  .Example("[3, 32, 32]"));
  f.push_back(Integer("spec.data.synthetic.classes", LONGSTRIDE_AT(data.synthetic.classes),
                      From(1, 1 << 20), "",
                      "Classes, outputs of a regression, or size of the vocabulary."));
  f.push_back(Number("spec.data.synthetic.noise", LONGSTRIDE_AT(data.synthetic.noise), From(0, 1e6),
                     "", "Standard deviation of the noise; more of it asks for larger batches."));
  return f;
}

}  // namespace longstride
