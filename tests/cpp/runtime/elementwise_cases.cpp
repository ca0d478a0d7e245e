#include "runtime/node_cases.h"

namespace hybridquant::runtime {

namespace {

std::vector<NodeCase> join_cases() {
  const Operand x = {all_codes(CodeType::kUInt8, 3), {2, 2}, {3, 5, 255, 0}};
  const Operand y = {all_codes(CodeType::kInt8, -1), {2, 2}, {-1, 2, 127, -128}};
  // Centred: 0, 2, 252, -3 and 0, 3, 128, -127.
  const Operand odd = {all_codes(CodeType::kInt16), {1, 3}, {1, -5, 7}};
  const Operand halved = {all_codes(CodeType::kInt16), {1, 3}, {3, -7, 7}};
  const Json half = {{"m", {kOne, kOne / 2}}, {"shift", 30}};
  return {
      {.name = "difference",
       .op = "add",
       .inputs = {x, y},
       .output = {all_codes(CodeType::kUInt8, 10), {2, 2}, {10, 11, 198, 71}},
       .attributes = {{"m", {kOne, -kOne / 2}}, {"shift", 30}}},
      {.name = "sum of a column and a row, clamped",
       .op = "add",
       .inputs = {{all_codes(CodeType::kInt8), {2, 1}, {10, -20}},
                  {all_codes(CodeType::kInt8), {3}, {1, 2, 3}}},
       .output = {{CodeType::kInt8, -18, 0, 12}, {2, 3}, {11, 12, 12, -18, -18, -17}},
       .attributes = {{"m", {kOne, kOne}}, {"shift", 30}}},
      {.name = "sum of the largest codes",
       .op = "add",
       .inputs = {{{CodeType::kInt32, -kOne, 0, kOne}, {1, 2}, {kOne, -kOne}},
                  {{CodeType::kInt32, 0, 0, kOne}, {1, 1}, {kOne}}},
       .output = {all_codes(CodeType::kInt16), {1, 2}, {4, 0}},
       .attributes = {{"m", {2147483647, 2147483647}}, {"shift", 60}}},
      {.name = "half a sum, halves to the even code",
       .op = "add",
       .inputs = {odd, odd},
       .output = {all_codes(CodeType::kInt16, 1), {1, 3}, {1, -1, 5}},
       .attributes = {{"m", {kOne / 4, kOne / 4}}, {"shift", 30}, {"rounding", "half_even"}}},
      {.name = "maximum",
       .op = "maximum",
       .inputs = {odd, halved},
       .output = {all_codes(CodeType::kInt16, 1), {1, 3}, {3, -2, 8}},
       .attributes = half},
      {.name = "minimum",
       .op = "minimum",
       .inputs = {odd, halved},
       .output = {all_codes(CodeType::kInt16, 1), {1, 3}, {2, -4, 5}},
       .attributes = half},
  };
}

std::vector<NodeCase> product_and_quotient_cases() {
  return {
      {.name = "product",
       .op = "mul",
       .inputs = {{all_codes(CodeType::kUInt8, 128), {2, 2}, {128, 130, 0, 255}},
                  {all_codes(CodeType::kInt16), {2, 2}, {5, -7, 300, -300}}},
       .output = {all_codes(CodeType::kInt16, 1), {2, 2}, {1, -1, -4799, -4761}},
       .attributes = {{"m", kOne}, {"shift", 33}}},
      {.name = "product of 32 bits by one number",
       .op = "mul",
       .inputs = {{{CodeType::kInt32, -kOne, 0, kOne}, {2, 2}, {kOne, -kOne, 0, 2}},
                  {{CodeType::kInt16, -2, 0, 32767}, {1}, {32767}}},
       .output = {all_codes(CodeType::kInt32), {2, 2}, {8192, -8192, 0, 0}},
       .attributes = {{"m", kOne}, {"shift", 62}}},
      {.name = "quotient",
       .op = "div",
       .inputs = {{all_codes(CodeType::kInt16), {1, 5}, {10, -10, 7, 7, 1}},
                  {all_codes(CodeType::kInt8, 1), {1, 5}, {4, 4, -1, 1, 3}}},
       // 10 / 3, -10 / 3, 7 / -2, 7 / 0, 1 / 2
       .output = {all_codes(CodeType::kInt8, 5), {1, 5}, {8, 2, 2, 5, 6}},
       .attributes = {{"m", 1 << 14}, {"shift", 14}}},
      {.name = "quotient of sums",
       .op = "div",
       .inputs = {{{CodeType::kInt64, -(kOne << 15), 0, kOne << 15}, {1, 2}, {kOne << 10, -kOne}},
                  {{CodeType::kInt32, 0, 0, kOne}, {1, 1}, {1 << 20}}},
       .output = {all_codes(CodeType::kInt16), {1, 2}, {1024, -1}},
       .attributes = {{"m", 1 << 14}, {"shift", 24}}},
      {.name = "wide divisor",
       .op = "div",
       .inputs = {{{CodeType::kInt64, -kOne, 0, kOne}, {1, 2}, {kOne, -kOne}},
                  {{CodeType::kInt64, 0, 0, 2147483647}, {1, 1}, {2147483647}}},
       .output = {all_codes(CodeType::kInt8), {1, 2}, {4, -4}},
       // 8 * 2^30 / (2^31 - 1)
       .attributes = {{"m", 1 << 14}, {"shift", 11}}},
      {.name = "quotient with the lowest zero-point",
       .op = "div",
       .inputs = {{all_codes(CodeType::kInt16, -32768), {1, 1}, {-32668}},
                  {all_codes(CodeType::kUInt8), {1, 1}, {7}}},
       .output = {all_codes(CodeType::kUInt8), {1, 1}, {14}},
       .attributes = {{"m", 1 << 14}, {"shift", 14}}},
  };
}

std::vector<NodeCase> unary_cases() {
  Values inverted(512);
  for (std::int64_t code = 0; code < 256; ++code) {
    inverted[static_cast<std::size_t>(code)] = 255 - code;
    inverted[static_cast<std::size_t>(256 + code)] = code / 2;
  }
  return {
      {.name = "half",
       .op = "requantize",
       .inputs = {{all_codes(CodeType::kInt16, 10), {1, 5}, {10, 11, 12, 7, 32767}}},
       .output = {all_codes(CodeType::kInt8, -1), {1, 5}, {-1, 0, 0, -2, 127}},
       .attributes = {{"m", kOne}, {"shift", 31}}},
      {.name = "half, halves to the even code",
       .op = "requantize",
       .inputs = {{all_codes(CodeType::kInt16, 10), {1, 5}, {10, 11, 12, 7, 32767}}},
       .output = {all_codes(CodeType::kInt8, -1), {1, 5}, {-1, -1, 0, -3, 127}},
       .attributes = {{"m", kOne}, {"shift", 31}, {"rounding", "half_even"}}},
      {.name = "a quarter, rounded twice",
       .op = "requantize",
       .inputs = {{all_codes(CodeType::kInt16, 10), {1, 5}, {10, 11, 12, 7, 32767}}},
       .output = {all_codes(CodeType::kInt8, -1), {1, 5}, {-1, 0, 0, -2, 127}},
       .attributes = {{"m", kOne}, {"shift", 32}, {"rounding", "double"}}},
      {.name = "wide sums",
       .op = "requantize",
       .inputs = {{{CodeType::kInt64, -(kOne << 10), 0, kOne << 10},
                   {1, 3},
                   {kOne << 10, -(kOne << 10), 3}}},
       .output = {all_codes(CodeType::kInt16), {1, 3}, {1024, -1024, 0}},
       .attributes = {{"m", kOne}, {"shift", 60}}},
      {.name = "sums and a number",
       .op = "add_constant",
       .inputs = {{{CodeType::kInt32, -50, 0, 100}, {3, 1}, {-5, 100, 7}}},
       .output = {{CodeType::kInt32, -100, 0, 50}, {3, 1}, {-55, 50, -43}},
       .attributes = {{"offset", -50}}},
      {.name = "wide sums and a number",
       .op = "add_constant",
       .inputs = {{{CodeType::kInt64, -(kOne << 10), 0, kOne << 10}, {1, 2}, {kOne << 10, -1}}},
       .output = {{CodeType::kInt64, 0, 0, kOne << 31},
                  {1, 2},
                  {(kOne << 20) + (kOne << 10), (kOne << 20) - 1}},
       .attributes = {{"offset", kOne << 20}}},
      {.name = "few codes",
       .op = "table",
       .inputs = {{{CodeType::kInt8, -2, 0, 3}, {2, 2}, {-2, 3, 0, 1}}},
       .output = {all_codes(CodeType::kUInt8), {2, 2}, {9, 4, 7, 6}},
       .constants = {{"table", {CodeType::kUInt8, {6}, {9, 8, 7, 6, 5, 4}}}}},
      {.name = "16 bits",
       .op = "table",
       .inputs = {{{CodeType::kInt16, -1, 0, 2}, {1, 3}, {-1, 2, 0}}},
       .output = {all_codes(CodeType::kInt16), {1, 3}, {-300, 400, 0}},
       .constants = {{"table", {CodeType::kInt16, {4}, {-300, 0, 7, 400}}}}},
      {.name = "8 bits as the same type, which may be written over",
       .op = "table",
       .inputs = {{{CodeType::kInt8, 0, 0, 2}, {2, 3}, {0, 1, 2, 2, 1, 0}}},
       .output = {all_codes(CodeType::kInt8), {2, 3}, {5, -5, 6, 6, -5, 5}},
       .constants = {{"table", {CodeType::kInt8, {3}, {5, -5, 6}}}}},
      {.name = "levels of 16 bits",
       .op = "levels",
       .inputs = {{all_codes(CodeType::kInt16), {2, 3}, {-32768, -101, -100, 99, 100, 32767}}},
       .output = {all_codes(CodeType::kInt16), {2, 3}, {-300, -300, 7, 7, 400, 400}},
       // The second level, 0, has no code; neither has the last.
       .constants = {{"thresholds", int32s({-100, -100, 100, 32768})},
                     {"levels", {CodeType::kInt16, {5}, {-300, 0, 7, 400, 500}}}}},
      {.name = "levels of a few codes",
       .op = "levels",
       .inputs = {{{CodeType::kInt8, -2, 0, 3}, {2, 2}, {-2, 3, 0, 1}}},
       .output = {all_codes(CodeType::kUInt8), {2, 2}, {9, 4, 9, 4}},
       .constants = {{"thresholds", int32s({1})}, {"levels", {CodeType::kUInt8, {2}, {9, 4}}}}},
      {.name = "a table for each channel",
       .op = "channel_table",
       .inputs = {{all_codes(CodeType::kUInt8), {1, 2, 1, 3}, {0, 10, 255, 0, 11, 255}}},
       .output = {all_codes(CodeType::kUInt8), {1, 2, 1, 3}, {255, 245, 0, 0, 5, 127}},
       .constants = {{"table", {CodeType::kUInt8, {2, 256}, inverted}}}},
      {.name = "a table for the only channel",
       .op = "channel_table",
       .inputs = {{{CodeType::kUInt8, 1, 1, 3}, {1, 1, 2, 2}, {1, 2, 3, 2}}},
       .output = {all_codes(CodeType::kInt16), {1, 1, 2, 2}, {-7, 0, 900, 0}},
       .constants = {{"table", {CodeType::kInt16, {1, 3}, {-7, 0, 900}}}}},
  };
}

}  // namespace

std::vector<NodeCase> elementwise_cases() {
  std::vector<NodeCase> cases = join_cases();
  for (const auto& more : {product_and_quotient_cases(), unary_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  return cases;
}

}  // namespace hybridquant::runtime
