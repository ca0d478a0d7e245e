#include "ops/portable_affine.h"

#include <torch/csrc/stable/library.h>

#include "ops/aten_calls.h"
#include "ops/check.h"
#include "ops/schemas.h"

namespace hybridquant::ops::portable {

namespace {

// The constants of the rule, shaped to broadcast against x.
struct Constants {
  Tensor scale;
  Tensor zero_point;
  Tensor qmin;
  Tensor qmax;

  Constants(const Tensor& x, const Tensor& scale_in, const Tensor& zero_point_in,
            const AffineArguments& arguments, kernels::CodeRange codes)
      : qmin(number(x, codes.qmin)), qmax(number(x, codes.qmax)) {
    const std::vector<std::int64_t> shape = scale_shape(x, arguments);
    scale = torch::stable::reshape(scale_in, shape);
    const Tensor rounded = aten("aten::round", "", torch::stable::reshape(zero_point_in, shape));
    zero_point = clamp(rounded, qmin, qmax);
  }
};

// Every intermediate value of the rule, in float32.
struct Rounded {
  Tensor t;          // x * (1 / scale)
  Tensor r;          // rint(t)
  Tensor unclamped;  // r + z; minus minus, so that -0 + 0 is 0
  Tensor q;          // clamped

  Rounded(const Tensor& x, const Constants& c)
      : t(convert(x, ScalarType::Float) * aten("aten::reciprocal", "", c.scale)),
        r(aten("aten::round", "", t)),
        unclamped(r - (-c.zero_point)),
        q(clamp(unclamped, c.qmin, c.qmax)) {}
};

struct Checked {
  AffineArguments arguments;
  Constants constants;
};

Checked check_all(std::string_view op, const Tensor& x, const Tensor& scale,
                  const Tensor& zero_point, std::int64_t channel_axis, std::int64_t qmin,
                  std::int64_t qmax) {
  check_float_type(op, "x", x);
  const kernels::CodeRange codes = check_code_range(op, qmin, qmax);
  AffineArguments arguments = check_affine_arguments(op, "x", x, scale, zero_point, channel_axis);
  Constants constants(x, scale, zero_point, arguments, codes);
  return {std::move(arguments), std::move(constants)};
}

}  // namespace

Tensor fake_quant_affine(const Tensor& x, const Tensor& scale, const Tensor& zero_point,
                         std::int64_t channel_axis, std::int64_t qmin, std::int64_t qmax,
                         double /*grad_factor*/) {
  const Constants c =
      check_all("fake_quant_affine", x, scale, zero_point, channel_axis, qmin, qmax).constants;
  return convert((Rounded(x, c).q - c.zero_point) * c.scale, x.scalar_type());
}

Tensor fake_quant_affine_grad_x(const Tensor& g, const Tensor& x, const Tensor& scale,
                                const Tensor& zero_point, std::int64_t channel_axis,
                                std::int64_t qmin, std::int64_t qmax) {
  const Constants c =
      check_all("fake_quant_affine", x, scale, zero_point, channel_axis, qmin, qmax).constants;
  const Rounded rounded(x, c);
  const Tensor is_inside = rounded.unclamped >= c.qmin && rounded.unclamped <= c.qmax;
  return select(is_inside, g, number(g, 0.0, g.scalar_type()));
}

std::tuple<Tensor, Tensor, Tensor> fake_quant_affine_grad(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& zero_point,
    std::int64_t channel_axis, std::int64_t qmin, std::int64_t qmax, double grad_factor) {
  const Checked checked =
      check_all("fake_quant_affine", x, scale, zero_point, channel_axis, qmin, qmax);
  const Constants& c = checked.constants;
  const Rounded rounded(x, c);
  const Tensor is_inside = rounded.unclamped >= c.qmin && rounded.unclamped <= c.qmax;
  const Tensor is_number = aten("aten::eq", "Tensor", rounded.t, rounded.t);
  const Tensor zero = number(x, 0.0);
  const Tensor wide_g = convert(g, ScalarType::Float);
  const Tensor clipped = select(is_number, rounded.q - c.zero_point, zero);
  const Tensor slope = select(is_inside, rounded.r - rounded.t, clipped);
  const Tensor is_ignored =
      aten("aten::logical_or", "", is_inside, aten("aten::logical_not", "", is_number));
  const Tensor outside_g = select(is_ignored, zero, wide_g);
  const Tensor factor = number(x, grad_factor, ScalarType::Double);
  return {select(is_inside, g, number(g, 0.0, g.scalar_type())),
          sum_to_scale(wide_g * slope, scale, checked.arguments, factor),
          sum_to_scale(outside_g, scale, checked.arguments,
                       -(convert(scale, ScalarType::Double) * factor))};
}

Tensor quantize_affine(const Tensor& x, const Tensor& scale, const Tensor& zero_point,
                       std::int64_t channel_axis, std::int64_t qmin, std::int64_t qmax) {
  const Constants c =
      check_all("quantize_affine", x, scale, zero_point, channel_axis, qmin, qmax).constants;
  const Tensor q = Rounded(x, c).q;
  const Tensor codes = select(aten("aten::eq", "Tensor", q, q), q, c.zero_point);
  const kernels::CodeRange range{static_cast<std::int32_t>(qmin), static_cast<std::int32_t>(qmax)};
  return convert(codes, scalar_type_of(code_type_for(range)));
}

Tensor dequantize_affine(const Tensor& q, const Tensor& scale, const Tensor& zero_point,
                         std::int64_t channel_axis) {
  check_code_type("dequantize_affine", q);
  const AffineArguments arguments =
      check_affine_arguments("dequantize_affine", "q", q, scale, zero_point, channel_axis);
  const Constants c(q, scale, zero_point, arguments, kWidestCodes);
  return (convert(q, ScalarType::Float) - c.zero_point) * c.scale;
}

STABLE_TORCH_LIBRARY_IMPL(hybridquant, CUDA, m) {
  m.impl("fake_quant_affine", TORCH_BOX(&fake_quant_affine));
  m.impl("fake_quant_affine_grad_x", TORCH_BOX(&fake_quant_affine_grad_x));
  m.impl("fake_quant_affine_grad", TORCH_BOX(&fake_quant_affine_grad));
  m.impl("quantize_affine", TORCH_BOX(&quantize_affine));
  m.impl("dequantize_affine", TORCH_BOX(&dequantize_affine));
}

// The same functions under a name of their own, for any device: how the path is compared with the
// kernels where there is no accelerator.
STABLE_TORCH_LIBRARY(hybridquant_portable, m) {
  m.def(kFakeQuantAffine);
  m.def(kFakeQuantAffineGradX);
  m.def(kFakeQuantAffineGrad);
  m.def(kQuantizeAffine);
  m.def(kDequantizeAffine);
}

STABLE_TORCH_LIBRARY_IMPL(hybridquant_portable, CompositeExplicitAutograd, m) {
  m.impl("fake_quant_affine", TORCH_BOX(&fake_quant_affine));
  m.impl("fake_quant_affine_grad_x", TORCH_BOX(&fake_quant_affine_grad_x));
  m.impl("fake_quant_affine_grad", TORCH_BOX(&fake_quant_affine_grad));
  m.impl("quantize_affine", TORCH_BOX(&quantize_affine));
  m.impl("dequantize_affine", TORCH_BOX(&dequantize_affine));
}

}  // namespace hybridquant::ops::portable
