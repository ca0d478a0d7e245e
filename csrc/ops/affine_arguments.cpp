#include "ops/affine_arguments.h"

#include <array>
#include <cmath>
#include <ranges>

#include "ops/check.h"

namespace hybridquant::ops {

namespace {

std::int64_t check_axis(std::string_view op, std::string_view x_name, const Tensor& x,
                        std::int64_t channel_axis, std::int64_t num_scales) {
  const std::int64_t dim = x.dim();
  check(dim > 0, op, ": scale must have 1 element (", x_name, " has no axes), got ", num_scales);
  check(-dim <= channel_axis && channel_axis < dim, op, ": channel_axis must be in [", -dim, ", ",
        dim - 1, "] (", x_name, " has ", dim, " axes), got ", channel_axis);
  const std::int64_t axis = channel_axis < 0 ? channel_axis + dim : channel_axis;
  check(num_scales == x.size(axis), op, ": scale must have 1 or ", x.size(axis),
        " elements (channel axis ", axis, " of ", x_name, "), got ", num_scales);
  return axis;
}

// Axes of more than one element, from the largest stride to the smallest.
std::vector<std::int64_t> axes_by_stride(const Tensor& x) {
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 0; axis < x.dim(); ++axis) {
    if (x.size(axis) != 1) axes.push_back(axis);
  }
  std::ranges::stable_sort(axes, [&](std::int64_t left, std::int64_t right) {
    return x.stride(left) > x.stride(right);
  });
  return axes;
}

bool is_dense(const Tensor& x) {
  if (x.is_contiguous()) return true;
  std::int64_t expected = 1;
  const std::vector<std::int64_t> axes = axes_by_stride(x);
  for (const std::int64_t axis : std::views::reverse(axes)) {
    if (x.stride(axis) != expected) return false;
    expected *= x.size(axis);
  }
  return true;
}

}  // namespace

std::vector<float> to_vector(const Tensor& tensor) {
  using torch::headeronly::DeviceType;
  // A tensor elsewhere is waited for here: its values must be checked before they are used.
  const Tensor here =
      tensor.is_cpu() ? tensor : torch::stable::to(tensor, torch::stable::Device(DeviceType::CPU));
  const Tensor dense = torch::stable::contiguous(here);
  const auto* const data = static_cast<const float*>(dense.const_data_ptr());
  return {data, data + dense.numel()};
}

void check_parameter(std::string_view op, std::string_view name, std::string_view x_name,
                     const Tensor& tensor, const Tensor& x) {
  check(tensor.scalar_type() == ScalarType::Float, op, ": ", name, " must be float32, got ",
        dtype_name(tensor));
  check(tensor.device() == x.device(), op, ": ", name, " must be on the device of ", x_name,
        ", got another; move it there");
}

AffineArguments check_scale_arguments(std::string_view op, std::string_view x_name, const Tensor& x,
                                      const Tensor& scale, std::int64_t channel_axis) {
  check_parameter(op, "scale", x_name, scale, x);
  AffineArguments arguments{};
  if (scale.numel() != 1) {
    arguments.axis = check_axis(op, x_name, x, channel_axis, scale.numel());
  }
  arguments.scale = to_vector(scale);
  arguments.zero_point.resize(arguments.scale.size());
  for (std::size_t c = 0; c < arguments.scale.size(); ++c) {
    const float value = arguments.scale[c];
    // 2^-126 is the smallest normal number: its reciprocal is still finite.
    check(value >= 0x1p-126F && std::isfinite(value), op,
          ": scale must be positive, finite and at least 2^-126, got ", value, " at channel ", c,
          std::isnan(value) ? "; calibrate first" : "");
  }
  return arguments;
}

AffineArguments check_affine_arguments(std::string_view op, std::string_view x_name,
                                       const Tensor& x, const Tensor& scale,
                                       const Tensor& zero_point, std::int64_t channel_axis) {
  AffineArguments arguments = check_scale_arguments(op, x_name, x, scale, channel_axis);
  check_parameter(op, "zero_point", x_name, zero_point, x);
  check(zero_point.numel() == scale.numel(), op,
        ": zero_point must have as many elements as scale (", scale.numel(), "), got ",
        zero_point.numel());
  arguments.zero_point = to_vector(zero_point);
  for (std::size_t c = 0; c < arguments.zero_point.size(); ++c) {
    check(std::isfinite(arguments.zero_point[c]), op, ": zero_point must be finite, got ",
          arguments.zero_point[c], " at channel ", c);
  }
  return arguments;
}

kernels::CodeRange check_code_range(std::string_view op, std::int64_t qmin, std::int64_t qmax) {
  check(qmin >= kWidestCodes.qmin, op, ": qmin must be at least ", kWidestCodes.qmin, ", got ",
        qmin);
  check(qmax <= kWidestCodes.qmax, op, ": qmax must be at most ", kWidestCodes.qmax, ", got ",
        qmax);
  check(qmin < qmax, op, ": qmin must be below qmax (", qmax, "), got ", qmin);
  return {static_cast<std::int32_t>(qmin), static_cast<std::int32_t>(qmax)};
}

