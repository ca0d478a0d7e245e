// Two tensors on one grid, with one rounding: sum, difference, maximum, minimum.
#pragma once

#include <cstdint>

#include "kernels/strided.h"

namespace hybridquant::kernels {

enum class Join : std::uint8_t { kSum, kMaximum, kMinimum };

// q = zero_point + join(x̄ x_m, ȳ y_m) / 2^shift, rounded once: kSingle or kHalfEven.
struct AddCodesArgs {
  // Outputs
  OutputView q;
  // Inputs
  InputCodes x;  // uint8, int8, int16, or int32 with |x̄| <= 2^30
  InputCodes y;  // the same
  std::int64_t sizes[kNumAxes];
  Join join;
  std::int32_t x_m;  // above -2^31; negative for a difference
  std::int32_t y_m;
  std::int32_t shift;  // 1 to 62
  OutputCodes output;
};

// Does the runs [begin, end) of num_runs(sizes). q may be x or y if type and strides are one.
void add_codes(const AddCodesArgs& args, std::int64_t begin, std::int64_t end);
void add_codes_ref(const AddCodesArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
