// Damaged and hostile model files: each is refused with a ModelError, or is a model that runs.
#include <gtest/gtest.h>

#include "runtime/golden_models.h"
#include "runtime/mutations.h"

// An allocation above what format.md allows ends the test where sanitizers watch.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "max_allocation_size_mb=1025"; }

namespace hybridquant::runtime {
namespace {

constexpr std::uint32_t kMutations = 1200;  // of each model
constexpr std::int64_t kLargestCost = 1 << 21;

class MutatedModels : public testing::TestWithParam<GoldenModel> {};

TEST_P(MutatedModels, AreRefusedOrRun) {
  const Bytes file = GetParam().file();
  ASSERT_EQ(load_and_run(file, kLargestCost), Outcome::kRun);
  std::map<Outcome, int> count;
  for (std::uint32_t seed = 0; seed < kMutations; ++seed) {
    SCOPED_TRACE(seed);
    Mutator mutator(seed);
    Bytes changed = mutator.mutated(file);
    if (seed % 4 == 0) changed = mutator.mutated(std::move(changed));
    ++count[load_and_run(changed, kLargestCost)];
  }
  // Otherwise the changes were too large, or too small, to find anything.
  EXPECT_GT(count[Outcome::kRefused], kMutations / 4);
  EXPECT_GT(count[Outcome::kRun], kMutations / 20);
}

INSTANTIATE_TEST_SUITE_P(Models, MutatedModels, testing::ValuesIn(golden_models()),
                         [](const auto& info) { return info.param.name; });

TEST(CutOffModels, AreRefused) {
  const Bytes file = golden_models().front().file();
  for (std::size_t size = 0; size < file.size(); size += 1 + size / 64) {
    ASSERT_EQ(load_and_run(std::span(file).first(size), kLargestCost), Outcome::kRefused) << size;
  }
}

}  // namespace
}  // namespace hybridquant::runtime
