// Data made from a seed. Every value is a hash of (seed, stream, sample, position), so sample i is
// the same on every machine and in every order of reading; no libm function takes part.
//
//   classification  a label, then its class's centre (standard normal) + noise
//   regression      x standard normal, targets W x + noise with W ~ N(0, 1/features)
//   images          a label, then its class's smooth pattern, shifted by up to 2 pixels, + noise
//   tokens          a Markov chain: each token has four likely successors (1/2, 1/4, 1/8, 1/8);
//                   with probability `noise` the next token is uniform instead
//
// "Normal" is the sum of four uniform variates [Irwin-Hall], scaled to unit variance: bounded
// by 3.47.
#pragma once

#include "runtime/data/dataset.h"

namespace longstride::data {

// Training samples are numbered from 0, evaluation samples follow them; both have the same classes.
// kUser error when a size is not positive or the class tables would exceed 1 GiB.
[[nodiscard]] Result<DatasetPair> OpenSyntheticDatasets(const DataSpec& spec, uint64_t seed);

}  // namespace longstride::data
