#include "kernels/fixed_point.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace hybridquant::kernels {
namespace {

constexpr std::int32_t kIntMin = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t kIntMax = std::numeric_limits<std::int32_t>::max();
constexpr Multiplier kHalf = {1 << 30, 31};

// m / 2^shift with m in [2^30, 2^31), as lowering makes it.
Multiplier multiplier_of(double factor) {
  int exponent = 0;
  auto m = static_cast<std::int64_t>(std::nearbyint(std::frexp(factor, &exponent) * 0x1p31));
  if (m == std::int64_t{1} << 31) {
    m /= 2;
    ++exponent;
  }
  return {static_cast<std::int32_t>(m), 31 - exponent};
}

TEST(Requantize, HalvesGoWhereTheRuleSays) {
  struct Case {
    std::int32_t a;
    std::int64_t single, half_even, twice;
  };
  for (const Case& c : std::vector<Case>{{0, 0, 0, 0},
                                         {1, 1, 0, 1},
                                         {2, 1, 1, 1},
                                         {3, 2, 2, 2},
                                         {5, 3, 2, 3},
                                         {-1, 0, 0, 0},
                                         {-2, -1, -1, -1},
                                         {-3, -1, -2, -1},
                                         {-5, -2, -2, -2}}) {
    EXPECT_EQ(requantize(c.a, kHalf, Rounding::kSingle), c.single) << c.a;
    EXPECT_EQ(requantize(c.a, kHalf, Rounding::kHalfEven), c.half_even) << c.a;
    EXPECT_EQ(requantize(c.a, kHalf, Rounding::kDouble), c.twice) << c.a;
  }
}

// Quarters are rounded twice by kDouble: 1.25 / 2 is 0.625, but 5 / 4 = 1.25, and its half 1 / 2.
TEST(Requantize, DoubleRoundsTwice) {
  const Multiplier eighth = {1 << 30, 33};
  for (std::int32_t a = -64; a <= 64; ++a) {
    const double high = static_cast<double>(a) / 2;
    const double first = a >= 0 ? std::floor(high + 0.5) : -std::floor(-high + 0.5 - 1e-9);
    const double second = std::round(first / 4);
    EXPECT_EQ(requantize(a, eighth, Rounding::kDouble), static_cast<std::int64_t>(second)) << a;
  }
}

TEST(Requantize, IsTheNearestIntegerForAnyFactor) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> exponents(-20, 8);
  std::uniform_int_distribution<std::int32_t> accumulators(-(1 << 22), 1 << 22);
  for (int i = 0; i < 200000; ++i) {
    const Multiplier by = multiplier_of(std::exp2(exponents(random)));
    const std::int32_t a = accumulators(random);
    const long double exact =
        static_cast<long double>(a) * by.m / std::exp2(static_cast<long double>(by.shift));
    for (const Rounding rounding : {Rounding::kSingle, Rounding::kHalfEven}) {
      const auto q = static_cast<long double>(requantize(a, by, rounding));
      ASSERT_LE(std::abs(q - exact), 0.5L) << a << " " << by.m << " " << by.shift;
    }
    ASSERT_EQ(requantize(a, by, Rounding::kSingle),
              requantize(std::int64_t{a}, by, Rounding::kSingle));
    ASSERT_EQ(requantize(a, by, Rounding::kHalfEven),
              requantize(std::int64_t{a}, by, Rounding::kHalfEven));
  }
}

TEST(Requantize, ExtremesFit) {
  for (const std::int32_t shift : {1, 31, 62}) {
    for (const std::int32_t m : {kIntMax, 1 << 30, 1, -kIntMax}) {
      for (const std::int32_t a : {kIntMin, kIntMax, -1, 0, 1}) {
        const Int128 exact = (Int128{a} * m + (Int128{1} << (shift - 1))) >> shift;
        EXPECT_EQ(requantize(a, {m, shift}, Rounding::kSingle), static_cast<std::int64_t>(exact));
        EXPECT_EQ(requantize(std::int64_t{a}, {m, shift}, Rounding::kSingle),
                  static_cast<std::int64_t>(exact));
      }
    }
  }
  EXPECT_EQ(requantize((std::int64_t{1} << 46) + 1, {1 << 30, 40}, Rounding::kSingle),
            std::int64_t{1} << 36);
  EXPECT_EQ(requantize(kIntMax, {kIntMax, 1}, Rounding::kDouble), kIntMax - 1);
}

TEST(RequantizeQuotient, IsRoundedOnce) {
  const Multiplier by = {24576, 15};  // 0.75
  for (std::int64_t a = -500; a <= 500; ++a) {
    for (const std::int64_t b : {1, 2, 3, 7, 64, -1, -2, -5}) {
      const double exact = static_cast<double>(a) * 0.75 / static_cast<double>(b);
      EXPECT_EQ(requantize_quotient(a, b, by), static_cast<std::int64_t>(std::floor(exact + 0.5)))
          << a << " / " << b;
    }
    EXPECT_EQ(requantize_quotient(a, 0, by), 0);
  }
}

TEST(FloorDivide, RoundsDown) {
  EXPECT_EQ(floor_divide(7, 2), 3);
  EXPECT_EQ(floor_divide(-7, 2), -4);
  EXPECT_EQ(floor_divide(-8, 2), -4);
}

TEST(Isqrt, AllSmallOnesAndTheNeighboursOfSquares) {
  std::uint64_t root = 0;
  for (std::uint64_t v = 0; v < 1 << 20; ++v) {
    if ((root + 1) * (root + 1) <= v) ++root;
    ASSERT_EQ(isqrt(v), root) << v;
  }
  std::mt19937_64 random(3);
  for (int i = 0; i < 200000; ++i) {
    const std::uint64_t k = random() >> (33 + random() % 31);
    ASSERT_EQ(isqrt(k * k), k);
    ASSERT_EQ(isqrt(k * k + 2 * k), k);
    if (k > 0) {
      ASSERT_EQ(isqrt(k * k - 1), k - 1);
    }
  }
  EXPECT_EQ(isqrt((std::uint64_t{1} << 62) - 1), (std::uint64_t{1} << 31) - 1);
}

TEST(ClampCode, Saturates) {
  EXPECT_EQ(clamp_code(300, 0, 255), 255);
  EXPECT_EQ(clamp_code(-1, 0, 255), 0);
  EXPECT_EQ(clamp_code(std::int64_t{1} << 40, -128, 127), 127);
  EXPECT_EQ(clamp_code(17, 0, 255), 17);
}

}  // namespace
}  // namespace hybridquant::kernels
