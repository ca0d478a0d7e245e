// Views of tensors of codes by sizes and strides, and the runs in which kernels walk them.
#pragma once

#include <cstdint>

#include "kernels/codes.h"

namespace hybridquant::kernels {

// Axes of every view; a shorter shape has leading axes of size 1. Sizes and strides are in
// elements.
inline constexpr int kNumAxes = 6;

// A tensor that a kernel reads. Its centred codes are q - zero_point.
struct InputCodes {
  const void* data;  // of `type`
  CodeType type;
  std::int32_t zero_point;
  std::int64_t strides[kNumAxes];  // 0 along an axis that is broadcast
};

// A tensor that a kernel writes; no two positions share an element.
struct OutputView {
  void* data;  // of `type`
  CodeType type;
  std::int64_t strides[kNumAxes];
};

// Element-wise kernels work in runs of up to kRunSize elements along the last axis. No run depends
// on another: a caller splits the range [0, num_runs) over its threads.
inline constexpr std::int64_t kRunSize = 512;

// Runs of a row of `size` elements.
std::int64_t runs_per_row(std::int64_t size);
// Runs of a view; sizes is [kNumAxes].
std::int64_t num_runs(const std::int64_t* sizes);

// Rewrites a view with as few and as long axes as its operands allow, so that runs become long:
// drops axes of size 1 and joins neighbours that are one stretch for every operand.
// sizes and each of the num_operands strides are [kNumAxes].
void merge_axes(std::int64_t* sizes, std::int64_t* const* strides, int num_operands);

}  // namespace hybridquant::kernels
