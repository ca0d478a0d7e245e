#include "kernels/affine.h"

#include <algorithm>
#include <cmath>

namespace hybridquant::kernels {

std::int64_t rows_per_block(const AffineLayout& layout) {
  return std::max(kMinRowsPerBlock, kBlockSize / layout.channels);
}

std::int64_t blocks_per_row(const AffineLayout& layout) {
  return (layout.inner + kBlockSize - 1) / kBlockSize;
}

std::int64_t num_blocks(const AffineLayout& layout) {
  if (layout.is_channel_last()) {
    const std::int64_t rows = rows_per_block(layout);
    return (layout.outer + rows - 1) / rows;
  }
  return layout.outer * layout.channels * blocks_per_row(layout);
}

std::int64_t num_partials(const AffineLayout& layout) {
  return num_blocks(layout) * (layout.is_channel_last() ? layout.channels : 1);
}

std::int64_t first_element(const AffineLayout& layout, std::int64_t block) {
  if (layout.is_channel_last()) {
    return std::min(block * rows_per_block(layout), layout.outer) * layout.channels;
  }
  const std::int64_t per_row = blocks_per_row(layout);
  return block / per_row * layout.inner + block % per_row * kBlockSize;
}

AffineTable prepare_affine_table(float* storage, const float* scale, const float* zero_point,
                                 std::int64_t channels, CodeRange codes) {
  float* const inverse_scale = storage;
  float* const scale_copy = inverse_scale + channels;
  float* const rounded = scale_copy + channels;
  float* const lowest = rounded + channels;
  float* const highest = lowest + channels;
  const auto qmin = static_cast<float>(codes.qmin);
  const auto qmax = static_cast<float>(codes.qmax);
  for (std::int64_t c = 0; c < channels; ++c) {
    const float z = std::clamp(std::nearbyint(zero_point[c]), qmin, qmax);
    inverse_scale[c] = 1.0F / scale[c];
    scale_copy[c] = scale[c];
    rounded[c] = z;
    lowest[c] = qmin - z;
    highest[c] = qmax - z;
  }
  return {inverse_scale, scale_copy, rounded, lowest, highest};
}

}  // namespace hybridquant::kernels
