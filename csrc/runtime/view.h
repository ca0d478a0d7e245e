// Where the elements of a tensor lie in its buffer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "kernels/strided.h"
#include "runtime/tensor_file.h"

namespace hybridquant::runtime {

// Sizes and strides in elements, as kernels take them: leading axes of size 1 and stride 0.
using Axes = std::array<std::int64_t, kernels::kNumAxes>;

struct View {
  Shape sizes;
  Shape strides;  // 0 along an axis that is repeated
  std::int64_t offset = 0;

  [[nodiscard]] std::size_t rank() const { return sizes.size(); }
};

// A view of a buffer of its own, last axis innermost.
View row_major(const Shape& sizes);
// The same with axis 1 innermost: an image [images, channels, height, width], channels last.
View channels_last(const Shape& sizes);
// A view of a buffer of its own whose axes are nested as those of `other`, of the same sizes, or
// row-major where that leaves gaps or repeats.
View like(const View& other);

// Whether the elements fill one stretch of the buffer, in any order of axes.
bool is_dense(const View& view);
bool is_row_major(const View& view);

View permuted(const View& view, const std::vector<std::int64_t>& axes);
// The positions start, start + step, ... of an axis.
View sliced(const View& view, std::size_t axis, std::int64_t start, std::int64_t step,
            std::int64_t count);
// The same elements in row-major order as other sizes; nothing where that is no view.
std::optional<View> reshaped(const View& view, const Shape& sizes);
// Repeated along axes of size 1 and new leading axes; sizes must allow it.
View expanded(const View& view, const Shape& sizes);

Axes padded_sizes(const Shape& sizes);
Axes padded_strides(const View& view);

}  // namespace hybridquant::runtime
