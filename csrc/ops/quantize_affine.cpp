#include "kernels/quantize_affine.h"

#include <torch/csrc/stable/library.h>

#include "ops/affine_arguments.h"
#include "ops/check.h"
#include "ops/schemas.h"

namespace hybridquant::ops {

namespace {

constexpr std::string_view kOp = "quantize_affine";

Tensor quantize_affine(const Tensor& x, const Tensor& scale, const Tensor& zero_point,
                       std::int64_t channel_axis, std::int64_t qmin, std::int64_t qmax) {
  const kernels::FloatType type = check_float_type(kOp, "x", x);
  const kernels::CodeRange codes = check_code_range(kOp, qmin, qmax);
  const AffineArguments arguments =
      check_affine_arguments(kOp, "x", x, scale, zero_point, channel_axis);
  const AffineTableStorage storage(arguments, codes);
  const Tensor dense = as_dense(x);
  const kernels::CodeType code_type = code_type_for(codes);
  Tensor q = empty_like_of_type(dense, scalar_type_of(code_type));
  const kernels::QuantizeArgs args{
      .q = q.mutable_data_ptr(),
      .x = dense.const_data_ptr(),
      .code_type = code_type,
      .type = type,
      .layout = layout_of(dense, arguments),
      .table = storage.table(),
  };
  parallel_over_blocks(args.layout, [&](std::int64_t begin, std::int64_t end) {
    kernels::quantize_affine(args, begin, end);
  });
  return q;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hybridquant, m) { m.def(kQuantizeAffine); }

STABLE_TORCH_LIBRARY_IMPL(hybridquant, CPU, m) {
  m.impl("quantize_affine", TORCH_BOX(&quantize_affine));
}

}  // namespace hybridquant::ops
