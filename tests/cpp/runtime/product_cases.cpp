#include "runtime/node_cases.h"

namespace hybridquant::runtime {

namespace {

Arrays product(const Array& weight, const Values& bias, const Values& m, const Values& shift) {
  return {{"weight", weight}, {"bias", int32s(bias)}, {"m", int32s(m)}, {"shift", int32s(shift)}};
}

Json window(const Json& stride, const Json& padding, const Json& dilation, int groups) {
  return {{"stride", stride}, {"padding", padding}, {"dilation", dilation}, {"groups", groups}};
}

Array int8s(const Shape& shape, const Values& values) { return {CodeType::kInt8, shape, values}; }

std::vector<NodeCase> dense_conv_cases() {
  // Centred: 0, 1, 2, 4. Windows of 3 x 3 around each see all four.
  const Operand square = {all_codes(CodeType::kUInt8, 1), {1, 1, 2, 2}, {1, 2, 3, 5}};
  const Array rising = int8s({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const Json padded = window({1, 1}, {1, 1}, {1, 1}, 1);
  Arrays offset = product(rising, {2}, {kOne}, {31});
  offset["tap_offset"] = {CodeType::kInt32, {1, 3, 3}, Values(9, 1)};
  return {
      // 60, 53, 39 and 32, halved
      {.name = "padded",
       .op = "conv2d",
       .inputs = {square},
       .output = {all_codes(CodeType::kUInt8), {1, 1, 2, 2}, {30, 27, 20, 16}},
       .attributes = padded,
       .constants = product(rising, {2}, {kOne}, {31})},
      {.name = "with an offset for each tap inside",
       .op = "conv2d",
       .inputs = {square},
       .output = {all_codes(CodeType::kUInt8), {1, 1, 2, 2}, {28, 25, 18, 14}},
       .attributes = padded,
       .constants = offset},
      {.name = "with a weight of 4 bits",
       .op = "conv2d",
       .inputs = {square},
       .output = {all_codes(CodeType::kInt8), {1, 1, 2, 2}, {-14, -13, 37, 30}},
       .attributes = padded,
       .constants = product(int8s({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, -8, -1}), {0}, {kOne}, {30}),
       .is_packed = true},
      {.name = "with stride and dilation",
       .op = "conv2d",
       .inputs = {{all_codes(CodeType::kUInt8), {1, 1, 1, 5}, {1, 2, 3, 4, 5}}},
       .output = {all_codes(CodeType::kUInt8), {1, 1, 1, 2}, {31, 53}},
       .attributes = window({1, 2}, {0, 0}, {1, 2}, 1),
       .constants = product(int8s({1, 1, 1, 2}, {1, 10}), {0}, {kOne}, {30})},
      {.name = "of two channels",
       .op = "conv2d",
       .inputs = {{all_codes(CodeType::kInt8), {1, 2, 1, 2}, {3, 4, -5, 6}}},
       // 2 3 + 3 -5 and 2 4 + 3 6; -3 + 10 and -4 + 10
       .output = {all_codes(CodeType::kInt8), {1, 2, 1, 2}, {-9, 26, 7, 6}},
       .attributes = window({1, 1}, {0, 0}, {1, 1}, 1),
       .constants = product(int8s({2, 2, 1, 1}, {2, 3, -1, 0}), {0, 10}, {kOne, kOne}, {30, 30})},
  };
}

std::vector<NodeCase> grouped_conv_cases() {
  return {
      {.name = "depthwise",
       .op = "conv2d",
       .inputs = {{all_codes(CodeType::kInt8), {1, 2, 1, 2}, {3, 4, -5, 6}}},
       .output = {all_codes(CodeType::kInt8), {1, 2, 1, 1}, {3, 12}},
       .attributes = window({1, 1}, {0, 0}, {1, 1}, 2),
       .constants = product(int8s({2, 1, 1, 2}, {2, -1, 1, 3}), {1, -1}, {kOne, kOne}, {30, 30})},
      {.name = "in groups",
       .op = "conv2d",
       .inputs = {{all_codes(CodeType::kInt16), {1, 2, 1, 1}, {3, -2}}},
       .output = {all_codes(CodeType::kInt16, 100), {1, 4, 1, 1}, {103, 106, 94, 102}},
       .attributes = window({1, 1}, {0, 0}, {1, 1}, 2),
       .constants = product(int8s({4, 1, 1, 1}, {1, 2, 3, -1}), {0, 0, 0, 0}, Values(4, kOne),
                            Values(4, 30))},
      {.name = "of the one channel of many images",
       .op = "conv2d",
       .inputs = {{all_codes(CodeType::kUInt8), {3, 1, 1, 2}, {1, 2, 3, 4, 5, 6}}},
       .output = {all_codes(CodeType::kUInt8), {3, 1, 1, 1}, {5, 11, 17}},
       .attributes = window({1, 1}, {0, 0}, {1, 1}, 1),
       .constants = product(int8s({1, 1, 1, 2}, {1, 2}), {0}, {kOne}, {30})},
  };
}

std::vector<NodeCase> linear_cases() {
  const Operand rows = {all_codes(CodeType::kUInt8, 2), {2, 3}, {2, 3, 4, 0, 2, 5}};
  const Arrays plain =
      product(int8s({2, 3}, {1, 2, 3, -1, 0, 1}), {10, -10}, {kOne, kOne / 2}, {30, 30});
  Operand image = rows;
  image.shape = {2, 1, 3};
  return {
      {.name = "rows",
       .op = "linear",
       .inputs = {rows},
       .output = {all_codes(CodeType::kInt8), {2, 2}, {18, -4, 17, -2}},
       .constants = plain},
      {.name = "rows of more axes, to 32 bits",
       .op = "linear",
       .inputs = {image},
       .output = {all_codes(CodeType::kInt32, 1000), {2, 1, 2}, {1018, 996, 1017, 998}},
       .constants = plain},
      {.name = "rows with a weight of 4 bits",
       .op = "linear",
       .inputs = {rows},
       .output = {all_codes(CodeType::kInt8), {2, 2}, {18, -4, 17, -2}},
       .constants = plain,
       .is_packed = true},
      {.name = "one feature",
       .op = "linear",
       .inputs = {{all_codes(CodeType::kInt8), {3, 1}, {1, -2, 3}}},
       .output = {all_codes(CodeType::kInt8), {3, 2}, {5, -1, -10, 2, 15, -3}},
       .constants = product(int8s({2, 1}, {5, -1}), {0, 0}, {kOne, kOne}, {30, 30})},
      // 520 * 32767 * 127 / 2^20 = 2063.7: the sums pass 2^31.
      {.name = "wide sums",
       .op = "linear",
       .inputs = {{all_codes(CodeType::kInt16), {1, 520}, Values(520, 32767)}},
       .output = {all_codes(CodeType::kInt16), {1, 1}, {2064}},
       .constants = product(int8s({1, 520}, Values(520, 127)), {0}, {kOne}, {50})},
  };
}

std::vector<NodeCase> matmul_cases() {
  const Operand x = {all_codes(CodeType::kInt8, 1), {2, 3}, {1, 2, 3, 0, 1, 4}};
  const Operand y = {all_codes(CodeType::kUInt8), {3, 2}, {1, 2, 3, 4, 5, 6}};
  // Centred: 0, 1, 2 and -1, 0, 3. Sums: 13, 16 and 14, 16.
  const Json halved = {{"m", kOne}, {"shift", 31}};
  const Operand column = {all_codes(CodeType::kInt8), {2, 1, 2, 1}, {1, 2, 3, 4}};
  const Operand row = {all_codes(CodeType::kInt8), {1, 3, 1, 2}, {1, 2, 10, 20, -1, -2}};
  return {
      {.name = "matrices",
       .op = "matmul",
       .inputs = {x, y},
       .output = {all_codes(CodeType::kInt8, -1), {2, 2}, {6, 7, 6, 7}},
       .attributes = halved},
      {.name = "matrices of 32 bits",
       .op = "matmul",
       .inputs = {{{CodeType::kInt32, -kOne, 0, kOne}, {1, 2}, {kOne, -kOne}},
                  {{CodeType::kInt16, -9, 0, 9}, {2, 1}, {9, -8}}},
       .output = {all_codes(CodeType::kInt16), {1, 1}, {17}},
       .attributes = {{"m", kOne}, {"shift", 60}}},
      {.name = "a stack times one matrix",
       .op = "matmul",
       .inputs = {{all_codes(CodeType::kInt8), {2, 1, 2}, {1, 2, 3, 4}},
                  {all_codes(CodeType::kInt8), {2, 1}, {5, -6}}},
       .output = {all_codes(CodeType::kInt8), {2, 1, 1}, {-7, -9}},
       .attributes = {{"m", kOne}, {"shift", 30}}},
      // Both repeat an axis of the other: products are taken one axis at a time.
      {.name = "stacks of both",
       .op = "matmul",
       .inputs = {row, column},
       .output = {all_codes(CodeType::kInt8), {2, 3, 1, 1}, {5, 50, -5, 11, 110, -11}},
       .attributes = {{"m", kOne}, {"shift", 30}}},
      {.name = "sums",
       .op = "matmul_sums",
       .inputs = {x, y},
       // 3 * 129 * 255
       .output = {{CodeType::kInt32, -98685, 0, 98685}, {2, 2}, {13, 16, 14, 16}}},
      {.name = "sums of 64 bits",
       .op = "matmul_sums",
       .inputs = {{{CodeType::kInt32, -kOne, 0, kOne}, {2, 1}, {kOne, -3}},
                  {{CodeType::kInt8, -4, 0, 4}, {1, 2}, {4, -4}}},
       .output = {{CodeType::kInt64, -4 * kOne, 0, 4 * kOne},
                  {2, 2},
                  {4 * kOne, -4 * kOne, -12, 12}}},
  };
}

}  // namespace

std::vector<NodeCase> product_cases() {
  std::vector<NodeCase> cases = dense_conv_cases();
  for (const auto& more : {grouped_conv_cases(), linear_cases(), matmul_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  return cases;
}

}  // namespace hybridquant::runtime