kernels::FloatType check_float_type(std::string_view op, std::string_view name, const Tensor& x) {
  const ScalarType type = x.scalar_type();
  if (type == ScalarType::Float) return kernels::FloatType::kFloat32;
  if (type == ScalarType::BFloat16) return kernels::FloatType::kBFloat16;
  check(type == ScalarType::Half, op, ": ", name, " must be float32, bfloat16 or float16, got ",
        dtype_name(x));
  return kernels::FloatType::kFloat16;
}

kernels::CodeType check_code_type(std::string_view op, const Tensor& q) {
  const ScalarType type = q.scalar_type();
  if (type == ScalarType::Byte) return kernels::CodeType::kUInt8;
  if (type == ScalarType::Char) return kernels::CodeType::kInt8;
  if (type == ScalarType::Short) return kernels::CodeType::kInt16;
  check(type == ScalarType::Int, op, ": q must be uint8, int8, int16 or int32, got ",
        dtype_name(q));
  return kernels::CodeType::kInt32;
}

kernels::CodeType code_type_for(kernels::CodeRange codes) {
  if (codes.qmin >= 0 && codes.qmax <= 255) return kernels::CodeType::kUInt8;
  if (codes.qmin >= -128 && codes.qmax <= 127) return kernels::CodeType::kInt8;
  if (codes.qmax <= 32767) return kernels::CodeType::kInt16;
  return kernels::CodeType::kInt32;
}

ScalarType scalar_type_of(kernels::CodeType type) {
  switch (type) {
    case kernels::CodeType::kUInt8:
      return ScalarType::Byte;
    case kernels::CodeType::kInt8:
      return ScalarType::Char;
    case kernels::CodeType::kInt16:
      return ScalarType::Short;
    case kernels::CodeType::kInt32:
      return ScalarType::Int;
    case kernels::CodeType::kInt64:
      break;
  }
  return ScalarType::Long;
}

Tensor empty_like_of_type(const Tensor& like, ScalarType type) {
  using torch::stable::detail::from;
  std::array<StableIValue, 6> stack{from(like),         from(std::optional(type)),
                                    from(std::nullopt), from(std::nullopt),
                                    from(std::nullopt), from(std::nullopt)};
  TORCH_ERROR_CODE_CHECK(
      torch_call_dispatcher("aten::empty_like", "", stack.data(), TORCH_ABI_VERSION));
  return torch::stable::detail::to<Tensor>(stack[0]);
}

Tensor as_dense(const Tensor& x) {
  if (is_dense(x)) return x;
  Tensor copy = torch::stable::empty_like(x);
  return torch::stable::copy_(copy, x);
}

Tensor with_strides_of(const Tensor& tensor, const Tensor& like) {
  if (tensor.is_contiguous() && like.is_contiguous()) return tensor;
  bool is_same = true;
  for (std::int64_t axis = 0; axis < like.dim(); ++axis) {
    is_same = is_same && tensor.stride(axis) == like.stride(axis);
  }
  if (is_same) return tensor;
  Tensor copy = torch::stable::empty_like(like);
  return torch::stable::copy_(copy, tensor);
}

Tensor gradient_like(std::string_view op, const Tensor& g, const Tensor& x) {
  check(g.scalar_type() == x.scalar_type(), op, ": the gradient must be ", dtype_name(x),
        " as x is, got ", dtype_name(g));
  bool is_same_shape = g.dim() == x.dim();
  for (std::int64_t axis = 0; is_same_shape && axis < x.dim(); ++axis) {
    is_same_shape = g.size(axis) == x.size(axis);
  }
  check(is_same_shape, op, ": the gradient must have the shape of x, got another");
  return with_strides_of(g, x);
}

kernels::AffineLayout layout_of(const Tensor& dense, const AffineArguments& arguments) {
  if (!arguments.axis) return {/*outer=*/1, /*channels=*/1, /*inner=*/dense.numel()};
  const std::int64_t channels = dense.size(*arguments.axis);
  kernels::AffineLayout layout{/*outer=*/1, channels, /*inner=*/1};
  std::int64_t* side = &layout.outer;
  for (const std::int64_t axis : axes_by_stride(dense)) {
    if (axis == *arguments.axis) {
      side = &layout.inner;
    } else {
      *side *= dense.size(axis);
    }
  }
  return layout;
}

AffineTableStorage::AffineTableStorage(const AffineArguments& arguments, kernels::CodeRange codes)
    : storage_(static_cast<std::size_t>(
          kernels::affine_table_size(static_cast<std::int64_t>(arguments.scale.size())))),
      table_(kernels::prepare_affine_table(
          storage_.data(), arguments.scale.data(), arguments.zero_point.data(),
          static_cast<std::int64_t>(arguments.scale.size()), codes)) {}

}  // namespace hybridquant::ops
