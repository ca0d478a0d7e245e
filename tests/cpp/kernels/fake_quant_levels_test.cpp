#include "kernels/fake_quant_levels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/affine_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

// Levels and thresholds with the memory of their table.
struct TestLevels {
  std::vector<float> storage;
  LevelTable table;

  TestLevels(const std::vector<float>& levels, const std::vector<float>& thresholds)
      : storage(
            static_cast<std::size_t>(level_table_size(static_cast<std::int64_t>(levels.size())))) {
    table = prepare_level_table(storage.data(), levels.data(), thresholds.data(),
                                static_cast<std::int64_t>(levels.size()));
  }
};

// `count` levels in steps that grow away from 0, with thresholds half-way.
TestLevels growing_levels(int count) {
  std::vector<float> levels;
  std::vector<float> thresholds;
  for (int i = 0; i < count; ++i) {
    const auto step = static_cast<float>(i - count / 3);
    levels.push_back(step * std::fabs(step));
    if (i > 0) thresholds.push_back((levels[levels.size() - 2] + levels.back()) / 2);
  }
  return {levels, thresholds};
}

struct Value {
  float x;
  float y;       // fake-quantized
  float gx;      // gradient of x for an upstream gradient of 1
  float gscale;  // its term of the gradient of scale
};

// Levels 0, 1/4, 1/2, 1 with logarithmic thresholds of which one, 3/4, is half-way; scale 2. Inside
// is from -1/8 to 5/4.
const std::vector<Value> kValues = {
    {0.0F, 0.0F, 1, 0.0F},       {-0.0F, 0.0F, 1, 0.0F}, {-0.1F, 0.0F, 1, 0.05F},  // never -0
    {-0.25F, 0.0F, 1, 0.125F},    // the last value inside
    {-0.26F, 0.0F, 0, 0.0F},      // and the first below: the level is 0
    {0.249F, 0.0F, 1, -0.1245F},  // below the threshold 1/8
    {0.25F, 0.5F, 1, 0.125F},     // at the threshold: the level above
    {0.625F, 1.0F, 1, 0.1875F},  {1.5F, 2.0F, 1, 0.25F}, {2.5F, 2.0F, 1, -0.25F},
    {2.6F, 2.0F, 0, 1.0F},       {kInf, 2.0F, 0, 1.0F},  {-kInf, 0.0F, 0, 0.0F},
    {kNan, kNan, 0, 0.0F},
};

TEST(FakeQuantLevels, ValueTable) {
  const float scale = 2.0F;
  const float zero_point = 0.0F;
  std::vector<float> storage(static_cast<std::size_t>(affine_table_size(1)));
  const AffineTable scales =
      prepare_affine_table(storage.data(), &scale, &zero_point, 1, {/*qmin=*/0, /*qmax=*/1});
  const TestLevels levels({0.0F, 0.25F, 0.5F, 1.0F}, {0.125F, 0.3F, 0.75F});
  const AffineLayout layout{1, 1, 1};
  for (const Value& v : kValues) {
    float y = 0.0F;
    fake_quant_levels_ref({{&y, &v.x, FloatType::kFloat32, layout, scales}, levels.table}, 0, 1);
    expect_same<float>({y}, {v.y}, "y of " + std::to_string(v.x));
    float gx = 0.0F;
    double scale_partial = 0.0;
    double zero_point_partial = 1.0;
    const float g = 1.0F;
    const FakeQuantGradArgs affine{
        &gx, &scale_partial, &zero_point_partial, &g, &v.x, FloatType::kFloat32, layout, scales};
    fake_quant_levels_grad_ref({affine, levels.table}, 0, 1);
    EXPECT_EQ(gx, v.gx) << v.x;
    EXPECT_NEAR(scale_partial, v.gscale, 1e-6) << v.x;
    EXPECT_EQ(zero_point_partial, 0.0) << v.x;
  }
}

