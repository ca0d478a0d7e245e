// The checked arguments that all affine ops share, and their path to the kernels.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kernels/affine.h"

namespace hybridquant::ops {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Scales and zero-points checked against x and brought to the CPU.
struct AffineArguments {
  std::vector<float> scale;          // [channels]
  std::vector<float> zero_point;     // [channels]
  std::optional<std::int64_t> axis;  // channel axis of x, from the start; none when per tensor
};

// Throws std::runtime_error with
// "<op>: <argument> must <requirement>, got <value>[; <what to do>]".
// `x` is named `x_name` in the texts.
AffineArguments check_affine_arguments(std::string_view op, std::string_view x_name,
                                       const Tensor& x, const Tensor& scale,
                                       const Tensor& zero_point, std::int64_t channel_axis);

// The same for scales alone; the zero-points are 0.
AffineArguments check_scale_arguments(std::string_view op, std::string_view x_name, const Tensor& x,
                                      const Tensor& scale, std::int64_t channel_axis);

// Checks that `tensor` is float32 on the device of x.
void check_parameter(std::string_view op, std::string_view name, std::string_view x_name,
                     const Tensor& tensor, const Tensor& x);

// The elements of a float32 tensor of at most one axis that matters, on the CPU.
std::vector<float> to_vector(const Tensor& tensor);

// Checks qmin and qmax; every code must fit 16 bits, signed or not.
kernels::CodeRange check_code_range(std::string_view op, std::int64_t qmin, std::int64_t qmax);

// Checks that x is float32, bfloat16 or float16.
kernels::FloatType check_float_type(std::string_view op, std::string_view name, const Tensor& x);

// Checks that q is uint8, int8, int16 or int32.
kernels::CodeType check_code_type(std::string_view op, const Tensor& q);

// Every code that any quantizer may use; dequantization keeps zero-points inside.
inline constexpr kernels::CodeRange kWidestCodes = {/*qmin=*/-32768, /*qmax=*/65535};

// Smallest of uint8, int8, int16, int32 (in this order) that holds every code.
kernels::CodeType code_type_for(kernels::CodeRange codes);
ScalarType scalar_type_of(kernels::CodeType type);

// An uninitialised tensor of another dtype with the shape, strides and device of `like`.
Tensor empty_like_of_type(const Tensor& like, ScalarType type);

// x itself when its elements fill their memory without gaps in any axis order, else such a copy,
// with the strides that empty_like(x) has.
Tensor as_dense(const Tensor& x);

// `tensor` itself when it has the strides of the dense `like`, else such a copy.
Tensor with_strides_of(const Tensor& tensor, const Tensor& like);

// The gradient `g` of the result in the strides of the dense `x`, checked to be of its dtype and
// shape.
Tensor gradient_like(std::string_view op, const Tensor& g, const Tensor& x);

// The view of a dense tensor that kernels work on.
kernels::AffineLayout layout_of(const Tensor& dense, const AffineArguments& arguments);

// The kernels' table of constants, together with its memory.
class AffineTableStorage {
 public:
  AffineTableStorage(const AffineArguments& arguments, kernels::CodeRange codes);
  AffineTableStorage(const AffineTableStorage&) = delete;
  AffineTableStorage& operator=(const AffineTableStorage&) = delete;

  [[nodiscard]] const kernels::AffineTable& table() const { return table_; }

 private:
  std::vector<float> storage_;
  kernels::AffineTable table_;
};

// Calls run(begin, end) over the layout's blocks, on torch's threads.
template <typename Run>
void parallel_over_blocks(const kernels::AffineLayout& layout, const Run& run) {
  const std::int64_t blocks = kernels::num_blocks(layout);
  if (blocks == 0) return;
  constexpr std::int64_t kMinElementsPerThread = 32768;
  const std::int64_t elements = layout.outer * layout.channels * layout.inner;
  const std::int64_t grain = std::max<std::int64_t>(1, kMinElementsPerThread / (elements / blocks));
  torch::stable::parallel_for(0, blocks, grain, run);
}

}  // namespace hybridquant::ops
