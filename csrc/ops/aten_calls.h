// ATen calls that the portable ops are composed of.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "ops/affine_arguments.h"

namespace hybridquant::ops::portable {

// Calls an ATen operator whose arguments and single result are all tensors.
template <typename... Tensors>
Tensor aten(const char* name, const char* overload, const Tensors&... tensors) {
  std::array<StableIValue, sizeof...(Tensors)> stack{torch::stable::detail::from(tensors)...};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher(name, overload, stack.data(), TORCH_ABI_VERSION));
  return torch::stable::detail::to<Tensor>(stack[0]);
}

inline Tensor operator*(const Tensor& a, const Tensor& b) {
  return aten("aten::mul", "Tensor", a, b);
}
inline Tensor operator-(const Tensor& a, const Tensor& b) { return torch::stable::subtract(a, b); }
inline Tensor operator-(const Tensor& a) { return aten("aten::neg", "", a); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) {
  return aten("aten::ge", "Tensor", a, b);
}
inline Tensor operator<=(const Tensor& a, const Tensor& b) {
  return aten("aten::le", "Tensor", a, b);
}
inline Tensor operator&&(const Tensor& a, const Tensor& b) {
  return aten("aten::logical_and", "", a, b);
}

inline Tensor select(const Tensor& condition, const Tensor& a, const Tensor& b) {
  return aten("aten::where", "self", condition, a, b);
}

// Keeps a NaN.
inline Tensor clamp(const Tensor& x, const Tensor& low, const Tensor& high) {
  return aten("aten::minimum", "", aten("aten::maximum", "", x, low), high);
}

inline Tensor convert(const Tensor& x, ScalarType type) { return torch::stable::to(x, type); }

inline Tensor number(const Tensor& like, double value, ScalarType type = ScalarType::Float) {
  return torch::stable::full({}, value, type, std::nullopt, like.device());
}

// The shape in which scales broadcast against x.
inline std::vector<std::int64_t> scale_shape(const Tensor& x, const AffineArguments& arguments) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  if (arguments.axis) shape[static_cast<std::size_t>(*arguments.axis)] = x.size(*arguments.axis);
  return shape;
}

// Sums all axes but the channel axis in float64, times `factor`, as float32 in the shape of scale.
inline Tensor sum_to_scale(const Tensor& terms, const Tensor& scale,
                           const AffineArguments& arguments, const Tensor& factor) {
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 0; axis < terms.dim(); ++axis) {
    if (axis != arguments.axis.value_or(-1)) axes.push_back(axis);
  }
  const Tensor wide = convert(terms, ScalarType::Double);
  // No axes would mean all of them.
  const Tensor sum = axes.empty()
                         ? wide
                         : torch::stable::sum(wide, torch::headeronly::IntHeaderOnlyArrayRef(axes));
  return convert(torch::stable::reshape(sum, scale.sizes()) * factor, ScalarType::Float);
}

}  // namespace hybridquant::ops::portable
