#include "kernels/add_codes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

constexpr std::int32_t kOne = 1 << 30;  // with shift 30
constexpr std::int32_t kMaxM = std::numeric_limits<std::int32_t>::max();

AddCodesArgs make_args(Tensor& q, const Tensor& x, const Tensor& y,
                       const std::vector<std::int64_t>& sizes) {
  AddCodesArgs args{
      q.output(), x.input(),  y.input(),
      {},         Join::kSum, kOne,
      kOne,       30,         full_range(q.codes.type(), q.zero_point, Rounding::kSingle)};
  std::copy(sizes.begin(), sizes.end(), args.sizes);
  return args;
}

TEST(AddCodes, ValueTable) {
  struct Case {
    Join join;
    std::int32_t x_m, y_m, shift;
    Rounding rounding;
    std::int64_t x, y;  // centred
    std::int64_t q;     // before the zero-point
  };
  const std::vector<Case> cases = {
      {Join::kSum, kOne, kOne, 30, Rounding::kSingle, 3, 4, 7},
      {Join::kSum, kOne, -kOne, 30, Rounding::kSingle, 3, 4, -1},
      // Quarters of both are rounded once: 1/4 + 1/4 is a half, which goes up.
      {Join::kSum, kOne, kOne, 32, Rounding::kSingle, 1, 1, 1},
      {Join::kSum, kOne, kOne, 32, Rounding::kSingle, -1, -1, 0},
      {Join::kSum, kOne, kOne, 32, Rounding::kHalfEven, 1, 1, 0},
      {Join::kSum, kOne, kOne, 32, Rounding::kHalfEven, 3, 3, 2},
      // 5 steps of 1/4 against 2 steps of 1/2.
      {Join::kMaximum, kOne / 2, kOne, 31, Rounding::kSingle, 5, 2, 1},
      {Join::kMinimum, kOne / 2, kOne, 31, Rounding::kSingle, 7, 3, 2},
      {Join::kMaximum, kOne, kOne, 30, Rounding::kSingle, -3, -4, -3},
      {Join::kMinimum, kOne, kOne, 30, Rounding::kSingle, -3, -4, -4},
      // Clamped to what an int8 holds: 127 - 10 and -128 - 10.
      {Join::kSum, kOne, kOne, 30, Rounding::kSingle, 100, 100, 117},
      {Join::kSum, kOne, kOne, 30, Rounding::kSingle, -100, -100, -138},
  };
  const std::vector<std::int64_t> one(kNumAxes, 1);
  for (const Case& c : cases) {
    const Tensor x = dense_tensor(Codes(CodeType::kInt16, {c.x + 7}), one, /*zero_point=*/7);
    const Tensor y = dense_tensor(Codes(CodeType::kInt32, {c.y}), one);
    Tensor q = dense_tensor(Codes::zeros(CodeType::kInt8, 1), one, /*zero_point=*/10);
    AddCodesArgs args = make_args(q, x, y, one);
    args.join = c.join;
    args.x_m = c.x_m;
    args.y_m = c.y_m;
    args.shift = c.shift;
    args.output.rounding = c.rounding;
    add_codes_ref(args, 0, 1);
    EXPECT_EQ(q.codes.at(0), c.q + 10) << c.x << " and " << c.y;
  }
}

// The factors at which a product, a sum and the half that is added are largest.
TEST(AddCodes, ExtremesFit) {
  const std::vector<std::int64_t> one(kNumAxes, 1);
  for (const std::int64_t code : {-(std::int64_t{1} << 30), std::int64_t{1} << 30}) {
    for (const std::int32_t m : {kMaxM, -kMaxM}) {
      const Tensor x = dense_tensor(Codes(CodeType::kInt32, {code}), one);
      Tensor q = dense_tensor(Codes::zeros(CodeType::kInt32, 1), one);
      AddCodesArgs args = make_args(q, x, x, one);
      args.x_m = args.y_m = m;
      args.shift = 62;
      add_codes_ref(args, 0, 1);
      const Int128 sum = 2 * Int128{code} * m;
      EXPECT_EQ(q.codes.at(0), static_cast<std::int64_t>((sum + (Int128{1} << 61)) >> 62));
    }
  }
}

using AddCodesPerIsa = PerIsa;

TEST_P(AddCodesPerIsa, EqualsReference) {
  const KernelTable& kernels = kernels_for(GetParam());
  std::mt19937 random(11);
  std::uniform_int_distribution<std::int32_t> factors(-kMaxM, kMaxM);
  for (int i = 0; i < 400; ++i) {
    const std::vector<std::int64_t> sizes = random_sizes(random);
    const Tensor x = random_tensor(kAllTypes[random() % 4], sizes, /*is_output=*/false, random);
    const Tensor y = random_tensor(kAllTypes[random() % 4], sizes, /*is_output=*/false, random);
    Tensor q = random_tensor(kAllTypes[random() % 5], sizes, /*is_output=*/true, random);
    Tensor expected = q;
    AddCodesArgs args = make_args(expected, x, y, sizes);
    args.join = static_cast<Join>(random() % 3);
    args.x_m = factors(random);
    args.y_m = factors(random);
    args.shift = static_cast<std::int32_t>(1 + random() % 62);
    args.output.rounding = random() % 4 == 0 ? Rounding::kHalfEven : Rounding::kSingle;
    add_codes_ref(args, 0, num_runs(args.sizes));
    args.q = q.output();
    run_in_parts(kernels.add_codes, args, num_runs(args.sizes));
    ASSERT_EQ(q.codes, expected.codes) << "case " << i;
  }
}

TEST_P(AddCodesPerIsa, WorksInPlace) {
  const std::vector<std::int64_t> sizes = {1, 1, 1, 1, 3, 1100};
  Tensor x = dense_tensor(Codes::random(CodeType::kInt8, 3300, /*seed=*/1), sizes, 5);
  const Tensor y = dense_tensor(Codes::random(CodeType::kInt16, 3300, /*seed=*/2), sizes, -9);
  Tensor expected = x;
  AddCodesArgs args = make_args(expected, x, y, sizes);
  add_codes_ref(args, 0, num_runs(args.sizes));
  args.q = x.output();
  kernels_for(GetParam()).add_codes(args, 0, num_runs(args.sizes));
  EXPECT_EQ(x.codes, expected.codes);
}

INSTANTIATE_TEST_SUITE_P(Isas, AddCodesPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
