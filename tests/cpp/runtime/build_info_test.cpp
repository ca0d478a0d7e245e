#include "runtime/build_info.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace hybridquant::runtime {
namespace {

TEST(BuildInfo, SaysWhatWasBuilt) {
  const BuildInfo info = build_info();
  EXPECT_EQ(info.version, HYBRIDQUANT_VERSION);
  EXPECT_NE(info.compiler.find(' '), std::string::npos) << info.compiler;
  EXPECT_EQ(info.torch_target, "2.10");
}

TEST(BuildInfo, TheChosenSetIsAvailable) {
  const BuildInfo info = build_info();
  ASSERT_FALSE(info.available_isas.empty());
  EXPECT_EQ(info.available_isas.front(), "baseline");
  EXPECT_EQ(info.isa, info.available_isas.back());
}

}  // namespace
}  // namespace hybridquant::runtime
