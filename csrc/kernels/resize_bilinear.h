// Bilinear resizing of codes. Images lie channels last, as those of conv2d.h.
#pragma once

#include <cstdint>

#include "kernels/codes.h"

namespace hybridquant::kernels {

// What the two weights of a position add up to.
inline constexpr std::int32_t kResizeOne = 1 << 11;

// The two positions of x that each position of an axis of y mixes: x[low] (kResizeOne - weight) +
// x[high] weight.
struct ResizeTaps {
  const std::int32_t* low;     // [size of y]
  const std::int32_t* high;    // [size of y]
  const std::int32_t* weight;  // [size of y], 0 to kResizeOne
};

struct ResizeBilinearShape {
  std::int64_t batch, height, width, channels;  // of x
  std::int64_t out_height, out_width;           // of y
};

struct ResizeBilinearArgs {
  // Outputs
  void* y;  // [batch, out_height, out_width, channels] of y_type; does not overlap x
  // Inputs
  const void* x;  // [batch, height, width, channels] of x_type
  ResizeTaps rows;
  ResizeTaps columns;
  // Of a pixel, a row and an image; channels have stride 1.
  std::int64_t y_column_stride, y_row_stride, y_batch_stride;
  std::int64_t x_column_stride, x_row_stride, x_batch_stride;
  ResizeBilinearShape shape;
  Multiplier by;  // its factor 1 / kResizeOne^2 included; shift is at least 16 where x is kInt16
  OutputCodes codes;
  CodeType y_type;
  CodeType x_type;            // kUInt8, kInt8 or kInt16
  std::int32_t x_zero_point;  // a code of x_type
};

// y = clamp(zero_point + R(mix of four x - x_zero_point)): nothing is rounded before.
// Does the rows [begin, end) of the batch * out_height rows of y.
void resize_bilinear(const ResizeBilinearArgs& args, std::int64_t begin, std::int64_t end);
void resize_bilinear_ref(const ResizeBilinearArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
