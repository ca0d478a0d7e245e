// Fake-quantization: x_hat = (clamp(rint(x / scale) + z, qmin, qmax) - z) * scale, and its
// gradients.
#pragma once

#include <cstdint>

#include "kernels/affine.h"

namespace hybridquant::kernels {

// Arguments of the forward kernel. `x` and `y` have the layout's shape and `type`, and may be
// equal.
struct FakeQuantArgs {
  // Outputs
  void* y;
  // Inputs
  const void* x;
  FloatType type;
  AffineLayout layout;
  AffineTable table;
};

// Arguments of the gradient kernels. `gx`, `g` and `x` have the layout's shape and `type`.
struct FakeQuantGradArgs {
  // Outputs
  void* gx;
  double* scale_partials;       // [num_partials(layout)]; learned-step gradient only
  double* zero_point_partials;  // [num_partials(layout)]; learned-step gradient only
  // Inputs
  const void* g;
  const void* x;
  FloatType type;
  AffineLayout layout;
  AffineTable table;
};

// Each call does the blocks [begin, end) of num_blocks(layout); blocks are independent.
void fake_quant_affine(const FakeQuantArgs& args, std::int64_t begin, std::int64_t end);
// Straight-through gradient: gx = g where the rounded code is inside [qmin, qmax], else 0.
void fake_quant_affine_grad_x(const FakeQuantGradArgs& args, std::int64_t begin, std::int64_t end);
// The same, and the blocks' partial sums of the gradients of scale and zero-point.
void fake_quant_affine_grad(const FakeQuantGradArgs& args, std::int64_t begin, std::int64_t end);

// Reference kernels: the rule written out element by element. The kernels above equal them bit for
// bit.
void fake_quant_affine_ref(const FakeQuantArgs& args, std::int64_t begin, std::int64_t end);
void fake_quant_affine_grad_x_ref(const FakeQuantGradArgs& args, std::int64_t begin,
                                  std::int64_t end);
void fake_quant_affine_grad_ref(const FakeQuantGradArgs& args, std::int64_t begin,
                                std::int64_t end);

// Adds the blocks' partial sums in order and applies the factors.
// gscale, gzero_point: [channels]; partials: [num_partials(layout)].
void sum_fake_quant_partials(float* gscale, float* gzero_point, const double* scale_partials,
                             const double* zero_point_partials, const AffineLayout& layout,
                             const AffineTable& table, double grad_factor);

}  // namespace hybridquant::kernels
