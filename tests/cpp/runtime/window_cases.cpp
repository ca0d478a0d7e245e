#include "runtime/node_cases.h"

namespace hybridquant::runtime {

namespace {

// Factors of 1, 1/2, 1/4 and 1/4 for windows of 1, 2, 3 and 4 positions.
Arrays averages() { return {{"m", int32s(Values(4, kOne))}, {"shift", int32s({30, 31, 32, 32})}}; }

Json window(const Json& kernel, const Json& stride, const Json& padding) {
  return {{"kernel", kernel}, {"stride", stride}, {"padding", padding}};
}

std::vector<NodeCase> pool_cases() {
  // Centred: 0, 2, 4 and 6, 8, 10.
  const Operand image = {all_codes(CodeType::kUInt8, 1), {1, 1, 2, 3}, {1, 3, 5, 7, 9, 11}};
  const Operand two = {all_codes(CodeType::kInt8), {1, 2, 2, 2}, {1, 2, 3, 4, -5, -6, -7, -8}};
  return {
      {.name = "whole windows",
       .op = "avg_pool2d",
       .inputs = {image},
       .output = {all_codes(CodeType::kUInt8), {1, 1, 1, 2}, {4, 6}},
       .attributes = window({2, 2}, {1, 1}, {0, 0}),
       .constants = averages()},
      {.name = "windows of 1 and 2 positions",
       .op = "avg_pool2d",
       .inputs = {image},
       .output = {all_codes(CodeType::kInt16, -10), {1, 1, 2, 2}, {-10, -7, -4, -1}},
       .attributes = window({2, 2}, {2, 2}, {1, 1}),
       .constants = averages()},
      {.name = "of two channels",
       .op = "avg_pool2d",
       .inputs = {two},
       // 10 / 4 and -26 / 4
       .output = {all_codes(CodeType::kInt8), {1, 2, 1, 1}, {3, -6}},
       .attributes = window({2, 2}, {1, 1}, {0, 0}),
       .constants = averages()},
      {.name = "largest",
       .op = "max_pool2d",
       .inputs = {image},
       .output = {all_codes(CodeType::kUInt8, 1), {1, 1, 2, 2}, {1, 5, 7, 11}},
       .attributes = window({2, 2}, {2, 2}, {1, 1})},
      {.name = "largest of two channels",
       .op = "max_pool2d",
       .inputs = {two},
       .output = {all_codes(CodeType::kInt8), {1, 2, 1, 2}, {3, 4, -5, -6}},
       .attributes = window({2, 1}, {1, 1}, {0, 0})},
  };
}

std::vector<NodeCase> resize_cases() {
  // A column between the two, a quarter of the way; then the last one. The row as it is.
  const Arrays taps = {{"rows_low", int32s({0})},        {"rows_high", int32s({0})},
                       {"rows_weight", int32s({0})},     {"columns_low", int32s({0, 1})},
                       {"columns_high", int32s({1, 1})}, {"columns_weight", int32s({512, 2048})}};
  const Json exact = {{"m", kOne}, {"shift", 52}};
  return {
      {.name = "one channel",
       .op = "resize_bilinear",
       .inputs = {{all_codes(CodeType::kUInt8, 3), {1, 1, 1, 2}, {3, 13}}},
       // 0 and 10: 2.5 and 10
       .output = {all_codes(CodeType::kInt8, 1), {1, 1, 1, 2}, {4, 11}},
       .attributes = exact,
       .constants = taps},
      {.name = "two channels",
       .op = "resize_bilinear",
       .inputs = {{all_codes(CodeType::kInt16), {1, 2, 1, 2}, {0, 8, -32768, 32767}}},
       .output = {all_codes(CodeType::kInt16), {1, 2, 1, 2}, {2, 8, -16384, 32767}},
       .attributes = exact,
       .constants = taps},
  };
}

}  // namespace

std::vector<NodeCase> window_cases() {
  std::vector<NodeCase> cases = pool_cases();
  for (const NodeCase& more : resize_cases()) cases.push_back(more);
  return cases;
}

}  // namespace hybridquant::runtime
