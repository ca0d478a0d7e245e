// A quotient of two tensors.
#pragma once

#include <cstdint>

#include "kernels/strided.h"

namespace hybridquant::kernels {

// q = zero_point + x̄ by / ȳ, rounded once, halves up; zero_point where ȳ = 0.
struct DivCodesArgs {
  // Outputs
  OutputView q;
  // Inputs
  InputCodes x;  // any type, |x̄| < 2^46
  InputCodes y;  // any type, |ȳ| < 2^31
  std::int64_t sizes[kNumAxes];
  Multiplier by;       // |m| < 2^15; shift 0 to 30
  OutputCodes output;  // its rounding is not read
};

// Does the runs [begin, end) of num_runs(sizes). q may be x or y if type and strides are one.
void div_codes(const DivCodesArgs& args, std::int64_t begin, std::int64_t end);
void div_codes_ref(const DivCodesArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
