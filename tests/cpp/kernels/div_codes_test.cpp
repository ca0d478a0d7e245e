#include "kernels/div_codes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

DivCodesArgs make_args(Tensor& q, const Tensor& x, const Tensor& y,
                       const std::vector<std::int64_t>& sizes, Multiplier by) {
  DivCodesArgs args{q.output(), x.input(),
                    y.input(),  {},
                    by,         full_range(q.codes.type(), q.zero_point, Rounding::kSingle)};
  std::copy(sizes.begin(), sizes.end(), args.sizes);
  return args;
}

// The code of one pair of centred codes.
std::int64_t div_codes_of(std::int64_t x, std::int64_t y, Multiplier by) {
  const std::vector<std::int64_t> one(kNumAxes, 1);
  const Tensor left = dense_tensor(Codes(CodeType::kInt64, {x + 3}), one, /*zero_point=*/3);
  const Tensor right = dense_tensor(Codes(CodeType::kInt32, {y - 4}), one, /*zero_point=*/-4);
  Tensor q = dense_tensor(Codes::zeros(CodeType::kInt16, 1), one, /*zero_point=*/100);
  div_codes_ref(make_args(q, left, right, one, by), 0, 1);
  return q.codes.at(0);
}

TEST(DivCodes, ValueTable) {
  struct Case {
    std::int64_t x, y;
    Multiplier by;
    std::int64_t q;  // before the zero-point
  };
  const Multiplier one = {1 << 14, 14};
  const std::int64_t largest = (std::int64_t{1} << 46) - 1;
  const std::vector<Case> cases = {
      {7, 2, one, 4},
      {-7, 2, one, -3},
      {7, -2, one, -3},
      {-7, -2, one, 4},
      {6, 3, one, 2},
      {5, 0, one, 0},
      {0, -5, one, 0},
      {1, 3, one, 0},
      {2, 3, one, 1},
      {5, 3, {3, 1}, 3},
      {-5, 3, {3, 1}, -2},
      {1, 1, {3, 0}, 3},
      {100, 7, {-1, 0}, -14},
      // Beyond an int16, and the largest operands.
      {1 << 20, 1, one, 32767 - 100},
      {largest, 2147483643, {32767, 30}, 1},
      {-largest, 2147483643, {32767, 30}, -1},
      {-largest, -2147483643, {-32767, 30}, -1},
      {largest, 1, {32767, 0}, 32767 - 100},
      {-largest, 1, {32767, 0}, -32768 - 100},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(div_codes_of(c.x, c.y, c.by), c.q + 100) << c.x << " / " << c.y;
  }
}

using DivCodesPerIsa = PerIsa;

TEST_P(DivCodesPerIsa, EqualsReference) {
  std::mt19937 random(31);
  std::uniform_int_distribution<std::int32_t> factors(-32767, 32767);
  for (int i = 0; i < 200; ++i) {
    const std::vector<std::int64_t> sizes = random_sizes(random);
    const Tensor x = random_tensor(kAllTypes[random() % 5], sizes, /*is_output=*/false, random);
    const Tensor y = random_tensor(kAllTypes[random() % 5], sizes, /*is_output=*/false, random);
    Tensor q = random_tensor(kAllTypes[random() % 5], sizes, /*is_output=*/true, random);
    Tensor expected = q;
    const Multiplier by = {factors(random), static_cast<std::int32_t>(random() % 31)};
    DivCodesArgs args = make_args(expected, x, y, sizes, by);
    div_codes_ref(args, 0, num_runs(args.sizes));
    args.q = q.output();
    run_in_parts(kernels_for(GetParam()).div_codes, args, num_runs(args.sizes));
    ASSERT_EQ(q.codes, expected.codes) << "case " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, DivCodesPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
