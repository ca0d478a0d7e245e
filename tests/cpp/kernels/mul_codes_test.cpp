#include "kernels/mul_codes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

MulCodesArgs make_args(Tensor& q, const Tensor& x, const Tensor& y,
                       const std::vector<std::int64_t>& sizes, Multiplier by) {
  MulCodesArgs args{q.output(), x.input(),
                    y.input(),  {},
                    by,         full_range(q.codes.type(), q.zero_point, Rounding::kSingle)};
  std::copy(sizes.begin(), sizes.end(), args.sizes);
  return args;
}

// The code of one pair of centred codes.
std::int64_t mul_codes_of(std::int64_t x, std::int64_t y, Multiplier by, Rounding rounding) {
  const std::vector<std::int64_t> one(kNumAxes, 1);
  const Tensor left = dense_tensor(Codes(CodeType::kInt64, {x + 3}), one, /*zero_point=*/3);
  const Tensor right = dense_tensor(Codes(CodeType::kInt32, {y - 4}), one, /*zero_point=*/-4);
  Tensor q = dense_tensor(Codes::zeros(CodeType::kInt16, 1), one, /*zero_point=*/100);
  MulCodesArgs args = make_args(q, left, right, one, by);
  args.output.rounding = rounding;
  mul_codes_ref(args, 0, 1);
  return q.codes.at(0);
}

TEST(MulCodes, ValueTable) {
  struct Case {
    std::int64_t x, y;
    Multiplier by;
    Rounding rounding;
    std::int64_t q;  // before the zero-point
  };
  const Multiplier half = {1 << 30, 31};
  const std::vector<Case> cases = {
      {3, 4, half, Rounding::kSingle, 6},
      {3, 5, half, Rounding::kSingle, 8},
      {-3, 5, half, Rounding::kSingle, -7},
      {-3, 5, half, Rounding::kHalfEven, -8},
      {-3, 5, half, Rounding::kDouble, -7},
      {0, 255, half, Rounding::kSingle, 0},
      // The largest products of 8 and of 16 bits, and what an int16 holds.
      {255, -255, half, Rounding::kSingle, -32512},
      {-65535, 65535, {1 << 30, 62}, Rounding::kSingle, -1},
      {65535, 65535, {1 << 30, 46}, Rounding::kSingle, 32767 - 100},
      {-65535, 65535, {1 << 30, 30}, Rounding::kSingle, -32768 - 100},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(mul_codes_of(c.x, c.y, c.by, c.rounding), c.q + 100) << c.x << " * " << c.y;
  }
}

using MulCodesPerIsa = PerIsa;

// int32 codes go up to 2^30 here: a product with a code of 8 bits stays below 2^47.
TEST_P(MulCodesPerIsa, EqualsReference) {
  std::mt19937 random(21);
  for (int i = 0; i < 400; ++i) {
    const std::vector<std::int64_t> sizes = random_sizes(random);
    const CodeType x_type = kAllTypes[random() % 4];
    const CodeType y_type = kAllTypes[random() % (x_type == CodeType::kInt32 ? 2 : 3)];
    const Tensor x = random_tensor(x_type, sizes, /*is_output=*/false, random);
    const Tensor y = random_tensor(y_type, sizes, /*is_output=*/false, random);
    Tensor q = random_tensor(kAllTypes[random() % 5], sizes, /*is_output=*/true, random);
    Tensor expected = q;
    Multiplier by = random_multiplier(random);
    if (x_type == CodeType::kInt32) by.shift = std::max(by.shift, 16);
    MulCodesArgs args = make_args(expected, x, y, sizes, by);
    args.output.rounding = kRoundings[random() % 3];
    mul_codes_ref(args, 0, num_runs(args.sizes));
    args.q = q.output();
    run_in_parts(kernels_for(GetParam()).mul_codes, args, num_runs(args.sizes));
    ASSERT_EQ(q.codes, expected.codes) << "case " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, MulCodesPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
