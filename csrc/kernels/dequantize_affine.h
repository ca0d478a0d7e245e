// Dequantization: x_hat = (float32(q) - z) * scale.
#pragma once

#include <cstdint>

#include "kernels/affine.h"

namespace hybridquant::kernels {

struct DequantizeArgs {
  // Outputs
  float* x;  // [outer, channels, inner]
  // Inputs
  const void* q;  // [outer, channels, inner] of code_type
  CodeType code_type;
  AffineLayout layout;
  AffineTable table;  // lowest and highest are not read
};

// Does the blocks [begin, end) of num_blocks(layout).
void dequantize_affine(const DequantizeArgs& args, std::int64_t begin, std::int64_t end);
void dequantize_affine_ref(const DequantizeArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
