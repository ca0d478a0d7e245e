#include "kernels/strided.h"

#include <algorithm>

namespace hybridquant::kernels {

std::int64_t runs_per_row(std::int64_t size) { return (size + kRunSize - 1) / kRunSize; }

std::int64_t num_runs(const std::int64_t* sizes) {
  std::int64_t runs = runs_per_row(sizes[kNumAxes - 1]);
  for (int axis = 0; axis < kNumAxes - 1; ++axis) runs *= sizes[axis];
  return runs;
}

void merge_axes(std::int64_t* sizes, std::int64_t* const* strides, int num_operands) {
  int target = kNumAxes - 1;  // the axis that those before it may join
  for (int axis = kNumAxes - 2; axis >= 0; --axis) {
    if (sizes[axis] == 1) continue;
    bool joins = true;
    for (int k = 0; k < num_operands; ++k) {
      joins = joins && strides[k][axis] == strides[k][target] * sizes[target];
    }
    if (joins) {
      sizes[target] *= sizes[axis];
      continue;
    }
    if (sizes[target] != 1) --target;
    sizes[target] = sizes[axis];
    for (int k = 0; k < num_operands; ++k) strides[k][target] = strides[k][axis];
  }
  std::fill(sizes, sizes + target, 1);
  for (int k = 0; k < num_operands; ++k) std::fill(strides[k], strides[k] + target, 0);
}

}  // namespace hybridquant::kernels
