#include "kernels/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace hybridquant::kernels {
namespace {

TEST(Float16, KnownBits) {
  struct Case {
    float value;
    std::uint16_t bits;
  };
  const std::vector<Case> cases = {
      {0.0F, 0x0000},       {-0.0F, 0x8000},      {1.0F, 0x3C00},       {-2.0F, 0xC000},
      {65504.0F, 0x7BFF},   {65519.0F, 0x7BFF},   {65520.0F, 0x7C00},   {1e6F, 0x7C00},
      {-1e6F, 0xFC00},      {0x1p-14F, 0x0400},   {0x1p-24F, 0x0001},   {0x1p-25F, 0x0000},
      {0x1.8p-25F, 0x0001}, {0x1.002p0F, 0x3C00}, {0x1.006p0F, 0x3C02}, {1e-10F, 0x0000}};
  for (const Case& c : cases) {
    EXPECT_EQ(static_cast<std::uint16_t>(from_float<Float16>(c.value)), c.bits) << c.value;
  }
}

TEST(BFloat16, KnownBits) {
  struct Case {
    float value;
    std::uint16_t bits;
  };
  const std::vector<Case> cases = {{0.0F, 0x0000},      {-0.0F, 0x8000},     {1.0F, 0x3F80},
                                   {0x1.01p0F, 0x3F80}, {0x1.03p0F, 0x3F82}, {3.4e38F, 0x7F80},
                                   {1e-40F, 0x0001},    {-1.5F, 0xBFC0}};
  for (const Case& c : cases) {
    EXPECT_EQ(static_cast<std::uint16_t>(from_float<BFloat16>(c.value)), c.bits) << c.value;
  }
}

// Every 16-bit number survives the way to float32 and back; every NaN stays one.
template <typename T>
void expect_round_trip() {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto x = static_cast<T>(bits);
    const float wide = to_float(x);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(to_float(from_float<T>(wide)))) << bits;
    } else {
      EXPECT_EQ(from_float<T>(wide), x) << bits;
    }
  }
}

TEST(Float16, RoundTrip) { expect_round_trip<Float16>(); }
TEST(BFloat16, RoundTrip) { expect_round_trip<BFloat16>(); }

}  // namespace
}  // namespace hybridquant::kernels
