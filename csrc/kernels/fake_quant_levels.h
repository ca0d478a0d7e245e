// Fake-quantization to given levels: x_hat = levels[number of thresholds that are at most x /
// scale]
// * scale, and its gradients.
#pragma once

#include <cstdint>

#include "kernels/fake_quant_affine.h"

namespace hybridquant::kernels {

// Levels and thresholds in units of the scale, padded to a power of two. Inside is where
// lowest <= x / scale <= highest.
struct LevelTable {
  const float* thresholds;  // [size - 1]; infinite behind the last
  const float* levels;      // [size]; the last repeated
  std::int64_t size;
  float lowest;
  float highest;
};

// Elements of both arrays of a table together.
std::int64_t level_table_size(std::int64_t num_levels);

// Fills the table. `storage` has level_table_size(num_levels) elements and must outlive it.
// levels: [num_levels], finite, at least two; thresholds: [num_levels - 1], finite, not decreasing.
LevelTable prepare_level_table(float* storage, const float* levels, const float* thresholds,
                               std::int64_t num_levels);

// The affine arguments' scales are used; their zero-points and limits are not.
struct FakeQuantLevelsArgs {
  FakeQuantArgs affine;
  LevelTable levels;
};

struct FakeQuantLevelsGradArgs {
  FakeQuantGradArgs affine;
  LevelTable levels;
};

// Each call does the blocks [begin, end) of num_blocks(layout); blocks are independent.
void fake_quant_levels(const FakeQuantLevelsArgs& args, std::int64_t begin, std::int64_t end);
// Straight-through gradient: gx = g inside, else 0.
void fake_quant_levels_grad_x(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                              std::int64_t end);
// The same, and the blocks' partial sums of the gradient of the scale; those of the zero-point are
// all 0. sum_fake_quant_partials() adds them up.
void fake_quant_levels_grad(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                            std::int64_t end);

// Reference kernels: the rule written out element by element. The kernels above equal them bit for
// bit.
void fake_quant_levels_ref(const FakeQuantLevelsArgs& args, std::int64_t begin, std::int64_t end);
void fake_quant_levels_grad_x_ref(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                                  std::int64_t end);
void fake_quant_levels_grad_ref(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                                std::int64_t end);

}  // namespace hybridquant::kernels
