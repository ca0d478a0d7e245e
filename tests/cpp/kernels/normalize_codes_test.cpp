#include "kernels/normalize_codes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

constexpr std::int64_t kLargestBeta = (std::int64_t{1} << 61) - 1;
constexpr std::int32_t kLargestM = 2147483647;

struct Shape {
  std::int64_t images, pixels, groups, channels;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  return out << "[" << shape.images << ", " << shape.pixels << ", " << shape.groups << ", "
             << shape.channels << "]";
}

// The multipliers and offsets of gamma and beta, which are in steps of the output.
struct Affine {
  std::vector<std::int32_t> m;
  std::vector<std::int64_t> beta;
  std::int32_t shift;

  Affine(const std::vector<double>& gammas, const std::vector<double>& betas, std::int32_t shift_in)
      : shift(shift_in) {
    for (const double gamma : gammas) {
      m.push_back(static_cast<std::int32_t>(std::nearbyint(std::ldexp(gamma, shift - 20))));
    }
    for (const double b : betas) {
      beta.push_back(static_cast<std::int64_t>(std::nearbyint(std::ldexp(b, shift))));
    }
  }
};

// Codes with `gap` elements after each pixel and each image that nothing reads or writes.
struct Tensors {
  Codes x;
  Codes y;
  NormalizeArgs args;

  Tensors(CodeType x_type, CodeType y_type, const Shape& shape, std::int64_t gap,
          std::uint32_t seed)
      : x(Codes::random(x_type, size_of(shape, gap), seed)),
        y(Codes::zeros(y_type, size_of(shape, 2 * gap))) {
    args = {.y = y.data(),
            .x = x.data(),
            .m = nullptr,
            .beta = nullptr,
            .y_type = y_type,
            .x_type = x_type,
            .pixels = shape.pixels,
            .groups = shape.groups,
            .channels = shape.channels,
            .y_image_stride = image_stride(shape, 2 * gap),
            .y_pixel_stride = shape.groups * shape.channels + 2 * gap,
            .x_image_stride = image_stride(shape, gap),
            .x_pixel_stride = shape.groups * shape.channels + gap,
            .norm = Norm::kLayer,
            .zero_point = 0,
            .shift = 1,
            .epsilon = 1,
            .codes = full_range(y_type, 0, Rounding::kSingle)};
  }

  void set(const Affine& affine) {
    args.m = affine.m.data();
    args.beta = affine.beta.data();
    args.shift = affine.shift;
  }

  static std::int64_t image_stride(const Shape& shape, std::int64_t gap) {
    return shape.pixels * (shape.groups * shape.channels + gap) + gap;
  }

  static std::int64_t size_of(const Shape& shape, std::int64_t gap) {
    return shape.images * image_stride(shape, gap);
  }
};

using Values = std::vector<std::int64_t>;

Values row_of(const Values& x, Norm norm, std::int32_t zero_point, std::int64_t epsilon,
              double gamma, double beta) {
  const auto n = static_cast<std::int64_t>(x.size());
  Tensors tensors(CodeType::kInt8, CodeType::kInt16, {1, 1, 1, n}, 0, 1);
  const Codes codes(CodeType::kInt8, x);
  const Affine affine(std::vector<double>(x.size(), gamma), std::vector<double>(x.size(), beta),
                      40);
  tensors.set(affine);
  tensors.args.x = codes.data();
  tensors.args.norm = norm;
  tensors.args.zero_point = zero_point;
  tensors.args.epsilon = epsilon;
  normalize_codes_ref(tensors.args, 0, 1);
  return tensors.y.values();
}

