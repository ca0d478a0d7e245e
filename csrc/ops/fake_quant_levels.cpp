#include "kernels/fake_quant_levels.h"

#include <torch/csrc/stable/library.h>

#include <tuple>

#include "ops/affine_arguments.h"
#include "ops/level_arguments.h"
#include "ops/schemas.h"

namespace hybridquant::ops {

namespace {

constexpr std::string_view kOp = "fake_quant_levels";
constexpr kernels::CodeRange kNoCodes = {/*qmin=*/0, /*qmax=*/1};

// What forward and gradients share, in the memory order of a dense x.
struct Inputs {
  kernels::FloatType type;
  AffineArguments arguments;
  AffineTableStorage scales;
  LevelTableStorage levels;
  Tensor x;
  kernels::AffineLayout layout;

  Inputs(const Tensor& x_in, const Tensor& scale, const Tensor& levels_in, const Tensor& thresholds,
         std::int64_t channel_axis)
      : type(check_float_type(kOp, "x", x_in)),
        arguments(check_scale_arguments(kOp, "x", x_in, scale, channel_axis)),
        scales(arguments, kNoCodes),
        levels(kOp, x_in, levels_in, thresholds),
        x(as_dense(x_in)),
        layout(layout_of(x, arguments)) {}

  kernels::FakeQuantLevelsGradArgs grad_args(Tensor& gx, const Tensor& g, double* scale_partials,
                                             double* zero_point_partials) const {
    const kernels::FakeQuantGradArgs affine{
        .gx = gx.mutable_data_ptr(),
        .scale_partials = scale_partials,
        .zero_point_partials = zero_point_partials,
        .g = g.const_data_ptr(),
        .x = x.const_data_ptr(),
        .type = type,
        .layout = layout,
        .table = scales.table(),
    };
    return {.affine = affine, .levels = levels.table()};
  }
};

Tensor fake_quant_levels(const Tensor& x, const Tensor& scale, const Tensor& levels,
                         const Tensor& thresholds, std::int64_t channel_axis,
                         double /*grad_factor*/) {
  const Inputs inputs(x, scale, levels, thresholds, channel_axis);
  Tensor y = torch::stable::empty_like(inputs.x);
  const kernels::FakeQuantArgs affine{
      .y = y.mutable_data_ptr(),
      .x = inputs.x.const_data_ptr(),
      .type = inputs.type,
      .layout = inputs.layout,
      .table = inputs.scales.table(),
  };
  const kernels::FakeQuantLevelsArgs args{.affine = affine, .levels = inputs.levels.table()};
  parallel_over_blocks(inputs.layout, [&](std::int64_t begin, std::int64_t end) {
    kernels::fake_quant_levels(args, begin, end);
  });
  return y;
}

Tensor fake_quant_levels_grad_x(const Tensor& g, const Tensor& x, const Tensor& scale,
                                const Tensor& levels, const Tensor& thresholds,
                                std::int64_t channel_axis) {
  const Inputs inputs(x, scale, levels, thresholds, channel_axis);
  const Tensor dense_g = gradient_like(kOp, g, inputs.x);
  Tensor gx = torch::stable::empty_like(inputs.x);
  const kernels::FakeQuantLevelsGradArgs args =
      inputs.grad_args(gx, dense_g, /*scale_partials=*/nullptr, /*zero_point_partials=*/nullptr);
  parallel_over_blocks(inputs.layout, [&](std::int64_t begin, std::int64_t end) {
    kernels::fake_quant_levels_grad_x(args, begin, end);
  });
  return gx;
}

std::tuple<Tensor, Tensor> fake_quant_levels_grad(const Tensor& g, const Tensor& x,
                                                  const Tensor& scale, const Tensor& levels,
                                                  const Tensor& thresholds,
                                                  std::int64_t channel_axis, double grad_factor) {
  const Inputs inputs(x, scale, levels, thresholds, channel_axis);
  const Tensor dense_g = gradient_like(kOp, g, inputs.x);
  Tensor gx = torch::stable::empty_like(inputs.x);
  const auto num_partials = static_cast<std::size_t>(kernels::num_partials(inputs.layout));
  std::vector<double> scale_partials(num_partials);
  std::vector<double> zero_point_partials(num_partials);
  const kernels::FakeQuantLevelsGradArgs args =
      inputs.grad_args(gx, dense_g, scale_partials.data(), zero_point_partials.data());
  parallel_over_blocks(inputs.layout, [&](std::int64_t begin, std::int64_t end) {
    kernels::fake_quant_levels_grad(args, begin, end);
  });
  Tensor gscale = torch::stable::empty_like(torch::stable::contiguous(scale));
  std::vector<float> gzero_point(inputs.arguments.scale.size());
  kernels::sum_fake_quant_partials(
      static_cast<float*>(gscale.mutable_data_ptr()), gzero_point.data(), scale_partials.data(),
      zero_point_partials.data(), inputs.layout, inputs.scales.table(), grad_factor);
  return {gx, gscale};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hybridquant, m) {
  m.def(kFakeQuantLevels);
  m.def(kFakeQuantLevelsGradX);
  m.def(kFakeQuantLevelsGrad);
}

STABLE_TORCH_LIBRARY_IMPL(hybridquant, CPU, m) {
  m.impl("fake_quant_levels", TORCH_BOX(&fake_quant_levels));
  m.impl("fake_quant_levels_grad_x", TORCH_BOX(&fake_quant_levels_grad_x));
  m.impl("fake_quant_levels_grad", TORCH_BOX(&fake_quant_levels_grad));
}

}  // namespace hybridquant::ops
