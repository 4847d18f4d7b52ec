// Sequences for language models: token ids as uint16 or uint32 (little-endian, no header), or the
// bytes of a text as tokens of a vocabulary of 256. The file stays mapped.
#pragma once

#include "runtime/data/dataset.h"

namespace longstride::data {

// Sample i holds the tokens [i * context, i * context + context); its labels are the tokens one
// position on. Without `spec.evaluation_path` the last tenth of the file is for evaluation.
// Every token is checked against the vocabulary, which is `spec.vocabulary`, or the largest id + 1
// of both files when that is 0; 256 for text.
[[nodiscard]] Result<DatasetPair> OpenTokenDatasets(const DataSpec& spec);

}  // namespace longstride::data
