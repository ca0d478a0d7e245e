// Linear layers: rows of codes times weights. A linear layer is the 1x1 convolution of an image
// whose rows are one pixel wide, and runs as one.
#pragma once

#include <cstdint>

#include "kernels/conv2d.h"

namespace hybridquant::kernels {

// What the fields share with Conv2dArgs, they mean there.
struct LinearArgs {
  // Outputs
  void* y;        // [rows, out_features] of y_type
  void* scratch;  // conv2d_scratch_bytes(linear_as_conv2d(args).shape) bytes
  // Inputs
  const void* x;                            // [rows, in_features] of x_type
  const std::int8_t* weights;               // [out_features, in_features]
  const std::int64_t* start;                // from prepare_conv2d, given linear_as_conv2d(args)
  const std::int32_t* bias;                 // [out_features], or null
  const Multiplier* multipliers;            // [out_features], or null
  std::int64_t y_row_stride, x_row_stride;  // features have stride 1
  std::int64_t rows, in_features, out_features;
  OutputCodes codes;
  CodeType y_type, x_type, accumulator_type;
  std::int32_t x_zero_point;
};

Conv2dArgs linear_as_conv2d(const LinearArgs& args);

// Does the rows [begin, end).
void linear(const LinearArgs& args, std::int64_t begin, std::int64_t end);
void linear_ref(const LinearArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
