// Quantization: q = clamp(rint(x / scale) + z, qmin, qmax); a NaN becomes z.
#pragma once

#include <cstdint>

#include "kernels/affine.h"

namespace hybridquant::kernels {

struct QuantizeArgs {
  // Outputs
  void* q;  // [outer, channels, inner] of code_type
  // Inputs
  const void* x;  // [outer, channels, inner] of type
  CodeType code_type;
  FloatType type;
  AffineLayout layout;
  AffineTable table;
};

// Does the blocks [begin, end) of num_blocks(layout). Every code must fit code_type.
void quantize_affine(const QuantizeArgs& args, std::int64_t begin, std::int64_t end);
void quantize_affine_ref(const QuantizeArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
