#include "kernels/strided.h"

#include <gtest/gtest.h>

#include <vector>

namespace hybridquant::kernels {
namespace {

using Axes = std::vector<std::int64_t>;

TEST(NumRuns, CountsStartedRunsOfEveryRow) {
  EXPECT_EQ(runs_per_row(0), 0);
  EXPECT_EQ(runs_per_row(1), 1);
  EXPECT_EQ(runs_per_row(kRunSize), 1);
  EXPECT_EQ(runs_per_row(kRunSize + 1), 2);
  EXPECT_EQ(num_runs(Axes{1, 2, 1, 3, 5, 2 * kRunSize}.data()), 60);
  EXPECT_EQ(num_runs(Axes{1, 2, 0, 3, 5, 7}.data()), 0);
}

TEST(MergeAxes, JoinsWhatEveryOperandHasAsOneStretch) {
  struct Case {
    Axes sizes, x, y;  // two operands
    Axes merged_sizes, merged_x, merged_y;
  };
  const std::vector<Case> cases = {
      // Two dense tensors are one run.
      {{1, 1, 2, 3, 4, 5},
       {0, 0, 60, 20, 5, 1},
       {0, 0, 60, 20, 5, 1},
       {1, 1, 1, 1, 1, 120},
       {0, 0, 0, 0, 0, 1},
       {0, 0, 0, 0, 0, 1}},
      // A row that is broadcast over two axes keeps them apart from the last, but joined.
      {{1, 1, 2, 3, 4, 5},
       {0, 0, 60, 20, 5, 1},
       {0, 0, 0, 0, 0, 1},
       {1, 1, 1, 1, 24, 5},
       {0, 0, 0, 0, 5, 1},
       {0, 0, 0, 0, 0, 1}},
      // A last axis of size 1 gives way.
      {{1, 2, 1, 3, 7, 1},
       {9, 21, 9, 7, 1, 9},
       {8, 42, 8, 14, 2, 8},
       {1, 1, 1, 1, 1, 42},
       {0, 0, 0, 0, 0, 1},
       {0, 0, 0, 0, 0, 2}},
      // A transposed operand joins nothing.
      {{1, 1, 1, 1, 3, 4},
       {0, 0, 0, 0, 4, 1},
       {0, 0, 0, 0, 1, 3},
       {1, 1, 1, 1, 3, 4},
       {0, 0, 0, 0, 4, 1},
       {0, 0, 0, 0, 1, 3}},
  };
  for (Case c : cases) {
    std::int64_t* const strides[] = {c.x.data(), c.y.data()};
    merge_axes(c.sizes.data(), strides, 2);
    EXPECT_EQ(c.sizes, c.merged_sizes);
    EXPECT_EQ(c.x, c.merged_x);
    EXPECT_EQ(c.y, c.merged_y);
  }
}

}  // namespace
}  // namespace hybridquant::kernels
