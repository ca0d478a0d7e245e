#include "runtime/node_cases.h"

namespace hybridquant::runtime {

namespace {

Array int64s(const Values& values) {
  return {CodeType::kInt64, {static_cast<std::int64_t>(values.size())}, values};
}

std::vector<NodeCase> softmax_cases() {
  // Distances 0, 0, 1, 5: exponentials 8, 8, 4, 1 with the sum 21.
  const Operand row = {all_codes(CodeType::kInt8, 5), {1, 4}, {5, 5, 4, 0}};
  const Operand rows = {all_codes(CodeType::kInt8, 5), {2, 4}, {5, 5, 4, 0, -3, -128, -2, -2}};
  const Array table = int32s({8, 4, 2, 1});
  constexpr std::int64_t kWide = std::int64_t{1} << 37;
  return {
      {.name = "narrow",
       .op = "softmax",
       .inputs = {rows},
       // 255 / 21 times 8, 8, 4, 1; then exponentials 4, 1, 8, 8 with the same sum.
       .output = {all_codes(CodeType::kUInt8), {2, 4}, {97, 97, 49, 12, 49, 12, 97, 97}},
       .attributes = {{"form", "table"}, {"m", 255 << 8}},
       .constants = {{"table", table}}},
      {.name = "wide",
       .op = "softmax",
       .inputs = {row},
       .output = {all_codes(CodeType::kUInt8), {1, 4}, {97, 97, 49, 12}},
       .attributes = {{"form", "shift"}, {"m", 255 << 8}},
       .constants = {{"table", int64s({8 * kWide, 4 * kWide, 2 * kWide, kWide})}}},
      {.name = "to its own type, which may be written over",
       .op = "softmax",
       .inputs = {row},
       .output = {all_codes(CodeType::kInt8, -128), {1, 4}, {-31, -31, -79, -116}},
       .attributes = {{"form", "linear"}, {"m", 255 << 8}},
       .constants = {{"table", table}}},
      {.name = "one code",
       .op = "softmax",
       .inputs = {{all_codes(CodeType::kInt16), {3, 1}, {-32768, 0, 32767}}},
       .output = {all_codes(CodeType::kUInt8), {3, 1}, {255, 255, 255}},
       .attributes = {{"form", "polynomial"}, {"m", 255 << 8}},
       .constants = {{"table", int32s({1})}}},
      // Quotients S / E of 3, 3, 5, 21.
      {.name = "powers of two",
       .op = "softmax_log2",
       .inputs = {row},
       .output = {{CodeType::kUInt8, 0, 0, 15}, {1, 4}, {2, 2, 2, 4}},
       .attributes = {{"form", "table"}},
       .constants = {{"table", table}}},
  };
}

// With E = 12, V = 2 * 10 - 4^2 + 12 = 16 and v = 2^20 * -2 / 4 = -2^19 for the codes 1 and 3.
std::vector<NodeCase> norm_cases() {
  const Array m = int32s({kOne, kOne});
  return {
      {.name = "of rows",
       .op = "layer_norm",
       .inputs = {{all_codes(CodeType::kInt8, 7), {2, 2}, {1, 3, 3, 1}}},
       .output = {all_codes(CodeType::kInt8), {2, 2}, {-16, 19, 16, -13}},
       .attributes = {{"is_centred", true}, {"count", 2}, {"epsilon", 12}, {"shift", 45}},
       .constants = {{"m", m}, {"beta", int64s({0, 3 * (kOne << 15)})}}},
      {.name = "of the last two axes, to 16 bits",
       .op = "layer_norm",
       .inputs = {{all_codes(CodeType::kUInt8), {2, 2, 1}, {1, 3, 3, 1}}},
       .output = {all_codes(CodeType::kInt16, 100), {2, 2, 1}, {84, 119, 116, 87}},
       .attributes = {{"is_centred", true}, {"count", 2}, {"epsilon", 12}, {"shift", 45}},
       .constants = {{"m", m}, {"beta", int64s({0, 3 * (kOne << 15)})}}},
      // Centred 1 and 3, D = 2 and 6, V = 20 + 44 = 64, v = 2^18 and 3 * 2^18.
      {.name = "root mean square",
       .op = "layer_norm",
       .inputs = {{all_codes(CodeType::kInt8, 1), {1, 2}, {2, 4}}},
       .output = {all_codes(CodeType::kInt8), {1, 2}, {1, 3}},
       .attributes = {{"is_centred", false}, {"count", 2}, {"epsilon", 44}, {"shift", 48}},
       .constants = {{"m", m}, {"beta", int64s({0, 0})}}},
      {.name = "of groups of one channel",
       .op = "group_norm",
       .inputs = {{all_codes(CodeType::kInt8), {1, 2, 1, 2}, {1, 3, 3, 1}}},
       .output = {all_codes(CodeType::kInt8), {1, 2, 1, 2}, {-16, 16, 9, -7}},
       .attributes =
           {{"is_centred", true}, {"count", 2}, {"epsilon", 12}, {"shift", 45}, {"groups", 2}},
       .constants = {{"m", int32s({kOne, kOne / 2})}, {"beta", int64s({0, kOne << 15})}}},
      {.name = "of a group of two channels of two images",
       .op = "group_norm",
       .inputs = {{all_codes(CodeType::kInt8), {2, 2, 1}, {1, 3, 3, 1}}},
       .output = {all_codes(CodeType::kInt8), {2, 2, 1}, {-16, 9, 16, -7}},
       .attributes =
           {{"is_centred", true}, {"count", 2}, {"epsilon", 12}, {"shift", 45}, {"groups", 1}},
       .constants = {{"m", int32s({kOne, kOne / 2})}, {"beta", int64s({0, kOne << 15})}}},
      // 16 times 3 / 5 and 4 / 5
      {.name = "by the length",
       .op = "l2_norm",
       .inputs = {{all_codes(CodeType::kInt8, -1), {2, 2}, {2, 3, -5, 2}}},
       .output = {all_codes(CodeType::kInt8), {2, 2}, {10, 13, -13, 10}},
       .attributes = {{"epsilon", 1}, {"shift", 46}},
       .constants = {{"m", m}, {"beta", int64s({0, 0})}}},
      // 16 times 3 / 10 and 4 / 10
      {.name = "by epsilon",
       .op = "l2_norm",
       .inputs = {{all_codes(CodeType::kInt8, -1), {1, 2}, {2, 3}}},
       .output = {all_codes(CodeType::kInt8), {1, 2}, {5, 6}},
       .attributes = {{"epsilon", 100}, {"shift", 46}},
       .constants = {{"m", m}, {"beta", int64s({0, 0})}}},
  };
}

std::vector<NodeCase> reduction_cases() {
  // Centred: 0, 1, 2, 0 and 3, 3, 5, 3.
  const Operand rows = {all_codes(CodeType::kInt8, 1), {2, 4}, {1, 2, 3, 1, 4, 4, 6, 4}};
  const Json quarter = {{"axes", {1}}, {"keepdim", false}, {"m", kOne}, {"shift", 32}};
  const Json whole = {{"axes", {1}}, {"keepdim", true}, {"m", kOne}, {"shift", 30}};
  return {
      {.name = "means of rows",
       .op = "mean",
       .inputs = {rows},
       .output = {all_codes(CodeType::kInt8), {2}, {1, 4}},
       .attributes = quarter},
      {.name = "sums of rows",
       .op = "mean",
       .inputs = {rows},
       .output = {all_codes(CodeType::kUInt8, 100), {2, 1}, {103, 114}},
       .attributes = whole},
      {.name = "sums of columns",
       .op = "mean",
       .inputs = {rows},
       .output = {all_codes(CodeType::kInt16), {1, 4}, {3, 4, 7, 3}},
       .attributes = {{"axes", {0}}, {"keepdim", true}, {"m", kOne}, {"shift", 30}}},
      {.name = "sums of outer and inner axes",
       .op = "mean",
       .inputs = {{all_codes(CodeType::kUInt8), {2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}}},
       .output = {all_codes(CodeType::kUInt8), {2}, {14, 22}},
       .attributes = {{"axes", {2, 0}}, {"keepdim", false}, {"m", kOne}, {"shift", 30}}},
      {.name = "largest of rows",
       .op = "amax",
       .inputs = {rows},
       .output = {all_codes(CodeType::kInt8, 10), {2, 1}, {12, 15}},
       .attributes = whole},
      {.name = "smallest of rows",
       .op = "amin",
       .inputs = {rows},
       .output = {all_codes(CodeType::kInt8, 10), {2, 1}, {10, 13}},
       .attributes = whole},
  };
}

}  // namespace

std::vector<NodeCase> row_cases() {
  std::vector<NodeCase> cases = softmax_cases();
  for (const auto& more : {norm_cases(), reduction_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  return cases;
}

}  // namespace hybridquant::runtime
