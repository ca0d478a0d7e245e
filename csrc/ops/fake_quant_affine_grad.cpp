#include <torch/csrc/stable/library.h>

#include <tuple>

#include "kernels/fake_quant_affine.h"
#include "ops/affine_arguments.h"
#include "ops/check.h"
#include "ops/schemas.h"

namespace hybridquant::ops {

namespace {

constexpr std::string_view kOp = "fake_quant_affine";

// The gradients' arguments in the memory order of a dense x.
struct GradInputs {
  kernels::FloatType type;
  AffineArguments arguments;
  AffineTableStorage storage;
  Tensor x;
  Tensor g;
  Tensor gx;
  kernels::AffineLayout layout;

  GradInputs(const Tensor& g_in, const Tensor& x_in, const Tensor& scale, const Tensor& zero_point,
             std::int64_t channel_axis, std::int64_t qmin, std::int64_t qmax)
      : type(check_float_type(kOp, "x", x_in)),
        arguments(check_affine_arguments(kOp, "x", x_in, scale, zero_point, channel_axis)),
        storage(arguments, check_code_range(kOp, qmin, qmax)),
        x(as_dense(x_in)),
        g(gradient_like(kOp, g_in, x)),
        gx(torch::stable::empty_like(x)),
        layout(layout_of(x, arguments)) {}

  kernels::FakeQuantGradArgs kernel_args(double* scale_partials, double* zero_point_partials) {
    return {
        .gx = gx.mutable_data_ptr(),
        .scale_partials = scale_partials,
        .zero_point_partials = zero_point_partials,
        .g = g.const_data_ptr(),
        .x = x.const_data_ptr(),
        .type = type,
        .layout = layout,
        .table = storage.table(),
    };
  }
};

Tensor fake_quant_affine_grad_x(const Tensor& g, const Tensor& x, const Tensor& scale,
                                const Tensor& zero_point, std::int64_t channel_axis,
                                std::int64_t qmin, std::int64_t qmax) {
  GradInputs inputs(g, x, scale, zero_point, channel_axis, qmin, qmax);
  const kernels::FakeQuantGradArgs args =
      inputs.kernel_args(/*scale_partials=*/nullptr, /*zero_point_partials=*/nullptr);
  parallel_over_blocks(args.layout, [&](std::int64_t begin, std::int64_t end) {
    kernels::fake_quant_affine_grad_x(args, begin, end);
  });
  return inputs.gx;
}

std::tuple<Tensor, Tensor, Tensor> fake_quant_affine_grad(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& zero_point,
    std::int64_t channel_axis, std::int64_t qmin, std::int64_t qmax, double grad_factor) {
  GradInputs inputs(g, x, scale, zero_point, channel_axis, qmin, qmax);
  const auto num_partials = static_cast<std::size_t>(kernels::num_partials(inputs.layout));
  std::vector<double> scale_partials(num_partials);
  std::vector<double> zero_point_partials(num_partials);
  const kernels::FakeQuantGradArgs args =
      inputs.kernel_args(scale_partials.data(), zero_point_partials.data());
  parallel_over_blocks(args.layout, [&](std::int64_t begin, std::int64_t end) {
    kernels::fake_quant_affine_grad(args, begin, end);
  });
  const Tensor dense_scale = torch::stable::contiguous(scale);
  Tensor gscale = torch::stable::empty_like(dense_scale);
  Tensor gzero_point = torch::stable::empty_like(dense_scale);
  kernels::sum_fake_quant_partials(static_cast<float*>(gscale.mutable_data_ptr()),
                                   static_cast<float*>(gzero_point.mutable_data_ptr()),
                                   scale_partials.data(), zero_point_partials.data(), args.layout,
                                   args.table, grad_factor);
  return {inputs.gx, gscale, gzero_point};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hybridquant, m) {
  m.def(kFakeQuantAffineGradX);
  m.def(kFakeQuantAffineGrad);
}

STABLE_TORCH_LIBRARY_IMPL(hybridquant, CPU, m) {
  m.impl("fake_quant_affine_grad_x", TORCH_BOX(&fake_quant_affine_grad_x));
  m.impl("fake_quant_affine_grad", TORCH_BOX(&fake_quant_affine_grad));
}

}  // namespace hybridquant::ops
