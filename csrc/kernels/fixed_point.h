// Integer arithmetic that rounds: the only place where integer kernels do. docs/arithmetic.md is
// the rule. Everything here has internal linkage, because it is compiled for each instruction set.
#pragma once

#include <bit>
#include <cassert>
#include <cstdint>
#include <limits>

namespace hybridquant::kernels {

__extension__ using Int128 = __int128;

// How a product with a multiplier becomes an integer; each is data in a model.
enum class Rounding : std::uint8_t {
  kSingle,    // once, halves up
  kHalfEven,  // once, halves to the even integer
  kDouble,    // twice, as gemmlowp and TFLite do
};

// A positive or negative factor m / 2^shift.
struct Multiplier {
  std::int32_t m;
  std::int32_t shift;  // 1 to 62
};

// v / 2^shift, halves up: (v + 2^(shift - 1)) >> shift in a form that compilers vectorize and that
// cannot overflow. 0 < shift < 63.
[[maybe_unused]] static inline std::int64_t round_shift(std::int64_t v, std::int32_t shift) {
  assert(shift > 0 && shift < 63);
  return ((v >> (shift - 1)) + 1) >> 1;
}

[[maybe_unused]] static inline Int128 round_shift_wide(Int128 v, std::int32_t shift) {
  return (v + (Int128{1} << (shift - 1))) >> shift;
}

[[maybe_unused]] static inline std::int64_t round_shift_half_even(Int128 v, std::int32_t shift) {
  const Int128 floor = v >> shift;
  const Int128 rest = v - (floor << shift);
  const Int128 half = Int128{1} << (shift - 1);
  const bool up = rest > half || (rest == half && (floor & 1) != 0);
  return static_cast<std::int64_t>(floor + (up ? 1 : 0));
}

// The twice-rounded product of gemmlowp: a doubling high multiplication, then a division by a power
// of two, ties away from zero.
[[maybe_unused]] static inline std::int64_t round_shift_double(std::int64_t a, Multiplier by) {
  constexpr std::int64_t kMin = std::numeric_limits<std::int32_t>::min();
  constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max();
  const std::int32_t right = by.shift - 31;
  if (right < 0) {
    const Int128 shifted = Int128{a} << -right;
    a = static_cast<std::int64_t>(shifted < kMin ? kMin : shifted > kMax ? kMax : shifted);
  }
  const Int128 product = Int128{a} * by.m;
  const Int128 nudge = product >= 0 ? Int128{1} << 30 : 1 - (Int128{1} << 30);
  const auto high = static_cast<std::int64_t>((product + nudge) / (Int128{1} << 31));
  if (right <= 0) return high;
  const std::int64_t mask = (std::int64_t{1} << right) - 1;
  const std::int64_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
  return (high >> right) + ((high & mask) > threshold ? 1 : 0);
}

// a * m / 2^shift for an accumulator of 32 bits.
[[maybe_unused]] static inline std::int64_t requantize(std::int32_t a, Multiplier by,
                                                       Rounding rounding) {
  if (rounding == Rounding::kSingle) return round_shift(std::int64_t{a} * by.m, by.shift);
  if (rounding == Rounding::kDouble) return round_shift_double(a, by);
  return round_shift_half_even(Int128{a} * by.m, by.shift);
}

// The same for one of 64 bits.
[[maybe_unused]] static inline std::int64_t requantize(std::int64_t a, Multiplier by,
                                                       Rounding rounding) {
  if (rounding == Rounding::kDouble) return round_shift_double(a, by);
  const Int128 product = Int128{a} * by.m;
  if (rounding == Rounding::kHalfEven) return round_shift_half_even(product, by.shift);
  return static_cast<std::int64_t>(round_shift_wide(product, by.shift));
}

// v into [lowest, highest].
[[maybe_unused]] static inline std::int32_t clamp_code(std::int64_t v, std::int32_t lowest,
                                                       std::int32_t highest) {
  return static_cast<std::int32_t>(v < lowest ? lowest : v > highest ? highest : v);
}

// a / b rounded towards minus infinity. b > 0.
[[maybe_unused]] static inline std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  assert(b > 0);
  const std::int64_t quotient = a / b;
  return quotient - (a % b < 0 ? 1 : 0);
}

// a m / (b 2^shift), rounded once, halves up; 0 where b is 0. |a m| < 2^61, |b| 2^shift < 2^61.
[[maybe_unused]] static inline std::int64_t requantize_quotient(std::int64_t a, std::int64_t b,
                                                                Multiplier by) {
  if (b == 0) return 0;
  if (b < 0) {
    a = -a;
    b = -b;
  }
  assert(b < (std::int64_t{1} << 61) >> by.shift);
  return floor_divide(2 * a * by.m + (b << by.shift), b << (by.shift + 1));
}

// Number of bits of v: the smallest n with v < 2^n.
[[maybe_unused]] static inline std::int32_t bit_length(std::uint64_t v) {
  return 64 - std::countl_zero(v);
}

// The largest k with k * k <= v. v < 2^62. Newton from above falls until it is there.
[[maybe_unused]] static inline std::uint64_t isqrt(std::uint64_t v) {
  assert(v < std::uint64_t{1} << 62);
  if (v == 0) return 0;
  std::uint64_t k = std::uint64_t{1} << ((bit_length(v) + 1) / 2);
  while (true) {
    const std::uint64_t next = (k + v / k) >> 1;
    if (next >= k) return k;
    k = next;
  }
}

}  // namespace hybridquant::kernels
