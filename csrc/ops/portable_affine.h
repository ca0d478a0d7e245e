// The affine ops composed of ATen calls, for devices that have no kernels here. The rule is the
// same; sums of gradients are taken in float64, in ATen's order.
#pragma once

#include <cstdint>
#include <tuple>

#include "ops/affine_arguments.h"

namespace hybridquant::ops::portable {

Tensor fake_quant_affine(const Tensor& x, const Tensor& scale, const Tensor& zero_point,
                         std::int64_t channel_axis, std::int64_t qmin, std::int64_t qmax,
                         double grad_factor);

Tensor fake_quant_affine_grad_x(const Tensor& g, const Tensor& x, const Tensor& scale,
                                const Tensor& zero_point, std::int64_t channel_axis,
                                std::int64_t qmin, std::int64_t qmax);

std::tuple<Tensor, Tensor, Tensor> fake_quant_affine_grad(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& zero_point,
    std::int64_t channel_axis, std::int64_t qmin, std::int64_t qmax, double grad_factor);

Tensor quantize_affine(const Tensor& x, const Tensor& scale, const Tensor& zero_point,
                       std::int64_t channel_axis, std::int64_t qmin, std::int64_t qmax);

Tensor dequantize_affine(const Tensor& q, const Tensor& scale, const Tensor& zero_point,
                         std::int64_t channel_axis);

}  // namespace hybridquant::ops::portable
