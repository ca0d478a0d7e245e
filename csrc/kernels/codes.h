// What every integer kernel shares: types of codes, and how results become codes.
#pragma once

#include <cstdint>

#include "kernels/fixed_point.h"

namespace hybridquant::kernels {

// Integer types of tensors, with their bits.
enum class CodeType : std::uint8_t { kUInt8, kInt8, kInt16, kInt32, kInt64 };

constexpr std::int64_t code_size(CodeType type) {
  if (type == CodeType::kInt16) return 2;
  if (type == CodeType::kInt32) return 4;
  return type == CodeType::kInt64 ? 8 : 1;
}

// How the results of a kernel become codes: clamp(zero_point + result), result rounded by
// `rounding`.
struct OutputCodes {
  std::int32_t zero_point;
  std::int32_t lowest;
  std::int32_t highest;
  Rounding rounding;
};

}  // namespace hybridquant::kernels
