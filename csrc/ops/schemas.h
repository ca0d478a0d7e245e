// The ops' schemas, written once for the fast kernels and for the portable path.
#pragma once

namespace hybridquant::ops {

inline constexpr const char* kFakeQuantAffine =
    "fake_quant_affine(Tensor x, Tensor scale, Tensor zero_point, int channel_axis, int qmin, "
    "int qmax, float grad_factor=1.0) -> Tensor";

// Straight-through gradient of x alone.
inline constexpr const char* kFakeQuantAffineGradX =
    "fake_quant_affine_grad_x(Tensor g, Tensor x, Tensor scale, Tensor zero_point, "
    "int channel_axis, int qmin, int qmax) -> Tensor";

// Gradients of x, scale and zero_point.
inline constexpr const char* kFakeQuantAffineGrad =
    "fake_quant_affine_grad(Tensor g, Tensor x, Tensor scale, Tensor zero_point, "
    "int channel_axis, int qmin, int qmax, float grad_factor) -> (Tensor, Tensor, Tensor)";

inline constexpr const char* kFakeQuantLevels =
    "fake_quant_levels(Tensor x, Tensor scale, Tensor levels, Tensor thresholds, int channel_axis, "
    "float grad_factor=1.0) -> Tensor";

// Straight-through gradient of x alone.
inline constexpr const char* kFakeQuantLevelsGradX =
    "fake_quant_levels_grad_x(Tensor g, Tensor x, Tensor scale, Tensor levels, Tensor thresholds, "
    "int channel_axis) -> Tensor";

// Gradients of x and scale.
inline constexpr const char* kFakeQuantLevelsGrad =
    "fake_quant_levels_grad(Tensor g, Tensor x, Tensor scale, Tensor levels, Tensor thresholds, "
    "int channel_axis, float grad_factor) -> (Tensor, Tensor)";

inline constexpr const char* kQuantizeAffine =
    "quantize_affine(Tensor x, Tensor scale, Tensor zero_point, int channel_axis, int qmin, "
    "int qmax) -> Tensor";

inline constexpr const char* kDequantizeAffine =
    "dequantize_affine(Tensor q, Tensor scale, Tensor zero_point, int channel_axis) -> Tensor";

// The logits' codes of a model file's bytes. num_logits is known to tracing compilers, which see no
// bytes.
inline constexpr const char* kRunIntegerModel =
    "run_integer_model(Tensor program, Tensor x, int num_logits) -> Tensor";

}  // namespace hybridquant::ops
