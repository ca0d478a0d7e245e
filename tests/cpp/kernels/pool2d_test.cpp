#include "kernels/pool2d.h"

#include <gtest/gtest.h>

#include <ostream>
#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/images_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {

static std::ostream& operator<<(std::ostream& out, const Pool2dShape& s) {
  return out << s.batch << "x" << s.channels << "x" << s.height << "x" << s.width << " to "
             << s.out_height << "x" << s.out_width << ", kernel " << s.kernel_height << "x"
             << s.kernel_width;
}

namespace {

using Values = std::vector<std::int64_t>;

struct Window {
  std::int64_t height, width, stride, pad;
};

// The output has the size that padding by `pad` on every side gives.
Pool2dShape shape_of(std::int64_t batch, std::int64_t height, std::int64_t width,
                     std::int64_t channels, Window window) {
  return {.batch = batch,
          .height = height,
          .width = width,
          .channels = channels,
          .out_height = (height + 2 * window.pad - window.height) / window.stride + 1,
          .out_width = (width + 2 * window.pad - window.width) / window.stride + 1,
          .kernel_height = window.height,
          .kernel_width = window.width,
          .stride_y = window.stride,
          .stride_x = window.stride,
          .pad_top = window.pad,
          .pad_left = window.pad};
}

// A pooling with its data. What lies between the pixels, rows and images of y must stay.
struct Problem {
  Codes x;
  Codes y;
  Pool2dArgs args;

  Problem(const Pool2dShape& s, CodeType x_type, CodeType y_type, std::int64_t gap,
          std::uint32_t seed)
      : x(Codes::random(x_type, s.batch * image_strides(s.height, s.width, s.channels, gap).batch,
                        seed)),
        y(Codes::random(y_type,
                        s.batch * image_strides(s.out_height, s.out_width, s.channels, gap).batch,
                        seed + 1)) {
    const ImageStrides of_x = image_strides(s.height, s.width, s.channels, gap);
    const ImageStrides of_y = image_strides(s.out_height, s.out_width, s.channels, gap);
    args = {.y = y.data(),
            .x = x.data(),
            .multipliers = nullptr,
            .y_column_stride = of_y.column,
            .y_row_stride = of_y.row,
            .y_batch_stride = of_y.batch,
            .x_column_stride = of_x.column,
            .x_row_stride = of_x.row,
            .x_batch_stride = of_x.batch,
            .shape = s,
            .pooling = Pooling::kAverage,
            .codes = full_range(y_type, 0, Rounding::kSingle),
            .y_type = y_type,
            .x_type = x_type,
            .x_zero_point = 0};
  }

