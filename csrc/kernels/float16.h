// Scalar conversions between float32 and the 16-bit floats, to nearest with ties to even.
#pragma once

#include <bit>
#include <cstdint>

namespace hybridquant::kernels {

// The 16 bits of a bfloat16 and of an IEEE half: types of their own so that overloads tell them
// apart.
enum class BFloat16 : std::uint16_t {};
enum class Float16 : std::uint16_t {};

inline float to_float(float x) { return x; }

inline float to_float(BFloat16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

inline float to_float(Float16 x) {
  const auto bits = static_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1FU;
  const std::uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0x1FU) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
  // Subnormal: mantissa * 2^-24, exact in float32.
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

template <typename T>
T from_float(float x);

template <>
inline float from_float<float>(float x) {
  return x;
}

template <>
inline BFloat16 from_float<BFloat16>(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return static_cast<BFloat16>((bits >> 16) | 0x40U);
  return static_cast<BFloat16>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

template <>
inline Float16 from_float<Float16>(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<Float16>(sign | 0x7E00U);
  if (magnitude >= 0x47800000U) return static_cast<Float16>(sign | 0x7C00U);  // 2^16 and above
  if (magnitude <
      0x38800000U) {  // below 2^-14: adding 0.5 leaves multiples of 2^-24 in the low bits
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<Float16>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  // Rounds up into the exponent where it must; 65520 and above become infinity by the same carry.
  const std::uint32_t odd = (magnitude >> 13) & 1U;
  return static_cast<Float16>(sign | ((magnitude - 0x38000000U + 0xFFFU + odd) >> 13));
}

}  // namespace hybridquant::kernels