TEST(NormalizeCodes, RowsByHand) {
  // n = 2, S1 = 4, S2 = 10, V = 20 - 16 + 5 = 9, D = -2 and 2: values -2/3 and 2/3.
  EXPECT_EQ(row_of({1, 3}, Norm::kLayer, 0, 5, 300, 0), (Values{-200, 200}));
  EXPECT_EQ(row_of({1, 3}, Norm::kLayer, 99, 5, -300, 7), (Values{207, -193}));
  // Centred 3 and 4 of zero-point -2: V = 2 * 25 + 50 = 100, D = 6 and 8.
  EXPECT_EQ(row_of({1, 2}, Norm::kRms, -2, 50, 1000, 1), (Values{601, 801}));
  // V = max(25, epsilon), D = 3 and 4.
  EXPECT_EQ(row_of({1, 2}, Norm::kL2, -2, 1, 1000, 0), (Values{600, 800}));
  EXPECT_EQ(row_of({1, 2}, Norm::kL2, -2, 100, 1000, 0), (Values{300, 400}));
}

TEST(NormalizeCodes, ConstantRowsAreBeta) {
  for (const std::int64_t code : {-128, 0, 127}) {
    EXPECT_EQ(row_of(Values(9, code), Norm::kLayer, 0, 1, 10000, -5.5), Values(9, -5));
  }
  EXPECT_EQ(row_of({100}, Norm::kLayer, 0, 1, 10000, 3), Values{3});
  EXPECT_EQ(row_of(Values(9, 7), Norm::kRms, 7, 1, 10000, 3), Values(9, 3));
}

// The largest values there are: one code apart from all others.
TEST(NormalizeCodes, OneCodeApart) {
  Values x(101, 20);
  x[50] = 21;
  const Values y = row_of(x, Norm::kLayer, 0, 1, 100, 0);
  EXPECT_EQ(y[50], 995);  // 100 sqrt(100), less what epsilon takes: V = 100 + 1
  EXPECT_EQ(y[0], -10);
}

std::vector<double> values_between(double low, double high, std::int64_t count,
                                   std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> any(low, high);
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(any(generator));
  return values;
}

struct FloatCase {
  CodeType type;
  Shape shape;
  Norm norm;
  double gamma;  // in output steps
};

// The same in float64, from the codes' values and an epsilon in real units.
void expect_near_float(const FloatCase& c, std::uint32_t seed) {
  const double scale = 0.037;
  const std::int64_t channels = c.shape.groups * c.shape.channels;
  const auto n = static_cast<double>(c.shape.pixels * c.shape.channels);
  Tensors tensors(c.type, CodeType::kInt16, c.shape, /*gap=*/0, seed);
  std::vector<double> gammas = values_between(-c.gamma, c.gamma, channels, seed);
  gammas[0] = 0;
  const std::vector<double> betas = values_between(-500, 500, channels, seed + 1);
  const Affine affine(gammas, betas, 36);
  tensors.set(affine);
  const std::int32_t z = c.type == CodeType::kUInt8 ? 131 : -7;
  tensors.args.norm = c.norm;
  tensors.args.zero_point = z;
  const double steps = 8;  // an integer, so that the kernel's epsilon is exact for few codes too
  const double epsilon = steps * scale * scale;
  tensors.args.epsilon = static_cast<std::int64_t>(
      c.norm == Norm::kL2 ? std::ceil(epsilon * steps) : std::nearbyint(steps * n * n));
  normalize_codes_ref(tensors.args, 0, c.shape.images * c.shape.groups);
  const auto at = [&](std::int64_t image, std::int64_t pixel, std::int64_t channel) {
    return (image * c.shape.pixels + pixel) * channels + channel;
  };
  const auto value = [&](std::int64_t i) {
    return scale * static_cast<double>(tensors.x.at(i) - z);
  };
  double worst = 0;
  for (std::int64_t image = 0; image < c.shape.images; ++image) {
    for (std::int64_t first = 0; first < channels; first += c.shape.channels) {
      double sum = 0;
      double squares = 0;
      for (std::int64_t pixel = 0; pixel < c.shape.pixels; ++pixel) {
        for (std::int64_t k = first; k < first + c.shape.channels; ++k) {
          sum += value(at(image, pixel, k));
          squares += std::pow(value(at(image, pixel, k)), 2);
        }
      }
      const double mean = c.norm == Norm::kLayer ? sum / n : 0;
      const double root = c.norm == Norm::kL2 ? std::max(std::sqrt(squares), epsilon)
                                              : std::sqrt(squares / n - mean * mean + epsilon);
      for (std::int64_t pixel = 0; pixel < c.shape.pixels; ++pixel) {
        for (std::int64_t k = first; k < first + c.shape.channels; ++k) {
          const std::int64_t i = at(image, pixel, k);
          const auto channel = static_cast<std::size_t>(k);
          const double exact = gammas[channel] * (value(i) - mean) / root + betas[channel];
          worst = std::max(worst, std::abs(static_cast<double>(tensors.y.at(i)) - exact));
        }
      }
    }
  }
  EXPECT_LE(worst, 0.5 + 0x1p-8) << c.shape << " norm " << static_cast<int>(c.norm);
}

