#include "kernels/affine.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hybridquant::kernels {

std::int64_t rows_per_block(const AffineLayout& layout) {
  // At least two steps, or the partial sums of wide rows would be as many as their elements.
  return std::max(2 * kLanes, kBlockSize / layout.channels / kLanes * kLanes);
}

std::int64_t rows_per_step(const AffineLayout& layout) {
  return kLanes / std::gcd(layout.channels, kLanes);
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
  const std::int64_t size = affine_table_size(channels) / 5;
  float* const inverse_scale = storage;
  float* const scale_copy = inverse_scale + size;
  float* const rounded = scale_copy + size;
  float* const lowest = rounded + size;
  float* const highest = lowest + size;
  const auto qmin = static_cast<float>(codes.qmin);
  const auto qmax = static_cast<float>(codes.qmax);
  for (std::int64_t i = 0; channels > 0 && i < size; ++i) {
    const std::int64_t c = i % channels;
    const float z = std::clamp(std::nearbyint(zero_point[c]), qmin, qmax);
    inverse_scale[i] = 1.0F / scale[c];
    scale_copy[i] = scale[c];
    rounded[i] = z;
    lowest[i] = qmin - z;
    highest[i] = qmax - z;
  }
  return {
      .inverse_scale = inverse_scale,
      .scale = scale_copy,
      .zero_point = rounded,
      .lowest = lowest,
      .highest = highest,
  };
}

}  // namespace hybridquant::kernels
