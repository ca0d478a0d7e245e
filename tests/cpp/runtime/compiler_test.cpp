// What models compile to: how many copies they need, and what they may not take.
#include "runtime/compiler.h"

#include <gtest/gtest.h>

#include "runtime/node_cases.h"

namespace hybridquant::runtime {
namespace {

const CodeRange kCodes = all_codes(CodeType::kUInt8);

// Adds a 1 x 1 convolution of `from` [1, channels, height, width] to two channels.
void add_conv(GraphBuilder& builder, const std::string& from, const std::string& to,
              std::int64_t channels, std::int64_t height, std::int64_t width) {
  builder.add_tensor(to, kCodes, {1, 2, height, width});
  builder.add_node(
      "conv2d", {from}, to,
      {{"stride", {1, 1}}, {"padding", {0, 0}}, {"dilation", {1, 1}}, {"groups", 1}},
      {{"weight",
        {CodeType::kInt8, {2, channels, 1, 1}, Values(static_cast<std::size_t>(2 * channels), 1)}},
       {"bias", int32s({0, 0})},
       {"m", int32s({kOne, kOne})},
       {"shift", int32s({30, 30})}});
}

void add_linear(GraphBuilder& builder, const std::string& from, const std::string& to,
                const Shape& shape, std::int64_t features) {
  builder.add_tensor(to, kCodes, shape);
  const auto outputs = static_cast<std::size_t>(shape.back());
  builder.add_node("linear", {from}, to, Json::object(),
                   {{"weight",
                     {CodeType::kInt8,
                      {shape.back(), features},
                      Values(outputs * static_cast<std::size_t>(features), 1)}},
                    {"bias", int32s(Values(outputs, 0))},
                    {"m", int32s(Values(outputs, kOne))},
                    {"shift", int32s(Values(outputs, 30))}});
}

void add_move(GraphBuilder& builder, const std::string& op, const std::string& from,
              const std::string& to, const Shape& shape, const Json& attributes) {
  builder.add_tensor(to, kCodes, shape);
  builder.add_node(op, {from}, to, attributes);
}

int copies(const GraphBuilder& builder) { return builder.model().program().num_copies; }

TEST(Compiler, CopiesAnImageWithItsChannelsLast) {
  GraphBuilder builder({1, 3, 4, 4});
  add_conv(builder, "image", "a", 3, 4, 4);
  // And the result row by row.
  EXPECT_EQ(copies(builder), 2);
  add_conv(builder, "a", "b", 2, 4, 4);
  add_conv(builder, "b", "c", 2, 4, 4);
  EXPECT_EQ(copies(builder), 2);
}

TEST(Compiler, CopiesNoImageOfOneChannel) {
  GraphBuilder builder({1, 1, 1, 1});
  add_conv(builder, "image", "a", 1, 1, 1);
  EXPECT_EQ(copies(builder), 0);
}

TEST(Compiler, ReadsPixelsAsTokensAndTokensAsPixels) {
  GraphBuilder builder({1, 1, 4, 4});
  add_conv(builder, "image", "a", 1, 4, 4);
  add_move(builder, "reshape", "a", "flat", {1, 2, 16}, {{"shape", {1, 2, 16}}});
  add_move(builder, "permute", "flat", "tokens", {1, 16, 2}, {{"axes", {0, 2, 1}}});
  add_linear(builder, "tokens", "b", {1, 16, 2}, 2);
  EXPECT_EQ(copies(builder), 0);
  add_move(builder, "permute", "b", "turned", {1, 2, 16}, {{"axes", {0, 2, 1}}});
  add_move(builder, "reshape", "turned", "pixels", {1, 2, 4, 4}, {{"shape", {1, 2, 4, 4}}});
  add_conv(builder, "pixels", "c", 2, 4, 4);
  // The result row by row.
  EXPECT_EQ(copies(builder), 1);
}

TEST(Compiler, CopiesWhatIsFlattenedRowByRow) {
  GraphBuilder builder({1, 1, 2, 2});
  add_conv(builder, "image", "a", 1, 2, 2);
  add_move(builder, "reshape", "a", "flat", {1, 8}, {{"shape", {1, 8}}});
  add_linear(builder, "flat", "b", {1, 3}, 8);
  EXPECT_EQ(copies(builder), 1);
}

TEST(Compiler, KeepsTheLayoutOfImagesInElementwiseNodes) {
  GraphBuilder builder({1, 1, 2, 2});
  add_conv(builder, "image", "a", 1, 2, 2);
  builder.add_tensor("b", kCodes, {1, 2, 2, 2});
  builder.add_node("table", {"a"}, "b", Json::object(),
                   {{"table", {CodeType::kUInt8, {256}, Values(256, 3)}}});
  builder.add_tensor("c", kCodes, {1, 2, 2, 2});
  builder.add_node("add", {"a", "b"}, "c", {{"m", {kOne, kOne}}, {"shift", 30}});
  add_conv(builder, "c", "d", 2, 2, 2);
  EXPECT_EQ(copies(builder), 1);
}

// A tensor of one code in many places, by "expand" or "pad".
void add_large(GraphBuilder& builder, const std::string& op, const std::string& name,
               const CodeRange& codes, const Shape& shape) {
  builder.add_value(name + ".code", codes, Shape(shape.size(), 1), {codes.lowest});
  builder.add_tensor(name, codes, shape);
  Json attributes = {{"shape", shape}};
  if (op == "pad") {
    Values amounts;
    for (auto size = shape.rbegin(); size != shape.rend(); ++size) {
      amounts.insert(amounts.end(), {0, *size - 1});
    }
    attributes = {{"amounts", amounts}, {"code", codes.lowest}};
  }
  builder.add_node(op, {name + ".code"}, name, attributes);
}

std::string error_with_end(GraphBuilder builder) {
  builder.add_tensor("end", kCodes, {1});
  builder.add_node("reshape", {"image"}, "end", {{"shape", {1}}});
  return error_of(builder.file());
}

const CodeRange kBits = {CodeType::kInt8, 0, 0, 1};

TEST(Limits, OfATensor) {
  GraphBuilder builder;
  add_large(builder, "expand", "x", {CodeType::kInt64, 0, 0, 1}, {1 << 14, 1 << 13});
  EXPECT_EQ(error_with_end(builder), "nothing");
  add_large(builder, "expand", "y", {CodeType::kInt64, 0, 0, 1}, {1 << 14, (1 << 13) + 1});
  EXPECT_EQ(error_with_end(builder),
            "tensor 'y': codes must take at most 1073741824 bytes, got 1073872896");
}

TEST(Limits, OfActivations) {
  GraphBuilder builder;
  for (const char* name : {"a", "b", "c"}) add_large(builder, "pad", name, kBits, {1 << 29});
  const Json sum = {{"m", {kOne, kOne}}, {"shift", 31}};
  builder.add_tensor("d", kBits, {1 << 29});
  builder.add_node("add", {"a", "b"}, "d", sum);
  builder.add_tensor("e", kBits, {1 << 29});
  builder.add_node("add", {"c", "d"}, "e", sum);
  EXPECT_EQ(error_with_end(builder),
            "graph: activations must fit into 1073741824 bytes, got 1610612736");
}

TEST(Limits, OfOperations) {
  GraphBuilder builder;
  add_large(builder, "expand", "x", kBits, {1 << 13, 1 << 14});
  add_large(builder, "expand", "y", kBits, {1 << 14, 1 << 13});
  builder.add_tensor("z", kBits, {1 << 13, 1 << 13});
  builder.add_node("matmul", {"x", "y"}, "z", {{"m", 1}, {"shift", 30}});
  EXPECT_EQ(error_with_end(builder), "nothing");
  builder.add_tensor("u", kBits, {1 << 13, 1 << 13});
  builder.add_node("matmul", {"x", "y"}, "u", {{"m", 1}, {"shift", 30}});
  EXPECT_EQ(error_with_end(builder),
            "node 3 (matmul, module 'stem.matmul'): the nodes of a graph must take at most "
            "1099511627776 operations, got 2199023255552 up to here");
}

TEST(Limits, OfSteps) {
  const auto error = [](std::int64_t count) {
    GraphBuilder builder;
    add_large(builder, "pad", "x", kBits, {count, 1, 1, 1});
    builder.add_value("y", kBits, {1, 2, 1, 1}, {0, 1});
    builder.add_tensor("z", kBits, {count, 2, 1, 1});
    builder.add_node("matmul", {"x", "y"}, "z", {{"m", 1}, {"shift", 30}});
    return error_with_end(builder);
  };
  EXPECT_EQ(error(1000), "nothing");
  EXPECT_EQ(error((1 << 18) + 1),
            "node 1 (matmul, module 'stem.matmul'): the nodes of a graph must take at most "
            "262144 steps");
}

TEST(Limits, OfWhatAThreadWorksIn) {
  const auto error = [](std::int64_t depth) {
    GraphBuilder builder;
    add_large(builder, "expand", "x", kBits, {1, depth});
    add_large(builder, "expand", "y", kBits, {depth, 1});
    builder.add_tensor("z", kBits, {1, 1});
    builder.add_node("matmul", {"x", "y"}, "z", {{"m", 1}, {"shift", 30}});
    return error_with_end(builder);
  };
  EXPECT_EQ(error(200'000), "nothing");
  EXPECT_NE(error(220'000).find("a thread must take at most 67108864 bytes, got 70400000"),
            std::string::npos);
}

TEST(Limits, OfConstants) {
  // Two bytes of the file for each table of 256 codes of 16 bits.
  constexpr std::int64_t kChannels = (1 << 21) + 1;
  const CodeRange nothing = {CodeType::kUInt8, 0, 0, 0};
  GraphBuilder builder;
  add_large(builder, "pad", "x", nothing, {1, kChannels, 1, 1});
  builder.add_tensor("y", {CodeType::kInt16, 0, 0, 9}, {1, kChannels, 1, 1});
  builder.add_node("channel_table", {"x"}, "y", Json::object(),
                   {{"table", {CodeType::kInt16, {kChannels, 1}, Values(kChannels, 7)}}});
  EXPECT_EQ(error_with_end(builder),
            "node 1 (channel_table, module 'stem.channel_table'): the constants of a graph must "
            "take at most 1073741824 bytes, got 1073742338 up to here");
}

}  // namespace
}  // namespace hybridquant::runtime
