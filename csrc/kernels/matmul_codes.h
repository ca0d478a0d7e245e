// Products of two activations, of the codes themselves.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/codes.h"

namespace hybridquant::kernels {

// A batch of matrices by strides in elements. `outer` is the axis that the product keeps, the rows
// of `a` and the columns of `b`; `depth` the one that is summed.
struct MatmulOperand {
  const void* data;
  CodeType type;            // kUInt8, kInt8, kInt16 or kInt32
  std::int32_t zero_point;  // |code - zero_point| < 2^31
  std::int64_t batch_stride, outer_stride, depth_stride;
};

// Fastest where both operands are of 8 bits, then where one is of 16 with zero-point 0, or both are
// and accumulators are kInt32; the rest is multiplied in 32 bits.
struct MatmulCodesArgs {
  // Outputs
  void* y;        // [batch, rows, columns] of y_type; columns have stride 1
  void* scratch;  // matmul_codes_scratch_bytes(args) bytes, aligned to 8; calls at once need one
                  // each
  // Inputs
  MatmulOperand a;               // [batch, rows, depth]
  MatmulOperand b;               // [batch, depth, columns]
  const Multiplier* multiplier;  // one, or null: y gets the accumulators
  std::int64_t y_batch_stride, y_row_stride;
  std::int64_t batch, rows, columns, depth;
  OutputCodes codes;  // not read where multiplier is null
  CodeType y_type;    // where multiplier is null: accumulator_type, or kInt64
  // kInt32: depth * max|a - a.zero_point| * max|b - b.zero_point| < 2^31.
  // kInt64: the same < 2^47, and its requantized value < 2^62.
  CodeType accumulator_type;
};

std::size_t matmul_codes_scratch_bytes(const MatmulCodesArgs& args);

// y = clamp(zero_point + R(sum of (a - a.zero_point) * (b - b.zero_point))).
// Does the rows [begin, end) of the batch * rows rows of y.
void matmul_codes(const MatmulCodesArgs& args, std::int64_t begin, std::int64_t end);
void matmul_codes_ref(const MatmulCodesArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
