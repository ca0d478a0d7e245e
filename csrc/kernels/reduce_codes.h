// Sums, means and extremes over axes.
#pragma once

#include <cstdint>

#include "kernels/strided.h"

namespace hybridquant::kernels {

enum class Reduction : std::uint8_t { kSum, kMaximum, kMinimum };

// q = zero_point + a by, where a is the sum, largest or smallest of n centred codes x̄; the n of a
// mean is part of `by`.
struct ReduceCodesArgs {
  // Outputs
  OutputView q;
  // Inputs
  InputCodes x;  // strides along the axes that are kept; zero_point is one of its codes. Of kSum:
                 // n max|x̄| < 2^47, below 2^32 where shift < 16. Else: as in requantize_codes
  std::int64_t sizes[kNumAxes];          // of the axes that are kept
  std::int64_t reduced_sizes[kNumAxes];  // of the others, each at least 1; n is their product
  std::int64_t x_reduced_strides[kNumAxes];
  Reduction reduction;
  const Multiplier* by;  // null: q = zero_point + a
  OutputCodes output;
};

// Does the runs [begin, end) of num_runs(sizes). q and x do not overlap.
void reduce_codes(const ReduceCodesArgs& args, std::int64_t begin, std::int64_t end);
void reduce_codes_ref(const ReduceCodesArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
