#include "kernels/requantize_codes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/codes_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

RequantizeCodesArgs make_args(Tensor& q, const Tensor& x, const std::vector<std::int64_t>& sizes,
                              Multiplier by) {
  RequantizeCodesArgs args{
      q.output(), x.input(), {}, by, full_range(q.codes.type(), q.zero_point, Rounding::kSingle)};
  std::copy(sizes.begin(), sizes.end(), args.sizes);
  return args;
}

TEST(RequantizeCodes, ValueTable) {
  // uint8 with zero-point 100 to int8 with zero-point -10 and scales in the ratio 3 to 2.
  const std::vector<std::int64_t> sizes = {1, 1, 1, 1, 1, 7};
  const Tensor x = dense_tensor(Codes(CodeType::kUInt8, {100, 101, 102, 103, 99, 0, 255}), sizes,
                                /*zero_point=*/100);
  Tensor q = dense_tensor(Codes::zeros(CodeType::kInt8, 7), sizes, /*zero_point=*/-10);
  requantize_codes_ref(make_args(q, x, sizes, {3 << 29, 30}), 0, 1);
  EXPECT_EQ(q.codes.values(), (std::vector<std::int64_t>{-10, -8, -7, -5, -11, -128, 127}));
}

using RequantizeCodesPerIsa = PerIsa;

TEST_P(RequantizeCodesPerIsa, EqualsReference) {
  std::mt19937 random(41);
  for (int i = 0; i < 400; ++i) {
    const std::vector<std::int64_t> sizes = random_sizes(random);
    const Tensor x = random_tensor(kAllTypes[random() % 5], sizes, /*is_output=*/false, random);
    Tensor q = random_tensor(kAllTypes[random() % 5], sizes, /*is_output=*/true, random);
    Tensor expected = q;
    RequantizeCodesArgs args = make_args(expected, x, sizes, random_multiplier(random));
    args.output.rounding = kRoundings[random() % 3];
    requantize_codes_ref(args, 0, num_runs(args.sizes));
    args.q = q.output();
    run_in_parts(kernels_for(GetParam()).requantize_codes, args, num_runs(args.sizes));
    ASSERT_EQ(q.codes, expected.codes) << "case " << i;
  }
}

// The bounds of both accumulators, at every shift.
TEST_P(RequantizeCodesPerIsa, ExtremesFit) {
  constexpr std::int64_t kWide = (std::int64_t{1} << 47) - 1;
  const std::vector<std::int64_t> sizes = {1, 1, 1, 1, 1, 6};
  const Limits limits = limits_of(CodeType::kInt32);
  const std::vector<Codes> inputs = {
      Codes(CodeType::kInt32, {2147483647, -2147483648, 65535, -65536, -1, 1}),
      Codes(CodeType::kInt64, {kWide, -kWide, 1 - kWide, kWide - 65535, -65537, 32768})};
  for (const Codes& input : inputs) {
    const Tensor x = dense_tensor(input, sizes);
    for (std::int32_t shift = input.type() == CodeType::kInt64 ? 16 : 1; shift <= 62; ++shift) {
      for (const std::int32_t m : {2147483647, -2147483647, 1 << 30, 1}) {
        Tensor q = dense_tensor(Codes::zeros(CodeType::kInt32, 6), sizes);
        kernels_for(GetParam()).requantize_codes(make_args(q, x, sizes, {m, shift}), 0, 1);
        for (std::int64_t i = 0; i < x.codes.size(); ++i) {
          const Int128 exact = (Int128{x.codes.at(i)} * m + (Int128{1} << (shift - 1))) >> shift;
          const Int128 code = std::clamp<Int128>(exact, limits.lowest, limits.highest);
          ASSERT_EQ(q.codes.at(i), static_cast<std::int64_t>(code)) << m << " " << shift;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, RequantizeCodesPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
