#include "kernels/fake_quant_affine.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/affine_reference.h"
#include "kernels/float16.h"

namespace hybridquant::kernels {

namespace {

template <typename T>
void forward(const FakeQuantArgs& args, std::int64_t begin, std::int64_t end) {
  const T* const x = static_cast<const T*>(args.x);
  T* const y = static_cast<T*>(args.y);
  const AffineTable& table = args.table;
  for_each_element(args.layout, begin, end, [&](std::int64_t i, std::int64_t c) {
    const float z = table.zero_point[c];
    const float q = std::nearbyint(to_float(x[i]) * table.inverse_scale[c]) + z;
    const float clamped = std::clamp(q, table.lowest[c] + z, table.highest[c] + z);
    y[i] = from_float<T>(((std::isnan(q) ? q : clamped) - z) * table.scale[c]);
  });
}

// What one element adds: r, and whether r + z is below, inside or above the codes. A NaN is none.
struct Rounded {
  float t;
  float r;
  bool is_below;
  bool is_above;
  bool is_inside;
};

Rounded round_scaled(const AffineTable& table, std::int64_t channel, float x) {
  const float t = x * table.inverse_scale[channel];
  const float r = std::nearbyint(t);
  const float lowest = table.lowest[channel];
  const float highest = table.highest[channel];
  return {t, r, r<lowest, r> highest, lowest <= r && r <= highest};
}

template <typename T>
void grad_x(const FakeQuantGradArgs& args, std::int64_t begin, std::int64_t end) {
  const T* const x = static_cast<const T*>(args.x);
  const T* const g = static_cast<const T*>(args.g);
  T* const gx = static_cast<T*>(args.gx);
  for_each_element(args.layout, begin, end, [&](std::int64_t i, std::int64_t c) {
    const bool is_inside = round_scaled(args.table, c, to_float(x[i])).is_inside;
    gx[i] = from_float<T>(is_inside ? to_float(g[i]) : 0.0F);
  });
}

// The partial sums of one channel in one block.
template <typename T>
void sum_block(const FakeQuantGradArgs& args, std::int64_t block, std::int64_t channel,
               std::int64_t partial) {
  std::array<float, kLanes> scale_sums{};
  std::array<float, kLanes> zero_point_sums{};
  for_each_lane(args.layout, block, channel, [&](std::int64_t i, std::size_t lane) {
    const Rounded rounded =
        round_scaled(args.table, channel, to_float(static_cast<const T*>(args.x)[i]));
    const float g = to_float(static_cast<const T*>(args.g)[i]);
    float slope = 0.0F;
    if (rounded.is_inside) slope = rounded.r - rounded.t;
    if (rounded.is_below) slope = args.table.lowest[channel];
    if (rounded.is_above) slope = args.table.highest[channel];
    scale_sums[lane] += g * slope;
    zero_point_sums[lane] += rounded.is_below || rounded.is_above ? g : 0.0F;
  });
  double scale_sum = 0.0;
  double zero_point_sum = 0.0;
  for (const float sum : scale_sums) scale_sum += static_cast<double>(sum);
  for (const float sum : zero_point_sums) zero_point_sum += static_cast<double>(sum);
  args.scale_partials[partial] = scale_sum;
  args.zero_point_partials[partial] = zero_point_sum;
}

template <typename T>
void grad(const FakeQuantGradArgs& args, std::int64_t begin, std::int64_t end) {
  grad_x<T>(args, begin, end);
  for_each_partial(args.layout, begin, end,
                   [&](std::int64_t block, std::int64_t channel, std::int64_t partial) {
                     sum_block<T>(args, block, channel, partial);
                   });
}

}  // namespace

void fake_quant_affine_ref(const FakeQuantArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.type == FloatType::kFloat32) return forward<float>(args, begin, end);
  if (args.type == FloatType::kBFloat16) return forward<BFloat16>(args, begin, end);
  forward<Float16>(args, begin, end);
}

void fake_quant_affine_grad_x_ref(const FakeQuantGradArgs& args, std::int64_t begin,
                                  std::int64_t end) {
  if (args.type == FloatType::kFloat32) return grad_x<float>(args, begin, end);
  if (args.type == FloatType::kBFloat16) return grad_x<BFloat16>(args, begin, end);
  grad_x<Float16>(args, begin, end);
}

void fake_quant_affine_grad_ref(const FakeQuantGradArgs& args, std::int64_t begin,
                                std::int64_t end) {
  if (args.type == FloatType::kFloat32) return grad<float>(args, begin, end);
  if (args.type == FloatType::kBFloat16) return grad<BFloat16>(args, begin, end);
  grad<Float16>(args, begin, end);
}

void sum_fake_quant_partials(float* gscale, float* gzero_point, const double* scale_partials,
                             const double* zero_point_partials, const AffineLayout& layout,
                             const AffineTable& table, double grad_factor) {
  const std::int64_t channels = layout.channels;
  const std::int64_t per_row = layout.is_channel_last() ? 1 : blocks_per_row(layout);
  const std::int64_t rows = per_row == 0 ? 0 : num_partials(layout) / per_row;
  for (std::int64_t c = 0; c < channels; ++c) {
    double scale_sum = 0.0;
    double zero_point_sum = 0.0;
    for (std::int64_t row = c; row < rows; row += channels) {
      for (std::int64_t part = row * per_row; part < (row + 1) * per_row; ++part) {
        scale_sum += scale_partials[part];
        zero_point_sum += zero_point_partials[part];
      }
    }
    gscale[c] = static_cast<float>(scale_sum * grad_factor);
    const auto scale = static_cast<double>(table.scale[c]);
    gzero_point[c] = static_cast<float>(-zero_point_sum * scale * grad_factor);
  }
}

}  // namespace hybridquant::kernels