TEST(NormalizeCodes, IsTheRoundedNormOfTheValues) {
  std::uint32_t seed = 0;
  for (const CodeType type : {CodeType::kUInt8, CodeType::kInt16}) {
    for (const Norm norm : {Norm::kLayer, Norm::kRms, Norm::kL2}) {
      expect_near_float({type, {8, 1, 1, 64}, norm, 4000}, ++seed);
      expect_near_float({type, {3, 1, 1, 240}, norm, 4000}, ++seed);
      expect_near_float({type, {2, 49, 4, 8}, norm, 4000}, ++seed);
      expect_near_float({type, {1, 1024, 1, 64}, norm, 4000}, ++seed);
      expect_near_float({type, {1, 4096, 1, 64}, norm, 4000}, ++seed);
      expect_near_float({type, {40, 1, 1, 2}, norm, 4000}, ++seed);
    }
  }
}

using NormalizePerIsa = PerIsa;

void expect_equals_reference(const KernelTable& kernels, Tensors& tensors, const Shape& shape) {
  Codes expected = tensors.y;
  NormalizeArgs args = tensors.args;
  args.y = expected.data();
  normalize_codes_ref(args, 0, shape.images * shape.groups);
  run_in_parts(kernels.normalize_codes, tensors.args, shape.images * shape.groups);
  ASSERT_EQ(tensors.y, expected) << shape << " norm " << static_cast<int>(args.norm) << " shift "
                                 << args.shift << " epsilon " << args.epsilon;
}

// Multipliers and offsets of any size, the extremes among them, so that most results are clamped
// for the small shifts.
Affine any_affine(std::int64_t channels, std::int32_t shift, std::uint32_t seed) {
  std::mt19937_64 random(seed);
  Affine affine({}, {}, shift);
  for (std::int64_t c = 0; c < channels; ++c) {
    const std::uint64_t kind = random() % 8;
    affine.m.push_back(kind == 0   ? kLargestM
                       : kind == 1 ? -kLargestM
                       : kind == 2 ? 0
                                   : static_cast<std::int32_t>(random()));
    affine.beta.push_back(kind == 0   ? kLargestBeta
                          : kind == 1 ? -kLargestBeta
                                      : static_cast<std::int64_t>(random()) >> (3 + random() % 40));
  }
  return affine;
}