TEST(FakeQuantLevels, UniformLevelsAreTheAffineRuleButForTies) {
  std::vector<float> levels;
  std::vector<float> thresholds;
  for (int q = -8; q < 8; ++q) {
    levels.push_back(static_cast<float>(q));
    if (q < 7) thresholds.push_back(static_cast<float>(q) + 0.5F);
  }
  const TestLevels table(levels, thresholds);
  const float scale = 0.25F;
  const float zero_point = 0.0F;
  std::vector<float> storage(static_cast<std::size_t>(affine_table_size(1)));
  const AffineTable scales =
      prepare_affine_table(storage.data(), &scale, &zero_point, 1, {/*qmin=*/-8, /*qmax=*/7});
  const std::vector<float> x = normal_values(3000, /*seed=*/5);
  std::vector<float> y(x.size());
  std::vector<float> expected(x.size());
  const AffineLayout layout{1, 1, static_cast<std::int64_t>(x.size())};
  const std::int64_t blocks = num_blocks(layout);
  fake_quant_levels_ref({{y.data(), x.data(), FloatType::kFloat32, layout, scales}, table.table}, 0,
                        blocks);
  fake_quant_affine_ref({expected.data(), x.data(), FloatType::kFloat32, layout, scales}, 0,
                        blocks);
  expect_same(y, expected, "uniform levels");
}

using FakeQuantLevelsPerIsa = PerIsa;

template <typename T>
void expect_equals_reference(const KernelTable& kernels, const AffineCase& c, int num_levels) {
  const TestTable table(c.layout.channels, c.codes);
  const TestLevels levels = growing_levels(num_levels);
  const std::int64_t blocks = num_blocks(c.layout);
  const auto x = converted<T>(affine_inputs(size_of(c.layout), 0.013F, /*seed=*/1));
  const auto g = converted<T>(normal_values(x.size(), /*seed=*/3));
  std::vector<T> y(x.size());
  std::vector<T> expected(x.size());
  const std::string what = testing::PrintToString(c) + " " + std::to_string(num_levels);
  kernels.fake_quant_levels(
      {{y.data(), x.data(), float_type<T>(), c.layout, table.table}, levels.table}, 0, blocks);
  fake_quant_levels_ref(
      {{expected.data(), x.data(), float_type<T>(), c.layout, table.table}, levels.table}, 0,
      blocks);
  expect_same(y, expected, what);

  const auto partials = static_cast<std::size_t>(num_partials(c.layout));
  std::vector<double> scale(partials);
  std::vector<double> scale_expected(partials);
  std::vector<double> zero_point(partials, 1.0);
  FakeQuantLevelsGradArgs args{{expected.data(), scale_expected.data(), zero_point.data(), g.data(),
                                x.data(), float_type<T>(), c.layout, table.table},
                               levels.table};
  fake_quant_levels_grad_ref(args, 0, blocks);
  args.affine.gx = y.data();
  args.affine.scale_partials = scale.data();
  // In two calls, as two threads would.
  kernels.fake_quant_levels_grad(args, 0, blocks / 2);
  kernels.fake_quant_levels_grad(args, blocks / 2, blocks);
  expect_same(y, expected, what);
  ASSERT_EQ(scale, scale_expected) << what;
  std::vector<T> alone(x.size());
  args.affine.gx = alone.data();
  kernels.fake_quant_levels_grad_x(args, 0, blocks);
  expect_same(alone, expected, what);
}

TEST_P(FakeQuantLevelsPerIsa, EqualsReference) {
  for (const AffineCase& c : affine_cases()) {
    expect_equals_reference<float>(kernels_for(GetParam()), c, 17);
    expect_equals_reference<BFloat16>(kernels_for(GetParam()), c, 17);
    expect_equals_reference<Float16>(kernels_for(GetParam()), c, 17);
  }
}

TEST_P(FakeQuantLevelsPerIsa, AnyNumberOfLevels) {
  for (const int num_levels : {2, 3, 4, 5, 15, 16, 17, 30, 100, 255, 256, 257}) {
    expect_equals_reference<float>(kernels_for(GetParam()), {{2, 3, 700}, {0, 255}}, num_levels);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, FakeQuantLevelsPerIsa, testing::ValuesIn(kAllIsas), isa_test_name);

}  // namespace
}  // namespace hybridquant::kernels
