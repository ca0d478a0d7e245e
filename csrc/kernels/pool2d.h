// Average and maximum pooling of codes. Images lie channels last, as those of conv2d.h.
#pragma once

#include <cstdint>

#include "kernels/codes.h"

namespace hybridquant::kernels {

enum class Pooling : std::uint8_t { kAverage, kMaximum };

// Every window holds at least one position of the image.
struct Pool2dShape {
  std::int64_t batch, height, width, channels;  // of x
  std::int64_t out_height, out_width;           // of y
  std::int64_t kernel_height, kernel_width;     // kAverage: their product is at most 2^15
  std::int64_t stride_y, stride_x;
  std::int64_t pad_top, pad_left;  // bottom and right follow from out_height and out_width
};

struct Pool2dArgs {
  // Outputs
  void* y;  // [batch, out_height, out_width, channels] of y_type; does not overlap x
  // Inputs
  const void* x;  // [batch, height, width, channels] of x_type
  // [kernel_height * kernel_width]: of windows with 1, 2, ... positions inside the image. Only
  // kAverage reads them, codes and x_zero_point.
  const Multiplier* multipliers;
  // Of a pixel, a row and an image; channels have stride 1.
  std::int64_t y_column_stride, y_row_stride, y_batch_stride;
  std::int64_t x_column_stride, x_row_stride, x_batch_stride;
  Pool2dShape shape;
  Pooling pooling;
  OutputCodes codes;
  CodeType y_type;            // kMaximum: x_type
  CodeType x_type;            // kUInt8, kInt8 or kInt16
  std::int32_t x_zero_point;  // a code of x_type
};

// kAverage: y = clamp(zero_point + R(sum of x - x_zero_point)); kMaximum: y = the largest x. Only
// the positions of a window that are inside the image count.
// Does the rows [begin, end) of the batch * out_height rows of y.
void pool2d(const Pool2dArgs& args, std::int64_t begin, std::int64_t end);
void pool2d_ref(const Pool2dArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
