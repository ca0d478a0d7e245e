// The sizes that matrix products share: blocks of accumulators, and the panels that feed them.
#pragma once

#include <cstdint>

namespace hybridquant::kernels {

// A block of results is at most kGemmRows x kGemmColumns; it is made of kGemmTile x kGemmTile
// tiles. Sizes change no result.
inline constexpr std::int64_t kGemmRows = 16;
inline constexpr std::int64_t kGemmColumns = 64;
inline constexpr std::int64_t kGemmTile = 4;
// Rows of a panel are padded with zeros to a multiple of this, a whole vector on every target.
inline constexpr std::int64_t kGemmDepth = 32;

// Smallest multiple of `step` that is at least n.
[[maybe_unused]] static constexpr std::int64_t padded(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}

}  // namespace hybridquant::kernels
