#include "kernels/fake_quant_affine.h"

#include <torch/csrc/stable/library.h>

#include "ops/affine_arguments.h"
#include "ops/check.h"
#include "ops/schemas.h"

namespace hybridquant::ops {

namespace {

constexpr std::string_view kOp = "fake_quant_affine";

Tensor fake_quant_affine(const Tensor& x, const Tensor& scale, const Tensor& zero_point,
                         std::int64_t channel_axis, std::int64_t qmin, std::int64_t qmax,
                         double /*grad_factor*/) {
  const kernels::FloatType type = check_float_type(kOp, "x", x);
  const kernels::CodeRange codes = check_code_range(kOp, qmin, qmax);
  const AffineArguments arguments =
      check_affine_arguments(kOp, "x", x, scale, zero_point, channel_axis);
  const AffineTableStorage storage(arguments, codes);
  const Tensor dense = as_dense(x);
  Tensor y = torch::stable::empty_like(dense);
  const kernels::FakeQuantArgs args{
      .y = y.mutable_data_ptr(),
      .x = dense.const_data_ptr(),
      .type = type,
      .layout = layout_of(dense, arguments),
      .table = storage.table(),
  };
  parallel_over_blocks(args.layout, [&](std::int64_t begin, std::int64_t end) {
    kernels::fake_quant_affine(args, begin, end);
  });
  return y;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hybridquant, m) { m.def(kFakeQuantAffine); }

STABLE_TORCH_LIBRARY_IMPL(hybridquant, CPU, m) {
  m.impl("fake_quant_affine", TORCH_BOX(&fake_quant_affine));
}

}  // namespace hybridquant::ops
