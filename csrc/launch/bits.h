// Random bits of one entry, the same on every device.
#pragma once

#include <cstdint>

#include "core/draw.h"
#include "core/philox.h"

namespace aligndec {

// Where the random bits of entry i come from: the first that is not null.
struct BitSource {
  const double* uniforms;
  const int64_t* seeds;  // else seed
  int64_t seed;
  const int64_t* sequence_ids;  // else i
  const int64_t* positions;     // else position
  int64_t position;
};

// The 64 bits that decide entry i. `positions` stands in for the source's own where it has none.
ALIGNDEC_HD uint64_t bits_of_entry(const BitSource& source, int64_t i, core::Stream stream,
                                   const int64_t* positions = nullptr) {
  if (source.uniforms) return core::bits_from_uniform(source.uniforms[i]);
  const auto seed = static_cast<uint64_t>(source.seeds ? source.seeds[i] : source.seed);
  const auto sequence = static_cast<uint64_t>(source.sequence_ids ? source.sequence_ids[i] : i);
  if (source.positions) positions = source.positions;
  const auto position = static_cast<uint64_t>(positions ? positions[i] : source.position);
  return core::token_bits(seed, sequence, position, stream).r;
}

}  // namespace aligndec