  [[nodiscard]] std::int64_t rows() const { return args.shape.batch * args.shape.out_height; }
};

// 1 to 9, zero-point 1, under windows of 3x3 that begin outside.
Problem small_problem(std::int64_t stride) {
  Problem problem(shape_of(1, 3, 3, 1, {3, 3, stride, 1}), CodeType::kUInt8, CodeType::kInt8,
                  /*gap=*/0, /*seed=*/1);
  for (std::int64_t i = 0; i < 9; ++i) problem.x.set(i, i + 1);
  problem.args.x_zero_point = 1;
  problem.args.codes.zero_point = -100;
  return problem;
}

TEST(Pool2d, AveragesCountPositionsInside) {
  Problem problem = small_problem(/*stride=*/1);
  // Only windows of 4, 6 and 9 positions occur; 1/6 and 1/9 are rounded to 31 bits.
  std::vector<Multiplier> multipliers(9, {0, 1});
  multipliers[3] = {1 << 30, 32};
  multipliers[5] = {1431655765, 33};
  multipliers[8] = {1908874354, 34};
  problem.args.multipliers = multipliers.data();
  pool2d_ref(problem.args, 0, 3);
  // 8/4, 15/6, 12/4; 21/6, 36/9, 27/6; 20/4, 33/6, 24/4: a sixth of 2^33 was rounded down, so
  // halves go down.
  EXPECT_EQ(problem.y.values(), (Values{-98, -98, -97, -97, -96, -96, -95, -95, -94}));
}

TEST(Pool2d, AveragesOfEqualDivisors) {
  Problem problem = small_problem(/*stride=*/2);
  const std::vector<Multiplier> eighths(9, {1 << 30, 33});
  problem.args.multipliers = eighths.data();
  pool2d_ref(problem.args, 0, 2);
  // 8, 12, 20 and 24 eighths.
  EXPECT_EQ(problem.y.values(), (Values{-99, -98, -97, -97}));
  problem.args.codes.rounding = Rounding::kHalfEven;
  pool2d_ref(problem.args, 0, 2);
  EXPECT_EQ(problem.y.values(), (Values{-99, -98, -98, -97}));
  problem.args.codes = {-100, -128, -98, Rounding::kDouble};
  pool2d_ref(problem.args, 0, 2);
  EXPECT_EQ(problem.y.values(), (Values{-99, -98, -98, -98}));
}

TEST(Pool2d, MaximaIgnorePositionsOutside) {
  Problem problem(shape_of(1, 2, 3, 2, {2, 2, 1, 1}), CodeType::kInt8, CodeType::kInt8, /*gap=*/0,
                  /*seed=*/1);
  problem.args.pooling = Pooling::kMaximum;
  const Values codes = {-1, -10, -2, -128, -3, -5, -4, -8, -5, -9, -6, -7};
  for (std::int64_t i = 0; i < 12; ++i) problem.x.set(i, codes[static_cast<std::size_t>(i)]);
  pool2d_ref(problem.args, 0, 3);
  EXPECT_EQ(problem.y.values(), (Values{-1, -10, -1, -10, -2, -5, -3, -5,  //
                                        -1, -8,  -1, -8,  -2, -5, -3, -5,  //
                                        -4, -8,  -4, -8,  -5, -7, -6, -7}));
}

std::vector<Pool2dShape> shapes() {
  std::vector<Pool2dShape> shapes = {
      shape_of(1, 1, 1, 1, {1, 1, 1, 0}),   shape_of(2, 7, 7, 3, {2, 2, 2, 0}),
      shape_of(1, 9, 8, 16, {3, 3, 2, 1}),  shape_of(2, 5, 6, 17, {3, 3, 1, 1}),
      shape_of(1, 6, 5, 33, {5, 5, 1, 2}),  shape_of(1, 7, 7, 64, {7, 7, 7, 0}),
      shape_of(1, 5, 5, 67, {2, 3, 1, 1}),  shape_of(1, 4, 9, 15, {1, 7, 3, 0}),
      shape_of(1, 3, 4, 511, {3, 3, 1, 1}), shape_of(1, 2, 3, 513, {2, 2, 1, 0}),
      shape_of(1, 3, 3, 1100, {2, 2, 1, 1})};
  shapes.push_back(shape_of(1, 8, 9, 5, {4, 5, 1, 0}));  // everything differs per axis
  shapes.back().stride_x = 3;
  shapes.back().pad_top = 2;
  shapes.back().pad_left = 4;
  shapes.back().out_height = 9;
  shapes.back().out_width = 5;
  return shapes;
}

using Pool2dPerIsa = PerIsa;

// Both kernels on the same data, the one under test in parts.
void expect_equals_reference(Isa isa, Problem& problem) {
  Problem expected = problem;
  expected.args.y = expected.y.data();
  problem.args.y = problem.y.data();
  run_in_parts(kernels_for(isa).pool2d, problem.args, problem.rows());
  pool2d_ref(expected.args, 0, expected.rows());
  ASSERT_EQ(problem.y, expected.y) << problem.args.shape;
}

TEST_P(Pool2dPerIsa, AverageEqualsReference) {
  std::mt19937 random(71);
  for (const Pool2dShape& shape : shapes()) {
    for (const CodeType x_type : kNarrowTypes) {
      for (const std::int64_t gap : {0, 3}) {
        Problem problem(shape, x_type, kAllTypes[random() % 5], gap,
                        static_cast<std::uint32_t>(random()));
        std::vector<Multiplier> multipliers;
        for (std::int64_t i = 0; i < shape.kernel_height * shape.kernel_width; ++i) {
          multipliers.push_back(random_multiplier(random));
        }
        problem.args.multipliers = multipliers.data();
        problem.args.x_zero_point = static_cast<std::int32_t>(problem.x.at(0));
        problem.args.codes.zero_point = static_cast<std::int32_t>(random() % 100);
        problem.args.codes.rounding = kRoundings[random() % 3];
        expect_equals_reference(GetParam(), problem);
      }
    }
  }
}

TEST_P(Pool2dPerIsa, MaximumEqualsReference) {
  std::uint32_t seed = 0;
  for (const Pool2dShape& shape : shapes()) {
    for (const CodeType type : kNarrowTypes) {
      for (const std::int64_t gap : {0, 3}) {
        Problem problem(shape, type, type, gap, ++seed);
        problem.args.pooling = Pooling::kMaximum;
        expect_equals_reference(GetParam(), problem);
      }
    }
  }
}

// The largest window there may be, full of codes far from the zero-point.
TEST_P(Pool2dPerIsa, ExtremesFit) {
  struct Case {
    CodeType type;
    std::int64_t code;
    std::int32_t zero_point;
  };
  for (const Case& c : std::vector<Case>{
           {CodeType::kUInt8, 255, 0},
           {CodeType::kUInt8, 0, 255},
           {CodeType::kInt8, -128, 127},
           {CodeType::kInt16, 32767, -32768},
           {CodeType::kInt16, -32768, 32767},
       }) {
    Problem problem(shape_of(1, 128, 256, 3, {128, 256, 1, 0}), c.type, CodeType::kInt32, 0, 1);
    for (std::int64_t i = 0; i < problem.x.size(); ++i) problem.x.set(i, c.code);
    const std::vector<Multiplier> multipliers(1 << 15, {1 << 30, 32});
    problem.args.multipliers = multipliers.data();
    problem.args.x_zero_point = c.zero_point;
    kernels_for(GetParam()).pool2d(problem.args, 0, 1);
    for (std::int64_t i = 0; i < 3; ++i) {
      ASSERT_EQ(problem.y.at(i), (c.code - c.zero_point) << 13) << c.code;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Pool2dPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
