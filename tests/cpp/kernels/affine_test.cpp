#include "kernels/affine.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "kernels/affine_testing.h"
#include "kernels/kernel_table.h"

namespace hybridquant::kernels {
namespace {

TEST(AffineLayout, BlocksCoverEveryElementOnce) {
  for (const AffineCase& c : affine_cases()) {
    const std::int64_t blocks = num_blocks(c.layout);
    std::int64_t expected = 0;
    for (std::int64_t block = 0; block < blocks; ++block) {
      EXPECT_EQ(first_element(c.layout, block), expected) << c << " block " << block;
      EXPECT_GT(first_element(c.layout, block + 1), expected) << c << " block " << block;
      expected = first_element(c.layout, block + 1);
    }
    EXPECT_EQ(static_cast<std::size_t>(expected), size_of(c.layout)) << c;
  }
}

TEST(AffineLayout, StepsAreWholeVectorsAndDivideBlocks) {
  for (const std::int64_t channels : {2, 3, 8, 12, 16, 17, 640, 3000}) {
    const AffineLayout layout{/*outer=*/100, channels, /*inner=*/1};
    EXPECT_EQ(rows_per_step(layout) * channels % kLanes, 0) << channels;
    EXPECT_EQ(rows_per_block(layout) % rows_per_step(layout), 0) << channels;
  }
}

TEST(AffineTable, RoundsAndClampsZeroPoints) {
  struct Case {
    float zero_point;
    float expected;
  };
  const std::vector<Case> cases = {{0.0F, 0.0F},  {2.5F, 2.0F},     {3.5F, 4.0F},    {-0.4F, 0.0F},
                                   {-9.0F, 0.0F}, {300.0F, 255.0F}, {254.6F, 255.0F}};
  std::array<float, static_cast<std::size_t>(affine_table_size(1))> storage{};
  const float scale = 0.25F;
  for (const Case& c : cases) {
    const AffineTable table =
        prepare_affine_table(storage.data(), &scale, &c.zero_point, 1, {/*qmin=*/0, /*qmax=*/255});
    EXPECT_EQ(table.zero_point[0], c.expected) << c.zero_point;
    EXPECT_EQ(table.lowest[0], 0.0F - c.expected);
    EXPECT_EQ(table.highest[0], 255.0F - c.expected);
    EXPECT_EQ(table.inverse_scale[0], 4.0F);
  }
}

TEST(AffineTable, StartsAgainAfterTheLastChannel) {
  const std::vector<float> scale = {1.0F, 2.0F, 4.0F};
  const std::vector<float> zero_point = {0.0F, 1.0F, 2.0F};
  std::vector<float> storage(static_cast<std::size_t>(affine_table_size(3)));
  const AffineTable table =
      prepare_affine_table(storage.data(), scale.data(), zero_point.data(), 3, {0, 7});
  for (std::size_t i = 0; i < 3 + kLanes - 1; ++i) {
    EXPECT_EQ(table.scale[i], scale[i % 3]);
    EXPECT_EQ(table.zero_point[i], zero_point[i % 3]);
  }
}

TEST(CpuFeatures, TheChosenSetIsTheLastAvailable) {
  EXPECT_TRUE(is_available(Isa::kBaseline));
  EXPECT_TRUE(is_available(chosen_isa()));
  for (const Isa isa : kAllIsas) {
    EXPECT_TRUE(isa <= chosen_isa() || !is_available(isa)) << isa_name(isa);
  }
  EXPECT_EQ(&active_kernels(), &kernels_for(chosen_isa()));
}

}  // namespace
}  // namespace hybridquant::kernels
