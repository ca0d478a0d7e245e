#include "kernels/resize_bilinear.h"

#include <gtest/gtest.h>

#include <ostream>
#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/images_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {

static std::ostream& operator<<(std::ostream& out, const ResizeBilinearShape& s) {
  return out << s.batch << "x" << s.channels << "x" << s.height << "x" << s.width << " to "
             << s.out_height << "x" << s.out_width;
}

namespace {

using Values = std::vector<std::int64_t>;

// The factor 1, and the one of the two weights.
constexpr Multiplier kOne = {1 << 30, 52};
constexpr Multiplier kTimesWeights = {1 << 30, 30};

struct Taps {
  std::vector<std::int32_t> low, high, weight;

  [[nodiscard]] ResizeTaps view() const { return {low.data(), high.data(), weight.data()}; }
};

// Any two positions, with weights of which some leave one of them out.
Taps random_taps(std::int64_t size, std::int64_t out_size, std::mt19937& random) {
  std::uniform_int_distribution<std::int32_t> position(0, static_cast<std::int32_t>(size) - 1);
  std::uniform_int_distribution<std::int32_t> weight(0, kResizeOne);
  Taps taps;
  for (std::int64_t i = 0; i < out_size; ++i) {
    taps.low.push_back(position(random));
    taps.high.push_back(position(random));
    taps.weight.push_back(i % 5 == 0 ? 0 : i % 5 == 1 ? kResizeOne : weight(random));
  }
  return taps;
}

// A resizing with its data. What lies between the pixels, rows and images of y must stay.
struct Problem {
  Codes x;
  Codes y;
  ResizeBilinearArgs args;

  Problem(const ResizeBilinearShape& s, const Codes& x_codes, const Codes& y_codes,
          std::int64_t gap = 0)
      : x(x_codes), y(y_codes) {
    const ImageStrides of_x = image_strides(s.height, s.width, s.channels, gap);
    const ImageStrides of_y = image_strides(s.out_height, s.out_width, s.channels, gap);
    args = {.y = y.data(),
            .x = x.data(),
            .rows = {},
            .columns = {},
            .y_column_stride = of_y.column,
            .y_row_stride = of_y.row,
            .y_batch_stride = of_y.batch,
            .x_column_stride = of_x.column,
            .x_row_stride = of_x.row,
            .x_batch_stride = of_x.batch,
            .shape = s,
            .by = kOne,
            .codes = full_range(y.type(), 0, Rounding::kSingle),
            .y_type = y.type(),
            .x_type = x.type(),
            .x_zero_point = 0};
  }

