// Nodes that the program which runs the model computes.
#include "runtime/external.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "runtime/model_testing.h"

namespace hybridquant::runtime {
namespace {

const std::vector<std::uint8_t> kImage = {1, 2, 3, 4, 5, 6};

// The image with its axes reordered, which takes no copy, and a function of both.
GraphBuilder two_inputs() {
  GraphBuilder builder({1, 2, 1, 3});
  builder.add_tensor("moved", all_codes(CodeType::kUInt8), {1, 3, 1, 2});
  builder.add_node("permute", {"image"}, "moved", {{"axes", {0, 3, 2, 1}}});
  builder.add_tensor("y", {CodeType::kInt16, -300, 0, 5}, {1, 4});
  builder.add_node("external", {"moved", "image"}, "y", {{"function", "f"}});
  return builder;
}

Externals externals(External function) { return {{"f", std::move(function)}}; }

std::vector<std::int32_t> logits(const Model& model) {
  std::vector<std::int32_t> result(static_cast<std::size_t>(model.num_logits()));
  Session(model, 2).run(result.data(), kImage.data(), 1);
  return result;
}

TEST(External, ReadsRowMajorCodesAndIsClamped) {
  std::vector<Values> seen;
  const Model model = Model::parse(
      two_inputs().file(), externals([&](std::span<const ExternalInput> inputs,
                                         const TensorInfo& output, std::span<std::byte> codes) {
        for (const auto& [tensor, bytes] : inputs) seen.push_back(values_of(bytes, tensor.type));
        EXPECT_EQ(inputs[0].tensor.name, "moved");
        EXPECT_EQ(inputs[0].tensor.shape, Shape({1, 3, 1, 2}));
        EXPECT_EQ(output.name, "y");
        ASSERT_EQ(codes.size(), 8U);
        Bytes result;
        append(result, CodeType::kInt16, {-301, -300, 5, 6});
        std::copy(result.begin(), result.end(), codes.begin());
      }));
  EXPECT_EQ(logits(model), std::vector<std::int32_t>({-300, -300, 5, 5}));
  EXPECT_EQ(seen, std::vector<Values>({{1, 4, 2, 5, 3, 6}, {1, 2, 3, 4, 5, 6}}));
}

TEST(External, WhatItThrowsEndsTheRunOnly) {
  bool is_wrong = true;
  const Model model = Model::parse(
      two_inputs().file(), externals([&](auto, const TensorInfo&, std::span<std::byte> codes) {
        if (is_wrong) throw std::runtime_error("no");
        std::fill(codes.begin(), codes.end(), std::byte{0});
      }));
  Session session(model, 2);
  std::vector<std::int32_t> result(4, 9);
  EXPECT_THROW(session.run(result.data(), kImage.data(), 1), std::runtime_error);
  is_wrong = false;
  session.run(result.data(), kImage.data(), 1);
  EXPECT_EQ(result, std::vector<std::int32_t>(4, 0));
}

TEST(External, AProgramWithoutTheFunctionRefusesTheFile) {
  const std::string expected =
      "node 1 (external, module 'stem.external'): computes in float, by a function 'f' of the "
      "program that runs the model, and none is given; such a model runs in Python, by "
      "IntegerModel.load(path, functions=...)";
  EXPECT_EQ(error_of(two_inputs().file()), expected);
  Json document = two_inputs().document();
  document["graph"]["nodes"][1]["attributes"] = Json::object();
  EXPECT_NE(error_of(model_file(document)).find("must have the attribute 'function'"),
            std::string::npos);
}

}  // namespace
}  // namespace hybridquant::runtime
