#include "kernels/fake_quant_levels.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/affine_reference.h"
#include "kernels/float16.h"

namespace hybridquant::kernels {

namespace {

// What one element is: t = x / scale, its level, and whether it is inside. A NaN is not.
struct Element {
  float t;
  float level;
  bool is_inside;
};

Element look_up(const LevelTable& table, float t) {
  std::int64_t index = 0;
  while (index + 1 < table.size && table.thresholds[index] <= t) ++index;
  const float level = std::isnan(t) ? t : table.levels[index];
  return {t, level, table.lowest <= t && t <= table.highest};
}

template <typename T>
void forward(const FakeQuantLevelsArgs& args, std::int64_t begin, std::int64_t end) {
  const auto* const x = static_cast<const T*>(args.affine.x);
  T* const y = static_cast<T*>(args.affine.y);
  const AffineTable& scales = args.affine.table;
  for_each_element(args.affine.layout, begin, end, [&](std::int64_t i, std::int64_t c) {
    const float t = to_float(x[i]) * scales.inverse_scale[c];
    y[i] = from_float<T>(look_up(args.levels, t).level * scales.scale[c]);
  });
}

template <typename T>
void grad_x(const FakeQuantLevelsGradArgs& args, std::int64_t begin, std::int64_t end) {
  const auto* const x = static_cast<const T*>(args.affine.x);
  const auto* const g = static_cast<const T*>(args.affine.g);
  T* const gx = static_cast<T*>(args.affine.gx);
  for_each_element(args.affine.layout, begin, end, [&](std::int64_t i, std::int64_t c) {
    const float t = to_float(x[i]) * args.affine.table.inverse_scale[c];
    const bool is_inside = look_up(args.levels, t).is_inside;
    gx[i] = from_float<T>(is_inside ? to_float(g[i]) : 0.0F);
  });
}

// The partial sum of one channel in one block.
template <typename T>
double sum_block(const FakeQuantLevelsGradArgs& args, std::int64_t block, std::int64_t channel) {
  const auto* const x = static_cast<const T*>(args.affine.x);
  const auto* const g = static_cast<const T*>(args.affine.g);
  std::array<float, kLanes> sums{};
  for_each_lane(args.affine.layout, block, channel, [&](std::int64_t i, std::size_t lane) {
    const float t = to_float(x[i]) * args.affine.table.inverse_scale[channel];
    const Element element = look_up(args.levels, t);
    if (std::isnan(element.t)) return;
    const float slope = element.is_inside ? element.level - element.t : element.level;
    sums[lane] += to_float(g[i]) * slope;
  });
  double sum = 0.0;
  for (const float lane : sums) sum += static_cast<double>(lane);
  return sum;
}

template <typename T>
void grad(const FakeQuantLevelsGradArgs& args, std::int64_t begin, std::int64_t end) {
  grad_x<T>(args, begin, end);
  for_each_partial(args.affine.layout, begin, end,
                   [&](std::int64_t block, std::int64_t channel, std::int64_t partial) {
                     args.affine.scale_partials[partial] = sum_block<T>(args, block, channel);
                     args.affine.zero_point_partials[partial] = 0.0;
                   });
}

}  // namespace

std::int64_t level_table_size(std::int64_t num_levels) {
  return 2 * static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(num_levels)));
}

LevelTable prepare_level_table(float* storage, const float* levels, const float* thresholds,
                               std::int64_t num_levels) {
  const std::int64_t size = level_table_size(num_levels) / 2;
  float* const level_copy = storage;
  float* const threshold_copy = storage + size;
  const std::int64_t last = num_levels - 1;
  for (std::int64_t i = 0; i < size; ++i) {
    // Plus 0, so that no level is -0.
    level_copy[i] = levels[i < last ? i : last] + 0.0F;
    threshold_copy[i] = i < last ? thresholds[i] : std::numeric_limits<float>::infinity();
  }
  return {
      .thresholds = threshold_copy,
      .levels = level_copy,
      .size = size,
      .lowest = levels[0] + (levels[0] - thresholds[0]),
      .highest = levels[last] + (levels[last] - thresholds[last - 1]),
  };
}

void fake_quant_levels_ref(const FakeQuantLevelsArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.affine.type == FloatType::kFloat32) return forward<float>(args, begin, end);
  if (args.affine.type == FloatType::kBFloat16) return forward<BFloat16>(args, begin, end);
  forward<Float16>(args, begin, end);
}

void fake_quant_levels_grad_x_ref(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                                  std::int64_t end) {
  if (args.affine.type == FloatType::kFloat32) return grad_x<float>(args, begin, end);
  if (args.affine.type == FloatType::kBFloat16) return grad_x<BFloat16>(args, begin, end);
  grad_x<Float16>(args, begin, end);
}

void fake_quant_levels_grad_ref(const FakeQuantLevelsGradArgs& args, std::int64_t begin,
                                std::int64_t end) {
  if (args.affine.type == FloatType::kFloat32) return grad<float>(args, begin, end);
  if (args.affine.type == FloatType::kBFloat16) return grad<BFloat16>(args, begin, end);
  grad<Float16>(args, begin, end);
}

}  // namespace hybridquant::kernels
