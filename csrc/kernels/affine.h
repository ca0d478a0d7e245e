// What every affine kernel shares: element types, the [outer, channels, inner] view, its fixed
// blocks and the table of per-channel constants. docs/arithmetic.md is the rule these kernels
// follow.
#pragma once

#include <cstdint>

#include "kernels/codes.h"

namespace hybridquant::kernels {

enum class FloatType : std::uint8_t { kFloat32, kBFloat16, kFloat16 };

// A dense tensor seen as [outer, channels, inner]; {1, 1, n} when one scale serves all elements.
struct AffineLayout {
  std::int64_t outer;
  std::int64_t channels;
  std::int64_t inner;

  // True when neighbours in memory belong to different channels.
  [[nodiscard]] constexpr bool is_channel_last() const { return inner == 1 && channels > 1; }
};

// Sums are taken per block, and the blocks depend on the layout alone, so the number of threads
// cannot change a result. A block is at most kBlockSize elements of one row, where a row is the
// `inner` elements of one channel; or, channel last, rows_per_block() rows of `channels` elements.
inline constexpr std::int64_t kBlockSize = 2048;
// Element i of a row block is added to lane i % kLanes of the block's float32 sums.
inline constexpr std::int64_t kLanes = 16;

// Channel last only: rows of one block, a multiple of kLanes.
std::int64_t rows_per_block(const AffineLayout& layout);
// Channel last only: the fewest rows that fill whole vectors of kLanes. Row i of a block is added
// to sum i % rows_per_step() of its channel.
std::int64_t rows_per_step(const AffineLayout& layout);
// Blocks of one row; not channel last only.
std::int64_t blocks_per_row(const AffineLayout& layout);
// Blocks of the whole tensor: the range a caller splits over its threads.
std::int64_t num_blocks(const AffineLayout& layout);
// Index of the first element of a block; of num_blocks(layout), the number of elements.
std::int64_t first_element(const AffineLayout& layout, std::int64_t block);
// Elements in each array of partial sums that the gradient kernel fills.
std::int64_t num_partials(const AffineLayout& layout);

// Per-channel constants. Each array has channels + kLanes - 1 elements and starts again after the
// last channel, so that a whole vector can be read at any channel. With z the rounded and clamped
// zero-point: lowest = qmin - z and highest = qmax - z, both integers of magnitude below 2^17.
struct AffineTable {
  const float* inverse_scale;
  const float* scale;
  const float* zero_point;
  const float* lowest;
  const float* highest;
};

// Elements of all arrays of a table together.
constexpr std::int64_t affine_table_size(std::int64_t channels) {
  return 5 * (channels + kLanes - 1);
}

// The codes a quantizer may use.
struct CodeRange {
  std::int32_t qmin;
  std::int32_t qmax;
};

// Fills the table from the scales and zero-points, each [channels].
// `storage` has affine_table_size(channels) elements and must outlive the returned table.
// Scales are positive, finite and at least 2^-126; zero-points are finite.
AffineTable prepare_affine_table(float* storage, const float* scale, const float* zero_point,
                                 std::int64_t channels, CodeRange codes);

}  // namespace hybridquant::kernels