  [[nodiscard]] std::int64_t rows() const { return args.shape.batch * args.shape.out_height; }
};

TEST(ResizeBilinear, TwiceTheSize) {
  Problem problem({1, 2, 2, 1, 4, 4}, Codes(CodeType::kUInt8, {10, 20, 30, 40}),
                  Codes::zeros(CodeType::kInt16, 16));
  // Between 0 and 1 at -1/4, which is taken as 0, at 1/4, 3/4 and 5/4, which is 1.
  const Taps taps = {{0, 0, 0, 1}, {1, 1, 1, 1}, {0, 512, 1536, 512}};
  problem.args.rows = problem.args.columns = taps.view();
  resize_bilinear_ref(problem.args, 0, 4);
  // Every other one of the middle columns is a half: 12.5, 17.5 and so on.
  EXPECT_EQ(problem.y.values(),
            (Values{10, 13, 18, 20, 15, 18, 23, 25, 25, 28, 33, 35, 30, 33, 38, 40}));
  problem.args.codes.rounding = Rounding::kHalfEven;
  resize_bilinear_ref(problem.args, 0, 4);
  EXPECT_EQ(problem.y.values(),
            (Values{10, 12, 18, 20, 15, 18, 22, 25, 25, 28, 32, 35, 30, 32, 38, 40}));
  problem.args.x_zero_point = 25;
  problem.args.codes = {-5, -15, 8, Rounding::kSingle};
  resize_bilinear_ref(problem.args, 0, 4);
  EXPECT_EQ(problem.y.values(), (Values{-15, -15, -12, -10, -15, -12, -7, -5,  //
                                        -5, -2, 3, 5, 0, 3, 8, 8}));
}

TEST(ResizeBilinear, WeightsAreTakenInFull) {
  Problem problem({1, 2, 2, 1, 2, 2}, Codes(CodeType::kInt8, {1, 2, 3, 4}),
                  Codes::zeros(CodeType::kInt32, 4));
  const Taps rows = {{0, 0}, {1, 1}, {2047, 0}};
  const Taps columns = {{0, 0}, {1, 1}, {1, 2048}};
  problem.args.rows = rows.view();
  problem.args.columns = columns.view();
  problem.args.by = kTimesWeights;
  resize_bilinear_ref(problem.args, 0, 2);
  EXPECT_EQ(problem.y.values(),
            (Values{(1 * 2047 + 2 * 1) * 1 + (3 * 2047 + 4 * 1) * 2047, (2 * 1 + 4 * 2047) * 2048,
                    (1 * 2047 + 2 * 1) * 2048, 2 * 2048 * 2048}));
}

Problem random_problem(const ResizeBilinearShape& s, CodeType x_type, std::int64_t gap,
                       std::mt19937& random) {
  const std::int64_t x_size = s.batch * image_strides(s.height, s.width, s.channels, gap).batch;
  const std::int64_t y_size =
      s.batch * image_strides(s.out_height, s.out_width, s.channels, gap).batch;
  const CodeType y_type = kAllTypes[random() % 5];
  const auto seed = static_cast<std::uint32_t>(random());
  return {s, Codes::random(x_type, x_size, seed), Codes::random(y_type, y_size, seed + 1), gap};
}

using ResizeBilinearPerIsa = PerIsa;

TEST_P(ResizeBilinearPerIsa, EqualsReference) {
  std::mt19937 random(81);
  const std::vector<ResizeBilinearShape> shapes = {
      {1, 1, 1, 1, 1, 1},   {2, 3, 4, 3, 6, 5},   {1, 7, 7, 15, 4, 3},  {1, 2, 3, 16, 5, 7},
      {2, 4, 2, 17, 3, 6},  {1, 5, 1, 33, 2, 9},  {1, 1, 6, 64, 3, 3},  {1, 3, 3, 511, 2, 4},
      {2, 2, 2, 512, 3, 1}, {1, 2, 3, 513, 4, 2}, {1, 3, 2, 1100, 2, 2}};
  for (const ResizeBilinearShape& shape : shapes) {
    for (const CodeType x_type : kNarrowTypes) {
      for (const std::int64_t gap : {0, 3}) {
        Problem problem = random_problem(shape, x_type, gap, random);
        const Taps rows = random_taps(shape.height, shape.out_height, random);
        const Taps columns = random_taps(shape.width, shape.out_width, random);
        problem.args.rows = rows.view();
        problem.args.columns = columns.view();
        problem.args.by = random_multiplier(random);
        if (x_type == CodeType::kInt16) problem.args.by.shift = std::max(problem.args.by.shift, 16);
        problem.args.x_zero_point = static_cast<std::int32_t>(problem.x.at(0));
        problem.args.codes.zero_point = static_cast<std::int32_t>(random() % 100);
        problem.args.codes.rounding = kRoundings[random() % 3];
        Problem expected = problem;
        expected.args.y = expected.y.data();
        run_in_parts(kernels_for(GetParam()).resize_bilinear, problem.args, problem.rows());
        resize_bilinear_ref(expected.args, 0, expected.rows());
        ASSERT_EQ(problem.y, expected.y) << shape;
      }
    }
  }
}

// Four codes far from the zero-point, mixed with every weight.
TEST_P(ResizeBilinearPerIsa, ExtremesFit) {
  struct Case {
    CodeType type;
    std::int64_t code;
    std::int32_t zero_point;
  };
  const std::size_t columns = kResizeOne + 1;
  Taps taps = {std::vector<std::int32_t>(columns, 0), std::vector<std::int32_t>(columns, 1), {}};
  for (std::int32_t weight = 0; weight <= kResizeOne; ++weight) taps.weight.push_back(weight);
  const Taps one = {{0}, {1}, {1 << 10}};
  for (const Case& c : std::vector<Case>{
           {CodeType::kUInt8, 255, 0},
           {CodeType::kUInt8, 0, 255},
           {CodeType::kInt8, -128, 127},
           {CodeType::kInt16, 32767, -32768},
           {CodeType::kInt16, -32768, 32767},
       }) {
    Problem problem({1, 2, 2, 17, 1, kResizeOne + 1}, Codes(c.type, Values(4 * 17, c.code)),
                    Codes::zeros(CodeType::kInt32, 17 * (kResizeOne + 1)));
    problem.args.rows = one.view();
    problem.args.columns = taps.view();
    problem.args.x_zero_point = c.zero_point;
    kernels_for(GetParam()).resize_bilinear(problem.args, 0, 1);
    for (std::int64_t i = 0; i < problem.y.size(); ++i) {
      ASSERT_EQ(problem.y.at(i), c.code - c.zero_point) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, ResizeBilinearPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
