#include "kernels/dequantize_affine.h"

#include <torch/csrc/stable/library.h>

#include "ops/affine_arguments.h"
#include "ops/check.h"
#include "ops/schemas.h"

namespace hybridquant::ops {

namespace {

constexpr std::string_view kOp = "dequantize_affine";

Tensor dequantize_affine(const Tensor& q, const Tensor& scale, const Tensor& zero_point,
                         std::int64_t channel_axis) {
  const kernels::CodeType code_type = check_code_type(kOp, q);
  const AffineArguments arguments =
      check_affine_arguments(kOp, "q", q, scale, zero_point, channel_axis);
  const AffineTableStorage storage(arguments, kWidestCodes);
  const Tensor dense = as_dense(q);
  Tensor x = empty_like_of_type(dense, ScalarType::Float);
  const kernels::DequantizeArgs args{
      .x = static_cast<float*>(x.mutable_data_ptr()),
      .q = dense.const_data_ptr(),
      .code_type = code_type,
      .layout = layout_of(dense, arguments),
      .table = storage.table(),
  };
  parallel_over_blocks(args.layout, [&](std::int64_t begin, std::int64_t end) {
    kernels::dequantize_affine(args, begin, end);
  });
  return x;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hybridquant, m) { m.def(kDequantizeAffine); }

STABLE_TORCH_LIBRARY_IMPL(hybridquant, CPU, m) {
  m.impl("dequantize_affine", TORCH_BOX(&dequantize_affine));
}

}  // namespace hybridquant::ops
