#include "kernels/fake_quant_affine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/affine_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

struct Value {
  float x;
  float y;       // fake-quantized
  float gx;      // gradient of x for an upstream gradient of 1
  float gscale;  // its term of the gradient of scale
  float gzero_point;
};

// scale 0.5, zero-point 3, codes 0 to 7: representable values are -1.5, -1, ..., 2.
const std::vector<Value> kValues = {
    {0.0F, 0.0F, 1, 0.0F, 0.0F},      {-0.0F, 0.0F, 1, 0.0F, 0.0F},
    {-0.1F, 0.0F, 1, 0.2F, 0.0F},   // never -0
    {0.25F, 0.0F, 1, -0.5F, 0.0F},  // 0.5 steps: tie to the even 0
    {0.75F, 1.0F, 1, 0.5F, 0.0F},   // 1.5 steps: tie to the even 2
    {-0.25F, 0.0F, 1, 0.5F, 0.0F},    {0.3F, 0.5F, 1, 0.4F, 0.0F},
    {2.0F, 2.0F, 1, 0.0F, 0.0F},      {2.24F, 2.0F, 1, -0.48F, 0.0F},
    {2.25F, 2.0F, 1, -0.5F, 0.0F},     // tie to the even 4, still a code
    {2.26F, 2.0F, 0, 4.0F, -0.5F},     // first value above the codes
    {-1.75F, -1.5F, 0, -3.0F, -0.5F},  // tie to the even -4, below the codes
    {-1.74F, -1.5F, 1, 0.48F, 0.0F},  {1e38F, 2.0F, 0, 4.0F, -0.5F},
    {kInf, 2.0F, 0, 4.0F, -0.5F},     {-kInf, -1.5F, 0, -3.0F, -0.5F},
    {kNan, kNan, 0, 0.0F, 0.0F},
};

TEST(FakeQuantAffine, ValueTable) {
  const float scale = 0.5F;
  const float zero_point = 3.0F;
  std::vector<float> storage(static_cast<std::size_t>(affine_table_size(1)));
  const AffineTable table =
      prepare_affine_table(storage.data(), &scale, &zero_point, 1, {/*qmin=*/0, /*qmax=*/7});
  const AffineLayout layout{1, 1, 1};
  for (const Value& v : kValues) {
    float y = 0.0F;
    fake_quant_affine_ref({&y, &v.x, FloatType::kFloat32, layout, table}, 0, 1);
    expect_same<float>({y}, {v.y}, "y of " + std::to_string(v.x));
    float gx = 0.0F;
    float gscale = 0.0F;
    float gzero_point = 0.0F;
    double scale_partial = 0.0;
    double zero_point_partial = 0.0;
    const float g = 1.0F;
    fake_quant_affine_grad_ref(
        {&gx, &scale_partial, &zero_point_partial, &g, &v.x, FloatType::kFloat32, layout, table}, 0,
        1);
    sum_fake_quant_partials(&gscale, &gzero_point, &scale_partial, &zero_point_partial, layout,
                            table, /*grad_factor=*/1.0);
    EXPECT_EQ(gx, v.gx) << v.x;
    EXPECT_NEAR(gscale, v.gscale, 1e-6) << v.x;
    EXPECT_EQ(gzero_point, v.gzero_point) << v.x;
  }
}

TEST(FakeQuantAffine, PartialsAreSummedPerChannelWithTheFactor) {
  const std::vector<float> scale = {0.5F, 2.0F};
  const std::vector<float> zero_point = {0.0F, 0.0F};
  std::vector<float> storage(static_cast<std::size_t>(affine_table_size(2)));
  const AffineTable table =
      prepare_affine_table(storage.data(), scale.data(), zero_point.data(), 2, {0, 7});
  std::vector<float> gscale(2);
  std::vector<float> gzero_point(2);
  // Two rows of each channel, two blocks a row.
  const std::vector<double> partials = {1, 2, 10, 20, 100, 200, 1000, 2000};
  sum_fake_quant_partials(gscale.data(), gzero_point.data(), partials.data(), partials.data(),
                          {/*outer=*/2, /*channels=*/2, /*inner=*/kBlockSize + 1}, table, 0.5);
  EXPECT_EQ(gscale, (std::vector<float>{151.5F, 1515.0F}));
  EXPECT_EQ(gzero_point, (std::vector<float>{-75.75F, -3030.0F}));
  // Channel last: four blocks of two channels.
  sum_fake_quant_partials(gscale.data(), gzero_point.data(), partials.data(), partials.data(),
                          {/*outer=*/4 * 1024, /*channels=*/2, /*inner=*/1}, table, 1.0);
  EXPECT_EQ(gscale, (std::vector<float>{1111.0F, 2222.0F}));
}

using FakeQuantPerIsa = PerIsa;

