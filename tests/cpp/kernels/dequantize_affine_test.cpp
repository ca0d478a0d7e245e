#include "kernels/dequantize_affine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/affine_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

TEST(DequantizeAffine, ValueTable) {
  struct Case {
    std::int32_t q;
    float x;
  };
  const std::vector<Case> cases = {
      {3, 0.0F}, {0, -1.5F}, {7, 2.0F}, {-128, -65.5F}, {1 << 20, 524286.5F}};
  const float scale = 0.5F;
  const float zero_point = 3.0F;
  std::vector<float> storage(static_cast<std::size_t>(affine_table_size(1)));
  const AffineTable table =
      prepare_affine_table(storage.data(), &scale, &zero_point, 1, {/*qmin=*/0, /*qmax=*/7});
  for (const Case& c : cases) {
    float x = 99.0F;
    dequantize_affine_ref({&x, &c.q, CodeType::kInt32, {1, 1, 1}, table}, 0, 1);
    EXPECT_EQ(x, c.x) << c.q;
  }
}

using DequantizePerIsa = PerIsa;

template <typename Code>
void expect_equals_reference(const KernelTable& kernels, CodeType code_type) {
  for (const AffineCase& c : affine_cases()) {
    const TestTable table(c.layout.channels, c.codes);
    std::vector<Code> q(size_of(c.layout));
    for (std::size_t i = 0; i < q.size(); ++i) {
      // Both ends of the type among the rest.
      q[i] = static_cast<Code>(i % 5 == 0   ? std::numeric_limits<Code>::min()
                               : i % 7 == 0 ? std::numeric_limits<Code>::max()
                                            : static_cast<Code>(i * 37 % 251));
    }
    std::vector<float> x(q.size());
    std::vector<float> expected(q.size());
    kernels.dequantize_affine({x.data(), q.data(), code_type, c.layout, table.table}, 0,
                              num_blocks(c.layout));
    dequantize_affine_ref({expected.data(), q.data(), code_type, c.layout, table.table}, 0,
                          num_blocks(c.layout));
    ASSERT_EQ(x, expected) << testing::PrintToString(c);
  }
}

TEST_P(DequantizePerIsa, EqualsReference) {
  expect_equals_reference<std::uint8_t>(kernels_for(GetParam()), CodeType::kUInt8);
  expect_equals_reference<std::int8_t>(kernels_for(GetParam()), CodeType::kInt8);
  expect_equals_reference<std::int16_t>(kernels_for(GetParam()), CodeType::kInt16);
  expect_equals_reference<std::int32_t>(kernels_for(GetParam()), CodeType::kInt32);
}

INSTANTIATE_TEST_SUITE_P(Isas, DequantizePerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
