#include "kernels/quantize_affine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/affine_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

TEST(QuantizeAffine, ValueTable) {
  struct Case {
    float x;
    std::uint8_t q;
  };
  // scale 0.5, zero-point 3, codes 0 to 7.
  const std::vector<Case> cases = {{0.0F, 3},  {-0.0F, 3}, {0.25F, 3}, {0.75F, 5},
                                   {0.3F, 4},  {9.0F, 7},  {-9.0F, 0}, {kInf, 7},
                                   {-kInf, 0}, {kNan, 3},  {1e38F, 7}, {-1.74F, 0}};
  const float scale = 0.5F;
  const float zero_point = 3.0F;
  std::vector<float> storage(static_cast<std::size_t>(affine_table_size(1)));
  const AffineTable table =
      prepare_affine_table(storage.data(), &scale, &zero_point, 1, {/*qmin=*/0, /*qmax=*/7});
  for (const Case& c : cases) {
    std::uint8_t q = 99;
    quantize_affine_ref({&q, &c.x, CodeType::kUInt8, FloatType::kFloat32, {1, 1, 1}, table}, 0, 1);
    EXPECT_EQ(q, c.q) << c.x;
  }
}

using QuantizePerIsa = PerIsa;

template <typename T, typename Code>
void expect_equals_reference(const KernelTable& kernels, CodeType code_type, AffineLayout layout,
                             CodeRange codes) {
  const TestTable table(layout.channels, codes);
  const auto x = converted<T>(affine_inputs(size_of(layout), 0.013F, /*seed=*/5));
  std::vector<Code> q(x.size());
  std::vector<Code> expected(x.size());
  const QuantizeArgs args{q.data(), x.data(), code_type, float_type<T>(), layout, table.table};
  kernels.quantize_affine(args, 0, num_blocks(layout));
  quantize_affine_ref({expected.data(), x.data(), code_type, float_type<T>(), layout, table.table},
                      0, num_blocks(layout));
  ASSERT_EQ(q, expected) << testing::PrintToString(AffineCase{layout, codes});
}

template <typename T>
void expect_all_types_equal_reference(const KernelTable& kernels) {
  for (const AffineCase& c : affine_cases()) {
    expect_equals_reference<T, std::uint8_t>(kernels, CodeType::kUInt8, c.layout, {0, 255});
    expect_equals_reference<T, std::int8_t>(kernels, CodeType::kInt8, c.layout, {-128, 127});
    expect_equals_reference<T, std::int16_t>(kernels, CodeType::kInt16, c.layout, {-32768, 32767});
    expect_equals_reference<T, std::int32_t>(kernels, CodeType::kInt32, c.layout, {0, 65535});
  }
}

TEST_P(QuantizePerIsa, EqualsReference) {
  expect_all_types_equal_reference<float>(kernels_for(GetParam()));
  expect_all_types_equal_reference<BFloat16>(kernels_for(GetParam()));
  expect_all_types_equal_reference<Float16>(kernels_for(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Isas, QuantizePerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