template <typename T>
void expect_forward_equals_reference(const KernelTable& kernels, const AffineCase& c) {
  const TestTable table(c.layout.channels, c.codes);
  const auto x = converted<T>(affine_inputs(size_of(c.layout), 0.013F, /*seed=*/1));
  std::vector<T> y(x.size());
  std::vector<T> expected(x.size());
  const FakeQuantArgs args{y.data(), x.data(), float_type<T>(), c.layout, table.table};
  kernels.fake_quant_affine(args, 0, num_blocks(c.layout));
  fake_quant_affine_ref({expected.data(), x.data(), float_type<T>(), c.layout, table.table}, 0,
                        num_blocks(c.layout));
  expect_same(y, expected, testing::PrintToString(c));
}

TEST_P(FakeQuantPerIsa, ForwardEqualsReference) {
  for (const AffineCase& c : affine_cases()) {
    expect_forward_equals_reference<float>(kernels_for(GetParam()), c);
    expect_forward_equals_reference<BFloat16>(kernels_for(GetParam()), c);
    expect_forward_equals_reference<Float16>(kernels_for(GetParam()), c);
  }
}

template <typename T>
void expect_gradients_equal_reference(const KernelTable& kernels, const AffineCase& c) {
  const TestTable table(c.layout.channels, c.codes);
  const auto x = converted<T>(affine_inputs(size_of(c.layout), 0.013F, /*seed=*/2));
  const auto g = converted<T>(normal_values(x.size(), /*seed=*/3));
  const std::int64_t blocks = num_blocks(c.layout);
  const auto partials = static_cast<std::size_t>(num_partials(c.layout));
  std::vector<T> gx(x.size());
  std::vector<T> gx_alone(x.size());
  std::vector<T> gx_expected(x.size());
  std::vector<double> scale(partials);
  std::vector<double> scale_expected(partials);
  std::vector<double> zero_point(partials);
  std::vector<double> zero_point_expected(partials);
  FakeQuantGradArgs args{gx_expected.data(),
                         scale_expected.data(),
                         zero_point_expected.data(),
                         g.data(),
                         x.data(),
                         float_type<T>(),
                         c.layout,
                         table.table};
  fake_quant_affine_grad_ref(args, 0, blocks);
  args.gx = gx.data();
  args.scale_partials = scale.data();
  args.zero_point_partials = zero_point.data();
  // In two calls, as two threads would.
  kernels.fake_quant_affine_grad(args, 0, blocks / 2);
  kernels.fake_quant_affine_grad(args, blocks / 2, blocks);
  args.gx = gx_alone.data();
  kernels.fake_quant_affine_grad_x(args, 0, blocks);
  const std::string what = testing::PrintToString(c);
  expect_same(gx, gx_expected, what);
  expect_same(gx_alone, gx_expected, what);
  ASSERT_EQ(scale, scale_expected) << what;
  ASSERT_EQ(zero_point, zero_point_expected) << what;
}

TEST_P(FakeQuantPerIsa, GradientsEqualReference) {
  for (const AffineCase& c : affine_cases()) {
    expect_gradients_equal_reference<float>(kernels_for(GetParam()), c);
    expect_gradients_equal_reference<BFloat16>(kernels_for(GetParam()), c);
    expect_gradients_equal_reference<Float16>(kernels_for(GetParam()), c);
  }
}

TEST_P(FakeQuantPerIsa, WorksInPlace) {
  const AffineCase c{{/*outer=*/3, /*channels=*/5, /*inner=*/33}, {-128, 127}};
  const TestTable table(c.layout.channels, c.codes);
  std::vector<float> x = affine_inputs(size_of(c.layout), 0.013F, /*seed=*/4);
  std::vector<float> expected(x.size());
  fake_quant_affine_ref({expected.data(), x.data(), FloatType::kFloat32, c.layout, table.table}, 0,
                        num_blocks(c.layout));
  kernels_for(GetParam())
      .fake_quant_affine({x.data(), x.data(), FloatType::kFloat32, c.layout, table.table}, 0,
                         num_blocks(c.layout));
  expect_same(x, expected, "in place");
}

// Every half and bfloat16 passes through with a scale so small and codes so wide that it is a code.
template <typename T>
void expect_every_16_bit_number(const KernelTable& kernels) {
  std::vector<T> x(0x10000);
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) x[bits] = static_cast<T>(bits);
  const AffineLayout layout{1, 1, 0x10000};
  const TestTable table(1, {-32768, 32767});
  std::vector<T> y(x.size());
  std::vector<T> expected(x.size());
  kernels.fake_quant_affine({y.data(), x.data(), float_type<T>(), layout, table.table}, 0,
                            num_blocks(layout));
  fake_quant_affine_ref({expected.data(), x.data(), float_type<T>(), layout, table.table}, 0,
                        num_blocks(layout));
  expect_same(y, expected, "all 16-bit numbers");
}

TEST_P(FakeQuantPerIsa, Every16BitNumber) {
  expect_every_16_bit_number<Float16>(kernels_for(GetParam()));
  expect_every_16_bit_number<BFloat16>(kernels_for(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Isas, FakeQuantPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
