// Codes of one scale, zero-point and type as codes of another.
#pragma once

#include <cstdint>

#include "kernels/strided.h"

namespace hybridquant::kernels {

// q = zero_point + x̄ by.
struct RequantizeCodesArgs {
  // Outputs
  OutputView q;
  // Inputs
  InputCodes x;  // any type, |x̄| <= 2^31; int64: |x̄| < 2^47, below 2^32 where shift < 16
  std::int64_t sizes[kNumAxes];
  Multiplier by;
  OutputCodes output;
};

// Does the runs [begin, end) of num_runs(sizes). q may be x if type and strides are one.
void requantize_codes(const RequantizeCodesArgs& args, std::int64_t begin, std::int64_t end);
void requantize_codes_ref(const RequantizeCodesArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
