// A product of two tensors.
#pragma once

#include <cstdint>

#include "kernels/strided.h"

namespace hybridquant::kernels {

// q = zero_point + x̄ ȳ by. |x̄ ȳ| < 2^47, and below 2^32 where shift < 16: true for any two of
// uint8, int8 and int16.
struct MulCodesArgs {
  // Outputs
  OutputView q;
  // Inputs
  InputCodes x;  // uint8, int8, int16 or int32
  InputCodes y;  // the same
  std::int64_t sizes[kNumAxes];
  Multiplier by;
  OutputCodes output;
};

// Does the runs [begin, end) of num_runs(sizes). q may be x or y if type and strides are one.
void mul_codes(const MulCodesArgs& args, std::int64_t begin, std::int64_t end);
void mul_codes_ref(const MulCodesArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
