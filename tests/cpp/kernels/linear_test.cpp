#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

std::size_t as_size(std::int64_t n) { return static_cast<std::size_t>(n); }

TEST(Linear, ValueTable) {
  const std::vector<std::uint8_t> x = {1, 2, 3, 0, 4, 5, 6, 0};  // two rows and gaps
  const std::vector<std::int8_t> weights = {1, 0, -1, 2, 2, 2};
  const std::vector<std::int32_t> bias = {10, -20};
  const std::vector<Multiplier> multipliers = {{1 << 30, 31}, {1 << 30, 30}};
  std::vector<std::int8_t> y(4);
  const LinearArgs args{.y = y.data(),
                        .scratch = nullptr,
                        .x = x.data(),
                        .weights = weights.data(),
                        .start = nullptr,
                        .bias = bias.data(),
                        .multipliers = multipliers.data(),
                        .y_row_stride = 2,
                        .x_row_stride = 4,
                        .rows = 2,
                        .in_features = 3,
                        .out_features = 2,
                        .codes = {1, -128, 10, Rounding::kSingle},
                        .y_type = CodeType::kInt8,
                        .x_type = CodeType::kUInt8,
                        .accumulator_type = CodeType::kInt32,
                        .x_zero_point = 1};
  // Accumulators: -2 + 10, 6 - 20; -2 + 10, 24 - 20.
  linear_ref(args, 0, 2);
  EXPECT_EQ(y, (std::vector<std::int8_t>{5, -13, 5, 5}));
}

using LinearPerIsa = PerIsa;

// Sums written out, over rows and features around the tiles and blocks.
TEST_P(LinearPerIsa, IsExact) {
  std::mt19937 random(11);
  for (const std::int64_t rows : {0, 1, 3, 4, 5, 15, 16, 17, 33}) {
    for (const std::int64_t in : {1, 31, 32, 33, 300}) {
      for (const std::int64_t out : {1, 3, 4, 5, 63, 64, 65, 130}) {
        const Codes x = Codes::random(CodeType::kUInt8, rows * (in + 1), /*seed=*/5);
        std::vector<std::int8_t> weights(as_size(in * out));
        for (std::int8_t& w : weights) w = static_cast<std::int8_t>(random() % 256);
        std::vector<std::int32_t> y(as_size(rows * out));
        LinearArgs args{.y = y.data(),
                        .scratch = nullptr,
                        .x = x.data(),
                        .weights = weights.data(),
                        .start = nullptr,
                        .bias = nullptr,
                        .multipliers = nullptr,
                        .y_row_stride = out,
                        .x_row_stride = in + 1,
                        .rows = rows,
                        .in_features = in,
                        .out_features = out,
                        .codes = {},
                        .y_type = CodeType::kInt32,
                        .x_type = CodeType::kUInt8,
                        .accumulator_type = CodeType::kInt32,
                        .x_zero_point = 100};
        const Conv2dShape shape = linear_as_conv2d(args).shape;
        std::vector<std::int64_t> start(as_size(out));
        std::vector<std::int64_t> scratch(conv2d_scratch_bytes(shape) / sizeof(std::int64_t));
        prepare_conv2d(start.data(), linear_as_conv2d(args));
        args.start = start.data();
        args.scratch = scratch.data();
        run_in_parts(kernels_for(GetParam()).conv2d, linear_as_conv2d(args), rows);
        for (std::int64_t i = 0; i < rows * out; ++i) {
          std::int64_t sum = 0;
          for (std::int64_t k = 0; k < in; ++k) {
            sum += (x.at(i / out * (in + 1) + k) - 100) * weights[as_size(i % out * in + k)];
          }
          ASSERT_EQ(y[as_size(i)], sum) << rows << " " << in << " " << out;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, LinearPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
