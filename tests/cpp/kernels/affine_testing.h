// Inputs and helpers that the affine kernels' tests share.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "kernels/affine.h"
#include "kernels/cpu_features.h"
#include "kernels/float16.h"

namespace hybridquant::kernels {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct AffineCase {
  AffineLayout layout;
  CodeRange codes;
};

inline std::ostream& operator<<(std::ostream& out, const AffineCase& c) {
  return out << "[" << c.layout.outer << ", " << c.layout.channels << ", " << c.layout.inner
             << "] in [" << c.codes.qmin << ", " << c.codes.qmax << "]";
}

// Sizes around the register widths, the lanes and the blocks, for each of the three shapes of
// layout.
inline std::vector<AffineCase> affine_cases() {
  std::vector<AffineCase> cases;
  for (const std::int64_t n : {0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 100, 2047, 2048, 2049, 5000}) {
    cases.push_back({{1, 1, n}, {0, 255}});
    cases.push_back({{2, 3, n}, {-128, 127}});
  }
  for (const std::int64_t channels : {2, 3, 5, 8, 15, 16, 17, 31, 33, 48, 100, 1000}) {
    for (const std::int64_t rows : {0, 1, 2, 15, 16, 17, 33, 70}) {
      cases.push_back({{rows, channels, 1}, {-8, 7}});
    }
  }
  cases.push_back({{700, 3, 1}, {0, 65535}});
  cases.push_back({{1, 1, 300}, {-32768, 32767}});
  cases.push_back({{1, 1, 300}, {0, 1}});
  return cases;
}

inline std::size_t size_of(const AffineLayout& layout) {
  return static_cast<std::size_t>(layout.outer * layout.channels * layout.inner);
}

// Random values over a few quantization steps, with halves, infinities, NaNs, zeros and huge and
// tiny numbers among them.
inline std::vector<float> affine_inputs(std::size_t n, float scale, std::uint32_t seed) {
  static const std::vector<float> kSpecial = {0.0F,   -0.0F,  kInf,    -kInf,   kNan,    1e38F,
                                              -1e38F, 1e-40F, -1e-40F, 3.4e38F, 1.0F / 3};
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, 100.0F);
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t kind = generator() % 8;
    const float value = normal(generator);
    if (kind == 0) {
      x[i] = kSpecial[generator() % kSpecial.size()];
    } else if (kind == 1) {
      x[i] = (std::nearbyint(value) + 0.5F) * scale;
    } else {
      x[i] = value * scale;
    }
  }
  return x;
}

// Finite values of either sign.
inline std::vector<float> normal_values(std::size_t n, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(generator);
  return values;
}

// A table with a scale and a zero-point of its own for each channel.
struct TestTable {
  std::vector<float> storage;
  AffineTable table;

  TestTable(std::int64_t channels, CodeRange codes)
      : storage(static_cast<std::size_t>(affine_table_size(channels))) {
    std::vector<float> scale;
    std::vector<float> zero_point;
    for (std::int64_t c = 0; c < channels; ++c) {
      scale.push_back(0.013F * static_cast<float>(c % 7 + 1));
      zero_point.push_back(
          static_cast<float>(codes.qmin + (codes.qmax - codes.qmin) * (c % 3) / 3));
    }
    table = prepare_affine_table(storage.data(), scale.data(), zero_point.data(), channels, codes);
  }
};

template <typename T>
std::vector<T> converted(const std::vector<float>& values) {
  std::vector<T> result;
  result.reserve(values.size());
  for (const float value : values) result.push_back(from_float<T>(value));
  return result;
}

template <typename T>
FloatType float_type();
template <>
inline FloatType float_type<float>() {
  return FloatType::kFloat32;
}
template <>
inline FloatType float_type<BFloat16>() {
  return FloatType::kBFloat16;
}
template <>
inline FloatType float_type<Float16>() {
  return FloatType::kFloat16;
}

// Equal bits, except that every NaN equals every NaN.
template <typename T>
void expect_same(const std::vector<T>& got, const std::vector<T>& expected,
                 const std::string& what) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const float left = to_float(got[i]);
    const float right = to_float(expected[i]);
    const bool same = left == right ? std::signbit(left) == std::signbit(right)
                                    : std::isnan(left) && std::isnan(right);
    ASSERT_TRUE(same) << what << " element " << i << ": got " << left << ", expected " << right;
  }
}

// One test per instruction set; skipped, with a word, where the processor lacks it.
class PerIsa : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!is_available(GetParam())) GTEST_SKIP() << "this processor has no " << isa_name(GetParam());
  }
};

inline std::string isa_test_name(const testing::TestParamInfo<Isa>& info) {
  return isa_name(info.param);
}

}  // namespace hybridquant::kernels
