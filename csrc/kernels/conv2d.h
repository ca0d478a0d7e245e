// Convolution of codes. Images lie channels last: the channels of a pixel are neighbours.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/codes.h"
#include "kernels/gemm.h"

namespace hybridquant::kernels {

struct Conv2dShape {
  std::int64_t batch, height, width, in_channels;    // of x
  std::int64_t out_height, out_width, out_channels;  // of y
  std::int64_t groups;                               // divides in_channels and out_channels
  std::int64_t kernel_height, kernel_width;
  std::int64_t stride_y, stride_x;
  std::int64_t dilation_y, dilation_x;
  std::int64_t pad_top, pad_left;  // bottom and right follow from out_height and out_width
};

struct Conv2dArgs {
  // Outputs
  void* y;        // [batch, out_height, out_width, out_channels] of y_type
  void* scratch;  // conv2d_scratch_bytes(shape) bytes, aligned to 8; calls at once need one each
  // Inputs
  const void* x;               // [batch, height, width, in_channels] of x_type
  const std::int8_t* weights;  // [out_channels, kernel_height, kernel_width, in_channels / groups]
  const std::int64_t* start;   // [out_channels] from prepare_conv2d; the reference does not read it
  const std::int32_t* bias;    // [out_channels], or null for zeros
  // [kernel_height, kernel_width, out_channels], or null for zeros: subtracted for each tap that
  // is inside the image. |sums of an output's offsets| < 2^31.
  const std::int32_t* tap_offset;
  const Multiplier* multipliers;  // [out_channels], or null: y gets the accumulators
  // Of a pixel, a row and an image; channels have stride 1.
  std::int64_t y_column_stride, y_row_stride, y_batch_stride;
  std::int64_t x_column_stride, x_row_stride, x_batch_stride;
  Conv2dShape shape;
  OutputCodes codes;  // not read where multipliers is null
  CodeType y_type;    // where multipliers is null: accumulator_type, or kInt64
  CodeType x_type;    // kUInt8, kInt8 or kInt16
  // kInt32: every max|x - x_zero_point| * sum|weights| + |bias - offsets| < 2^31.
  // kInt64: the same < 2^47, and its requantized value < 2^62; x_type is kInt16.
  CodeType accumulator_type;
  std::int32_t x_zero_point;  // a code of x_type
};

[[maybe_unused]] static inline bool is_depthwise(const Conv2dShape& shape) {
  return shape.groups > 1 && shape.groups == shape.in_channels &&
         shape.groups == shape.out_channels;
}

[[maybe_unused]] static inline std::int64_t num_taps(const Conv2dShape& shape) {
  return shape.kernel_height * shape.kernel_width;
}

// Codes under a window, in one group, padded.
[[maybe_unused]] static inline std::int64_t conv2d_depth(const Conv2dShape& shape) {
  return padded(shape.kernel_height * shape.kernel_width * (shape.in_channels / shape.groups),
                kGemmDepth);
}

// Outputs of a group whose weights are widened at a time: all where they are few, else a whole
// number of blocks whose weights fit into a second-level cache.
[[maybe_unused]] static inline std::int64_t widened_outputs(const Conv2dShape& shape) {
  constexpr std::int64_t kMostElements = std::int64_t{1} << 16;
  const std::int64_t outputs = padded(shape.out_channels / shape.groups, kGemmTile);
  const std::int64_t blocks = kMostElements / (conv2d_depth(shape) * kGemmColumns);
  const std::int64_t most = (blocks < 1 ? 1 : blocks) * kGemmColumns;
  return outputs < most ? outputs : most;
}

// Elements of the weights as the inner loops read them, in int16: [taps, out_channels] where
// is_depthwise, else [widened_outputs, depth] of one group.
[[maybe_unused]] static inline std::int64_t widened_size(const Conv2dShape& shape) {
  if (is_depthwise(shape)) return num_taps(shape) * shape.out_channels;
  return widened_outputs(shape) * conv2d_depth(shape);
}

// Elements of the codes under the windows of a block of pixels.
[[maybe_unused]] static inline std::int64_t panel_size(const Conv2dShape& shape) {
  return is_depthwise(shape) ? 0 : kGemmRows * conv2d_depth(shape);
}

std::size_t conv2d_scratch_bytes(const Conv2dShape& shape);

// Fills start: [out_channels], what the sums of an output begin with, from the shape, weights,
// bias, offsets and zero-point of x in `args`, for the kernels of every instruction set.
void prepare_conv2d(std::int64_t* start, const Conv2dArgs& args);

// y = clamp(zero_point + R(sum of (x - x_zero_point) * weight + bias)); padding adds nothing.
// Does the rows [begin, end) of the batch * out_height rows of y.
void conv2d(const Conv2dArgs& args, std::int64_t begin, std::int64_t end);
void conv2d_ref(const Conv2dArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
