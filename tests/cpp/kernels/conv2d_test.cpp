#include "kernels/conv2d.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/conv2d_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

// One image of 2x2 codes, zero-point 1, under one window of 2x2.
const Conv2dShape kSmall = shape_of(1, 2, 2, 1, 1, 1, {2, 2, 1, 1, 1});
constexpr std::uint8_t kSmallX[] = {1, 2, 3, 4};
constexpr std::int8_t kSmallWeights[] = {1, -2, 3, -4};

Conv2dArgs small_args(void* y, CodeType y_type, const std::int32_t* bias) {
  return {.y = y,
          .scratch = nullptr,
          .x = kSmallX,
          .weights = kSmallWeights,
          .start = nullptr,
          .bias = bias,
          .tap_offset = nullptr,
          .multipliers = nullptr,
          .y_column_stride = 1,
          .y_row_stride = 3,
          .y_batch_stride = 9,
          .x_column_stride = 1,
          .x_row_stride = 2,
          .x_batch_stride = 4,
          .shape = kSmall,
          .codes = {10, 0, 15, Rounding::kSingle},
          .y_type = y_type,
          .x_type = CodeType::kUInt8,
          .accumulator_type = CodeType::kInt32,
          .x_zero_point = 1};
}

TEST(Conv2d, AccumulatorsAreSumsOfCentredCodes) {
  std::vector<std::int32_t> y(9);
  conv2d_ref(small_args(y.data(), CodeType::kInt32, nullptr), 0, 3);
  EXPECT_EQ(y, (std::vector<std::int32_t>{0, -4, 3, -8, -8, 10, -4, -4, 3}));
}

TEST(Conv2d, ResultsAreRoundedAndClamped) {
  const std::int32_t bias = 5;
  const Multiplier half = {1 << 30, 31};
  std::vector<std::uint8_t> y(9);
  Conv2dArgs args = small_args(y.data(), CodeType::kUInt8, &bias);
  args.multipliers = &half;
  conv2d_ref(args, 0, 3);
  EXPECT_EQ(y, (std::vector<std::uint8_t>{13, 11, 14, 9, 9, 15, 11, 11, 14}));
}

TEST(Conv2d, OffsetsCountInsideTheImageOnly) {
  const std::int32_t offsets[] = {1000, 100, 10, 1};
  std::vector<std::int32_t> y(9);
  Conv2dArgs args = small_args(y.data(), CodeType::kInt32, nullptr);
  args.tap_offset = offsets;
  conv2d_ref(args, 0, 3);
  EXPECT_EQ(y, (std::vector<std::int32_t>{0 - 1, -4 - 11, 3 - 10, -8 - 101, -8 - 1111, 10 - 1010,
                                          -4 - 100, -4 - 1100, 3 - 1000}));
}

// The sums again, the other way round: every code of x is added to the outputs that see it.
std::vector<Int128> scattered(ConvProblem& problem, const Conv2dArgs& args) {
  const Conv2dShape& s = args.shape;
  const std::int64_t channels = s.in_channels / s.groups;
  const std::int64_t outputs = s.out_channels / s.groups;
  std::vector<Int128> acc(as_size(s.batch * s.out_height * s.out_width * s.out_channels));
  for (std::size_t i = 0; i < acc.size(); ++i) acc[i] = args.bias[i % as_size(s.out_channels)];
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t y = 0; y < s.height; ++y) {
      for (std::int64_t x = 0; x < s.width; ++x) {
        for (std::int64_t tap = 0; tap < s.kernel_height * s.kernel_width; ++tap) {
          const std::int64_t down = y + s.pad_top - tap / s.kernel_width * s.dilation_y;
          const std::int64_t right = x + s.pad_left - tap % s.kernel_width * s.dilation_x;
          if (down < 0 || down % s.stride_y != 0 || down / s.stride_y >= s.out_height) continue;
          if (right < 0 || right % s.stride_x != 0 || right / s.stride_x >= s.out_width) continue;
          const std::int64_t pixel =
              (n * s.out_height + down / s.stride_y) * s.out_width + right / s.stride_x;
          for (std::int64_t o = 0; o < s.out_channels; ++o) {
            for (std::int64_t c = 0; c < channels; ++c) {
              const std::int64_t code =
                  problem.x().at(n * args.x_batch_stride + y * args.x_row_stride +
                                 x * args.x_column_stride + o / outputs * channels + c);
              const std::int64_t weight =
                  args.weights[(o * s.kernel_height * s.kernel_width + tap) * channels + c];
              acc[as_size(pixel * s.out_channels + o)] += Int128{code - args.x_zero_point} * weight;
            }
          }
        }
      }
    }
  }
  return acc;
}

TEST(Conv2d, ReferenceIsExact) {
  std::uint32_t seed = 1;
  for (const Conv2dShape& shape : conv_shapes()) {
    for (const CodeType type : kNarrowTypes) {
      ConvProblem problem(shape, {type, CodeType::kInt64, CodeType::kInt64}, ++seed);
      Conv2dArgs args = problem.args();
      args.multipliers = nullptr;
      conv2d_ref(args, 0, problem.rows());
      const std::vector<Int128> expected = scattered(problem, args);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const auto o = static_cast<std::int64_t>(i) % shape.out_channels;
        const auto pixel = static_cast<std::int64_t>(i) / shape.out_channels;
        const std::int64_t row = pixel / shape.out_width;
        const std::int64_t offset = row / shape.out_height * args.y_batch_stride +
                                    row % shape.out_height * args.y_row_stride +
                                    pixel % shape.out_width * args.y_column_stride + o;
        ASSERT_TRUE(problem.y().at(offset) == expected[i]) << shape << ", element " << i;
      }
    }
  }
}

