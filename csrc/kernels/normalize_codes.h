// Layer, group and root-mean-square norms and the L2 norm of codes. docs/arithmetic.md is the rule.
#pragma once

#include <cstdint>

#include "kernels/codes.h"

namespace hybridquant::kernels {

enum class Norm : std::uint8_t {
  kLayer,  // (x - mean) / sqrt(variance + epsilon): layer norm, and group norm
  kRms,    // x / sqrt(mean of x^2 + epsilon)
  kL2,     // x / max(sqrt(sum of x^2), epsilon)
};

// The n = pixels * channels codes of one image and one group are normalised together. A layer norm
// over rows has an image for each row, one pixel, one group and n channels.
struct NormalizeArgs {
  // Outputs
  void* y;  // [images, pixels, groups, channels] of y_type; y == x is allowed with equal types
            // and strides
  // Inputs
  const void* x;             // [images, pixels, groups, channels] of x_type
  const std::int32_t* m;     // [groups, channels]: gamma / (2^20 scale of y) is m / 2^shift
  const std::int64_t* beta;  // [groups, channels]: rint(2^shift beta / scale of y), |beta| < 2^61
  CodeType y_type;           // uint8, int8 or int16
  CodeType x_type;           // uint8, int8 or int16
  std::int64_t pixels;       // pixels * channels is 1 to 2^20 - 1
  std::int64_t groups;
  std::int64_t channels;  // of a group; the last two axes are one stretch of memory
  std::int64_t y_image_stride;
  std::int64_t y_pixel_stride;
  std::int64_t x_image_stride;
  std::int64_t x_pixel_stride;
  Norm norm;
  std::int32_t zero_point;  // of x, one of its codes
  std::int32_t shift;       // 1 to 62
  std::int64_t epsilon;     // 1 to 2^62
  OutputCodes codes;        // rounding kSingle
};

// Does the groups [begin, end) of all images; image i has those from i * groups on.
void normalize_codes(const NormalizeArgs& args, std::int64_t begin, std::int64_t end);
void normalize_codes_ref(const NormalizeArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
