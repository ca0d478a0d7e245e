// Models that Python wrote, and what Python's simulator, which shares no code with the kernels,
// computes in every node of them.
#include "runtime/golden_models.h"

#include <gtest/gtest.h>

#include <set>

#include "runtime/model.h"
#include "runtime/node_registry.h"
#include "runtime/session.h"

namespace hybridquant::runtime {
namespace {

class Golden : public testing::TestWithParam<GoldenModel> {};

TEST_P(Golden, EveryNodeComputesWhatPythonDoes) {
  const Model model = Model::load(kGoldenModels + GetParam().name + ".safetensors");
  const std::vector<std::byte> expected = GetParam().codes();
  const auto* const image = reinterpret_cast<const std::uint8_t*>(expected.data());
  for (const std::int64_t threads : {1, 3}) {
    Session session(model, threads);
    auto rest = std::span(expected).subspan(static_cast<std::size_t>(model.image_bytes()));
    session.trace(
        image, [&](std::size_t node, const TensorInfo& tensor, std::span<const std::byte> codes) {
          ASSERT_LE(codes.size(), rest.size());
          EXPECT_TRUE(std::equal(codes.begin(), codes.end(), rest.begin()))
              << node_title(model.graph(), node) << ", tensor " << tensor.name;
          rest = rest.subspan(codes.size());
        });
    EXPECT_TRUE(rest.empty());
  }
}

TEST_P(Golden, HasTheNodesOfTheManifest) {
  const Model model = Model::parse(GetParam().file());
  std::set<std::string> found;
  for (const NodeInfo& node : model.graph().nodes) found.insert(node.op);
  EXPECT_EQ(found, std::set(GetParam().ops.begin(), GetParam().ops.end()));
  EXPECT_EQ(model.graph().classes, std::vector<std::string>({"tench", "crane", "Z\xc3\xbcrich"}));
  EXPECT_EQ(model.image_shape(), Shape({3, 8, 8}));
}

INSTANTIATE_TEST_SUITE_P(Models, Golden, testing::ValuesIn(golden_models()),
                         [](const auto& info) { return info.param.name; });

TEST(GoldenModels, HaveEveryNodeThatPythonWrites) {
  std::set<std::string> found;
  for (const GoldenModel& model : golden_models()) {
    found.insert(model.ops.begin(), model.ops.end());
  }
  std::set<std::string> wanted;
  for (const auto& [op, compile] : all_nodes()) wanted.insert(op);
  wanted.erase("external");  // external_test.cpp has it
  EXPECT_EQ(found, wanted);
}

}  // namespace
}  // namespace hybridquant::runtime
