#include "kernels/fake_quant_affine.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/float16.h"

namespace hybridquant::kernels {

namespace {

// An element of a block: where it is, and the partial sum and the lane of it that it is added to.
struct Element {
  std::int64_t index;
  std::int64_t channel;
  std::int64_t partial;
  std::int64_t lane;
};

// Visits the elements of the blocks [begin, end) in memory order.
template <typename Visit>
void for_each_element(const AffineLayout& layout, std::int64_t begin, std::int64_t end,
                      Visit visit) {
  for (std::int64_t block = begin; block < end; ++block) {
    if (layout.is_channel_last()) {
      const std::int64_t rows = rows_per_block(layout);
      const std::int64_t last = std::min((block + 1) * rows, layout.outer);
      for (std::int64_t index = block * rows * layout.channels; index < last * layout.channels;
           ++index) {
        const std::int64_t channel = index % layout.channels;
        const std::int64_t lane = index / layout.channels % rows_per_step(layout);
        visit(Element{index, channel, block * layout.channels + channel, lane});
      }
    } else {
      const std::int64_t row = block / blocks_per_row(layout);
      const std::int64_t start = block % blocks_per_row(layout) * kBlockSize;
      const std::int64_t stop = std::min(start + kBlockSize, layout.inner);
      for (std::int64_t i = start; i < stop; ++i) {
        visit(Element{row * layout.inner + i, row % layout.channels, block, (i - start) % kLanes});
      }
    }
  }
}

template <typename T>
void forward(const FakeQuantArgs& args, std::int64_t begin, std::int64_t end) {
  const T* const x = static_cast<const T*>(args.x);
  T* const y = static_cast<T*>(args.y);
  const AffineTable& table = args.table;
  for_each_element(args.layout, begin, end, [&](const Element& e) {
    const float z = table.zero_point[e.channel];
    const float qmin = table.lowest[e.channel] + z;
    const float qmax = table.highest[e.channel] + z;
    const float value = to_float(x[e.index]);
    const float q = std::nearbyint(value * table.inverse_scale[e.channel]) + z;
    const float clamped = std::isnan(q) ? q : std::clamp(q, qmin, qmax);
    y[e.index] = from_float<T>((clamped - z) * table.scale[e.channel]);
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
  for_each_element(args.layout, begin, end, [&](const Element& e) {
    const Rounded rounded = round_scaled(args.table, e.channel, to_float(x[e.index]));
    gx[e.index] = from_float<T>(rounded.is_inside ? to_float(g[e.index]) : 0.0F);
  });
}

template <typename T>
void grad(const FakeQuantGradArgs& args, std::int64_t begin, std::int64_t end) {
  const T* const x = static_cast<const T*>(args.x);
  const T* const g = static_cast<const T*>(args.g);
  const std::int64_t channels = args.layout.is_channel_last() ? args.layout.channels : 1;
  for (std::int64_t block = begin; block < end; ++block) {
    for (std::int64_t c = 0; c < channels; ++c) {
      std::array<float, kLanes> scale_sums{};
      std::array<float, kLanes> zero_point_sums{};
      for_each_element(args.layout, block, block + 1, [&](const Element& e) {
        if (e.partial != block * channels + c) return;
        const Rounded rounded = round_scaled(args.table, e.channel, to_float(x[e.index]));
        const auto lane = static_cast<std::size_t>(e.lane);
        const float upstream = to_float(g[e.index]);
        float slope = 0.0F;
        if (rounded.is_inside) slope = rounded.r - rounded.t;
        if (rounded.is_below) slope = args.table.lowest[e.channel];
        if (rounded.is_above) slope = args.table.highest[e.channel];
        scale_sums[lane] += upstream * slope;
        zero_point_sums[lane] += rounded.is_below || rounded.is_above ? upstream : 0.0F;
      });
      double scale_sum = 0.0;
      double zero_point_sum = 0.0;
      for (const float sum : scale_sums) scale_sum += static_cast<double>(sum);
      for (const float sum : zero_point_sums) zero_point_sum += static_cast<double>(sum);
      args.scale_partials[block * channels + c] = scale_sum;
      args.zero_point_partials[block * channels + c] = zero_point_sum;
    }
  }
  grad_x<T>(args, begin, end);
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