using Conv2dPerIsa = PerIsa;

// Both kernels on the same data, the one under test in parts.
void expect_equals_reference(Isa isa, const Conv2dShape& shape, ConvCodeTypes types, bool is_image,
                             std::uint32_t seed) {
  ConvProblem problem(shape, types, seed);
  ConvProblem expected(shape, types, seed);
  run_in_parts(kernels_for(isa).conv2d, is_image ? problem.image_args() : problem.args(),
               problem.rows());
  conv2d_ref(is_image ? expected.image_args() : expected.args(), 0, expected.rows());
  ASSERT_EQ(problem.y(), expected.y()) << shape << ", seed " << seed;
}

TEST_P(Conv2dPerIsa, EqualsReference) {
  std::uint32_t seed = 1;
  for (const Conv2dShape& shape : conv_shapes()) {
    for (const ConvCodeTypes types : kConvTypes) {
      for (const bool is_image : {false, true}) {
        expect_equals_reference(GetParam(), shape, types, is_image, ++seed);
      }
    }
  }
}

TEST_P(Conv2dPerIsa, GivesAccumulators) {
  std::uint32_t seed = 50;
  for (const Conv2dShape& shape : conv_shapes()) {
    for (const ConvCodeTypes types : {
             ConvCodeTypes{CodeType::kUInt8, CodeType::kInt32, CodeType::kInt32},
             ConvCodeTypes{CodeType::kInt16, CodeType::kInt64, CodeType::kInt64},
             ConvCodeTypes{CodeType::kInt8, CodeType::kInt64, CodeType::kInt32},
         }) {
      ConvProblem problem(shape, types, ++seed);
      ConvProblem expected(shape, types, seed);
      Conv2dArgs args = problem.args();
      args.multipliers = nullptr;
      kernels_for(GetParam()).conv2d(args, 0, problem.rows());
      args = expected.args();
      args.multipliers = nullptr;
      conv2d_ref(args, 0, expected.rows());
      ASSERT_EQ(problem.y(), expected.y()) << shape;
    }
  }
}

// The zero-point of an image, 255 mean, told as offsets.
TEST_P(Conv2dPerIsa, OffsetsCanStandForAZeroPoint) {
  for (const Conv2dShape& shape : conv_shapes()) {
    const ConvCodeTypes types = {CodeType::kUInt8, CodeType::kInt16, CodeType::kInt32};
    ConvProblem expected(shape, types, 9);
    conv2d_ref(expected.args(), 0, expected.rows());
    ConvProblem problem(shape, types, 9);
    const std::int32_t zero_point = problem.args().x_zero_point;
    const std::int64_t channels = shape.in_channels / shape.groups;
    const std::int64_t taps = shape.kernel_height * shape.kernel_width;
    std::vector<std::int32_t> offsets(problem.weights().size() / as_size(channels));
    for (std::size_t i = 0; i < problem.weights().size(); ++i) {
      const std::int64_t row = static_cast<std::int64_t>(i) / channels;  // output and tap
      offsets[as_size(row % taps * shape.out_channels + row / taps)] +=
          zero_point * problem.weights()[i];
    }
    problem.set_zero_point(0);
    const Conv2dArgs args = problem.args(offsets.data());
    kernels_for(GetParam()).conv2d(args, 0, problem.rows());
    ASSERT_EQ(problem.y(), expected.y()) << shape;
  }
}

// The largest sums that the accumulators may hold, from both ends; the uncentred ones do not fit.
TEST_P(Conv2dPerIsa, ExtremesFit) {
  struct Case {
    CodeType x, accumulator;
    std::int64_t code, zero_point;
    std::int8_t weight;
    std::int64_t depth;
  };
  for (const Case& c : std::vector<Case>{
           {CodeType::kUInt8, CodeType::kInt32, 255, 0, -128, 65700},
           {CodeType::kUInt8, CodeType::kInt32, 0, 255, -128, 65700},
           {CodeType::kUInt8, CodeType::kInt32, 255, 128, 127, 130000},
           {CodeType::kInt8, CodeType::kInt32, -128, 0, -128, 130000},
           {CodeType::kInt8, CodeType::kInt32, -128, 127, 127, 65700},
           {CodeType::kInt16, CodeType::kInt32, -32768, 0, -128, 500},
           {CodeType::kInt16, CodeType::kInt32, -32768, 32767, 127, 250},
           {CodeType::kInt16, CodeType::kInt64, -32768, 32767, -128, 5000},
           {CodeType::kInt16, CodeType::kInt64, 32767, -32768, -128, 5000},
       }) {
    // All under one window, as channels or as taps of a depthwise convolution.
    for (const Conv2dShape& shape :
         {shape_of(1, 1, 1, c.depth, 2, 1, {1, 1, 1, 1, 0}),
          shape_of(1, 10, c.depth / 10, 2, 2, 2, {10, c.depth / 10, 1, 1, 0})}) {
      ConvProblem problem(shape, {c.x, CodeType::kInt64, c.accumulator}, 3);
      for (std::int64_t i = 0; i < problem.x().size(); ++i) problem.x().set(i, c.code);
      for (std::int8_t& w : problem.weights()) w = c.weight;
      problem.set_zero_point(static_cast<std::int32_t>(c.zero_point));
      Conv2dArgs args = problem.args();
      args.multipliers = nullptr;
      kernels_for(GetParam()).conv2d(args, 0, 1);
      for (std::int64_t o = 0; o < 2; ++o) {
        ASSERT_EQ(problem.y().at(o), args.bias[o] + (c.code - c.zero_point) * c.weight * c.depth)
            << c.code << " " << c.depth << " " << shape;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Conv2dPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