TEST_P(NormalizePerIsa, EqualsReference) {
  const KernelTable& kernels = kernels_for(GetParam());
  const std::vector<Shape> shapes = {{1, 1, 1, 1},  {3, 1, 1, 2},   {5, 1, 1, 7},   {3, 1, 1, 16},
                                     {3, 1, 1, 33}, {4, 1, 1, 255}, {2, 1, 1, 257}, {2, 1, 1, 600},
                                     {2, 9, 3, 5},  {2, 17, 2, 16}, {2, 49, 4, 1},  {0, 5, 2, 4},
                                     {1, 70, 1, 33}};
  std::uint32_t seed = 0;
  for (const CodeType x_type : kNarrowTypes) {
    for (const Shape& shape : shapes) {
      for (const Norm norm : {Norm::kLayer, Norm::kRms, Norm::kL2}) {
        const CodeType y_type = kNarrowTypes[++seed % 3];
        Tensors tensors(x_type, y_type, shape, seed % 3, seed);
        const Limits limits = limits_of(x_type);
        tensors.args.norm = norm;
        tensors.args.codes.zero_point = y_type == CodeType::kUInt8 ? 100 : -5;
        for (const std::int32_t shift : {1, 20, 45, 55, 62}) {
          const Affine affine = any_affine(shape.groups * shape.channels, shift, seed);
          tensors.set(affine);
          tensors.args.zero_point =
              static_cast<std::int32_t>(shift % 2 == 0 ? limits.lowest : limits.highest / 3);
          tensors.args.epsilon = std::int64_t{1} << (shift == 45 ? 62 : shift / 4);
          expect_equals_reference(kernels, tensors, shape);
        }
      }
    }
  }
}

// Codes that are all alike, all at the limits, or one apart from the others.
TEST_P(NormalizePerIsa, ExtremeCodes) {
  const KernelTable& kernels = kernels_for(GetParam());
  for (const CodeType type : kNarrowTypes) {
    const Limits limits = limits_of(type);
    for (const std::int64_t n : {2, 40, 4096, 1 << 15, (1 << 15) + 1, 65536 * 4, (1 << 20) - 1}) {
      const Shape shape = {1, 1, 1, n};
      Tensors tensors(type, CodeType::kInt16, shape, 0, 1);
      const Affine affine = any_affine(n, 48, 3);
      tensors.set(affine);
      for (const Norm norm : {Norm::kLayer, Norm::kRms, Norm::kL2}) {
        tensors.args.norm = norm;
        tensors.args.zero_point = static_cast<std::int32_t>(limits.lowest);
        for (const std::int64_t ones : {std::int64_t{0}, std::int64_t{1}, n / 2, n}) {
          for (std::int64_t i = 0; i < n; ++i) {
            tensors.x.set(i, i < ones ? limits.highest : limits.lowest);
          }
          expect_equals_reference(kernels, tensors, shape);
        }
      }
    }
  }
}

// V from 1 on: every length of V, roots of which 2^31 is the reciprocal, and their neighbours.
TEST_P(NormalizePerIsa, EveryLengthOfTheVariance) {
  const Shape shape = {1, 1, 1, 20};
  Tensors tensors(CodeType::kInt16, CodeType::kInt16, shape, 0, 1);
  const Affine affine = any_affine(20, 50, 4);
  tensors.set(affine);
  tensors.args.norm = Norm::kL2;
  for (int bits = 0; bits <= 62; ++bits) {
    for (const std::int64_t offset : {-1, 0, 1}) {
      tensors.args.epsilon = std::max<std::int64_t>(1, (std::int64_t{1} << bits) + offset);
      for (std::int64_t i = 0; i < 20; ++i) {
        tensors.x.set(i, (bits > 30 ? 32767 : (1 << (bits / 2)) / 5) - i % 3);
      }
      expect_equals_reference(kernels_for(GetParam()), tensors, shape);
    }
  }
}

TEST_P(NormalizePerIsa, WorksInPlace) {
  const Shape shape = {3, 4, 2, 300};
  Tensors tensors(CodeType::kUInt8, CodeType::kUInt8, shape, 0, 9);
  const Affine affine(values_between(-40, 40, 600, 1), values_between(-40, 40, 600, 2), 40);
  tensors.set(affine);
  tensors.args.codes.zero_point = 128;
  normalize_codes_ref(tensors.args, 0, 6);
  NormalizeArgs args = tensors.args;
  args.y = tensors.x.data();
  kernels_for(GetParam()).normalize_codes(args, 0, 6);
  EXPECT_EQ(tensors.x, tensors.y);
}

INSTANTIATE_TEST_SUITE_P(Isas, NormalizePerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
