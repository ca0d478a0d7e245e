// The level ops composed of ATen calls, for devices that have no kernels here; see
// portable_affine.h.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "ops/aten_calls.h"
#include "ops/level_arguments.h"
#include "ops/schemas.h"

namespace hybridquant::ops::portable {

namespace {

constexpr std::string_view kOp = "fake_quant_levels";

// The number of thresholds that are at most t, int64.
Tensor count_thresholds(const Tensor& t, const Tensor& thresholds) {
  using torch::stable::detail::from;
  std::array<StableIValue, 4> stack{from(torch::stable::contiguous(t)),
                                    from(torch::stable::contiguous(thresholds)),
                                    /*out_int32=*/from(false), /*right=*/from(true)};
  TORCH_ERROR_CODE_CHECK(
      torch_call_dispatcher("aten::bucketize", "Tensor", stack.data(), TORCH_ABI_VERSION));
  return torch::stable::detail::to<Tensor>(stack[0]);
}

// Every intermediate value of the rule, in float32.
struct Rounded {
  AffineArguments arguments;
  Tensor wide_scale;
  Tensor t;  // x * (1 / scale)
  Tensor level;
  Tensor is_inside;
  Tensor is_number;

  Rounded(const Tensor& x, const Tensor& scale, const Tensor& levels, const Tensor& thresholds,
          std::int64_t channel_axis)
      : arguments((check_float_type(kOp, "x", x),
                   check_scale_arguments(kOp, "x", x, scale, channel_axis))) {
    const LevelTableStorage storage(kOp, x, levels, thresholds);
    const kernels::LevelTable& table = storage.table();
    wide_scale = torch::stable::reshape(scale, scale_shape(x, arguments));
    t = convert(x, ScalarType::Float) * aten("aten::reciprocal", "", wide_scale);
    is_number = aten("aten::eq", "Tensor", t, t);
    const Tensor index = count_thresholds(select(is_number, t, number(x, 0.0)), thresholds);
    // Minus minus 0, so that no level is -0.
    const Tensor taken = aten("aten::take", "", levels, index) - (-number(x, 0.0));
    level = select(is_number, taken, t);
    is_inside = t >= number(x, static_cast<double>(table.lowest)) &&
                t <= number(x, static_cast<double>(table.highest));
  }
};

Tensor fake_quant_levels(const Tensor& x, const Tensor& scale, const Tensor& levels,
                         const Tensor& thresholds, std::int64_t channel_axis,
                         double /*grad_factor*/) {
  const Rounded rounded(x, scale, levels, thresholds, channel_axis);
  return convert(rounded.level * rounded.wide_scale, x.scalar_type());
}

Tensor fake_quant_levels_grad_x(const Tensor& g, const Tensor& x, const Tensor& scale,
                                const Tensor& levels, const Tensor& thresholds,
                                std::int64_t channel_axis) {
  const Rounded rounded(x, scale, levels, thresholds, channel_axis);
  return select(rounded.is_inside, g, number(g, 0.0, g.scalar_type()));
}

std::tuple<Tensor, Tensor> fake_quant_levels_grad(const Tensor& g, const Tensor& x,
                                                  const Tensor& scale, const Tensor& levels,
                                                  const Tensor& thresholds,
                                                  std::int64_t channel_axis, double grad_factor) {
  const Rounded rounded(x, scale, levels, thresholds, channel_axis);
  const Tensor slope = select(rounded.is_inside, rounded.level - rounded.t, rounded.level);
  const Tensor terms = convert(g, ScalarType::Float) * slope;
  const Tensor factor = number(x, grad_factor, ScalarType::Double);
  return {select(rounded.is_inside, g, number(g, 0.0, g.scalar_type())),
          sum_to_scale(select(rounded.is_number, terms, number(x, 0.0)), scale, rounded.arguments,
                       factor)};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(hybridquant, CUDA, m) {
  m.impl("fake_quant_levels", TORCH_BOX(&fake_quant_levels));
  m.impl("fake_quant_levels_grad_x", TORCH_BOX(&fake_quant_levels_grad_x));
  m.impl("fake_quant_levels_grad", TORCH_BOX(&fake_quant_levels_grad));
}

STABLE_TORCH_LIBRARY_FRAGMENT(hybridquant_portable, m) {
  m.def(kFakeQuantLevels);
  m.def(kFakeQuantLevelsGradX);
  m.def(kFakeQuantLevelsGrad);
}

STABLE_TORCH_LIBRARY_IMPL(hybridquant_portable, CompositeExplicitAutograd, m) {
  m.impl("fake_quant_levels", TORCH_BOX(&fake_quant_levels));
  m.impl("fake_quant_levels_grad_x", TORCH_BOX(&fake_quant_levels_grad_x));
  m.impl("fake_quant_levels_grad", TORCH_BOX(&fake_quant_levels_grad));
}

}  // namespace hybridquant::ops::portable
