// What nodes refuse: one mistake a line, in a file that is otherwise right.
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/node_cases.h"

namespace hybridquant::runtime {
namespace {

const NodeCase& case_named(const std::string& op, const std::string& name) {
  static const std::vector<NodeCase> cases = node_cases();
  return *std::find_if(cases.begin(), cases.end(),
                       [&](const NodeCase& node) { return node.op == op && node.name == name; });
}

void expect_errors(const std::string& op, const std::string& name,
                   const std::vector<WrongField>& fields) {
  const Json document = graph_of(case_named(op, name)).document();
  ASSERT_EQ(error_of(model_file(document)), "nothing");
  for (const WrongField& wrong : fields) {
    const std::string error = error_of(model_file(changed(document, wrong)));
    EXPECT_NE(error.find(wrong.error), std::string::npos)
        << wrong.path << " " << (wrong.value == nullptr ? "deleted" : wrong.value) << ": expected "
        << wrong.error << ", got " << error;
  }
}

TEST(NodeErrors, Fields) {
  expect_errors(
      "requantize", "half",
      {{"/graph/nodes/0/op", "\"conv3d\"",
        "node 0 (conv3d, module 'stem.requantize'): unknown op 'conv3d'; written by a test"},
       {"/graph/nodes/0/path", "\"\"", "nothing"},
       {"/graph/nodes/0/inputs", "[\"x0\", \"x0\"]",
        "node 0 (requantize, module 'stem.requantize'): must have 1 inputs, got 2"},
       {"/graph/nodes/0/inputs", "[]", "must have 1 inputs, got 0"},
       {"/graph/nodes/0/attributes/a", "1", "unknown attribute 'a'"},
       {"/graph/nodes/0/attributes/shift", nullptr, "must have the attribute 'shift'"},
       {"/graph/nodes/0/attributes/shift", "\"31\"", "attribute 'shift' must be an integer"},
       {"/graph/nodes/0/attributes/shift", "true", "attribute 'shift' must be an integer"},
       {"/graph/nodes/0/attributes/shift", "0", "attribute 'shift' must be 1 to 62, got 0"},
       {"/graph/nodes/0/attributes/shift", "63", "attribute 'shift' must be 1 to 62, got 63"},
       {"/graph/nodes/0/attributes/m", "2147483648", "'m' must be 0 to 2147483647, got 2147483648"},
       {"/graph/nodes/0/attributes/m", "-1", "attribute 'm' must be 0 to 2147483647, got -1"},
       {"/graph/nodes/0/attributes/rounding", "\"up\"",
        "attribute 'rounding' must be half_even or double, got 'up'"},
       {"/graph/nodes/0/attributes/rounding", "1", "attribute 'rounding' must be a string"},
       {"/graph/nodes/0/attributes/m", "[1]", "attribute 'm' must be an integer"},
       {"/graph/nodes/0/constants/a", "\"nodes.0.a\"", "unknown constant 'a'"},
       {"/graph/tensors/2/shape", "[5]", "output 'y' must have shape [1, 5], got [5]"}});
}

TEST(NodeErrors, Requantize) {
  expect_errors(
      "requantize", "wide sums",
      {{"/graph/nodes/0/attributes/shift", "15",
        "codes less the zero-point must be below 4294967296, got 1099511627776"},
       {"/graph/tensors/1/highest", "140737488355328",
        "codes less the zero-point must be below 140737488355328, got 140737488355328"},
       // Kernels hold zero-points in 32 bits.
       {"/graph/tensors/1/zero_point", "1099511627776", "zero-point must have at most 32"}});
  expect_errors("requantize", "half",
                {{"/graph/tensors/2/dtype", "\"int64\"", "must be of at most 32 bits, got int64"}});
}

TEST(NodeErrors, Joins) {
  expect_errors("add", "difference",
                {{"/graph/nodes/0/attributes/m", "[1]", "'m' must hold 2 integers, got [1]"},
                 {"/graph/nodes/0/attributes/m/1", "-2147483648", "must hold -2147483647 to"},
                 {"/graph/nodes/0/attributes/m", "1", "'m' must be a list of integers"},
                 {"/graph/nodes/0/attributes/shift", "63", "'shift' must be 1 to 62, got 63"},
                 {"/graph/nodes/0/attributes/rounding", "\"double\"",
                  "attribute 'rounding' must be half_even, got 'double'"},
                 {"/graph/tensors/3/shape", "[2, 3]",
                  "an input of shape [2, 2] must broadcast to the output's shape [2, 3]"},
                 {"/graph/tensors/3/shape", "[2]", "must broadcast to the output's shape [2]"}});
  expect_errors("add", "sum of the largest codes",
                {{"/graph/tensors/1/highest", "1073741825",
                  "codes of inputs less their zero-points must be at most 2^30, got 1073741825"}});
  expect_errors("add_constant", "sums and a number",
                {{"/graph/nodes/0/attributes/offset", "-51",
                  "must be within the output's, -100 to 50, got -101 to 49"},
                 {"/graph/nodes/0/attributes/offset", "4611686018427387904", "'offset' must be"},
                 {"/graph/tensors/2/dtype", "\"int64\"", "output 'y' must be int32, got int64"},
                 {"/graph/tensors/2/zero_point", "1", "must be within the output's"},
                 {"/graph/tensors/2/shape", "[1, 3]", "must have shape [3, 1], got [1, 3]"}});
  expect_errors(
      "add_constant", "wide sums and a number",
      {{"/graph/tensors/1/highest", "4611686018427387904", "tensor 'x0': codes must be below 2^62"},
       {"/graph/tensors/1/lowest", "-4611686018427387904", "tensor 'x0': codes must be below 2^62"},
       {"/graph/tensors/1/highest", "4611686018427387903",
        "must be within the output's, 0 to 2305843009213693952, got"}});
}

TEST(NodeErrors, ProductsAndQuotients) {
  expect_errors("mul", "product of 32 bits by one number",
                {{"/graph/nodes/0/attributes/shift", "15",
                  "products must be below 4294967296 with shift 15, got inputs up to 1073741824"},
                 {"/graph/tensors/1/lowest", "-2147483648",
                  "codes of inputs less their zero-points must be below 2^31, got 2147483648"}});
  expect_errors("div", "quotient of sums",
                {{"/graph/tensors/1/highest", "70368744177664",
                  "dividends must be below 2^46, got 70368744177664"},
                 {"/graph/nodes/0/attributes/shift", "31", "'shift' must be 0 to 30, got 31"},
                 {"/graph/nodes/0/attributes/m", "-1", "'m' must be 0 to 32767, got -1"},
                 {"/graph/tensors/1/zero_point", "-4294967296", "must have at most 32 bits"},
                 {"/graph/tensors/2/highest", "2147483647", "nothing"}});
  expect_errors("div", "wide divisor",
                {{"/graph/tensors/2/highest", "2147483648",
                  "divisors less the zero-point must be below 2^31, got 2147483648"}});
}

TEST(NodeErrors, Tables) {
  expect_errors(
      "table", "few codes",
      {{"/graph/nodes/0/constants/table", nullptr, "must have the constant 'table'"},
       {"/arrays/nodes.0.table", nullptr, "'nodes.0.table' must be in the file"},
       {"/arrays/nodes.0.table/type", "\"int8\"", "table must be uint8 [6], got int8 [6]"},
       {"/graph/tensors/1/highest", "4", "table must be uint8 [7], got uint8 [6]"},
       {"/graph/tensors/2/highest", "8", "table's codes must be 0 to 8, got 9"},
       {"/graph/tensors/2/lowest", "5", "must be 5 to 255, got"},
       {"/graph/tensors/2/dtype", "\"int32\"", "must be uint8 or int8 or int16, got int32"},
       {"/arrays/tensors.x0/values/0", "4", "tensor 'x0': codes must be -2 to 3, got 4"}});
  expect_errors("channel_table", "a table for each channel",
                {{"/graph/tensors/1/shape", "[6]", "tensor 'x0': value must be uint8 [6], got"},
                 {"/arrays/nodes.0.table/shape", "[1, 512]", "table must be uint8 [2, 256], got"}});
}

TEST(NodeErrors, Levels) {
  expect_errors(
      "levels", "levels of a few codes",
      {{"/graph/nodes/0/constants/levels", nullptr, "must have the constant 'levels'"},
       {"/arrays/nodes.0.thresholds/type", "\"int8\"",
        "thresholds must be int32 [steps], got int8"},
       {"/arrays/nodes.0.levels/type", "\"int8\"", "levels must be uint8 [2], got int8 [2]"},
       {"/graph/tensors/2/highest", "8", "table's codes must be 0 to 8, got 9"},
       {"/graph/tensors/2/dtype", "\"int32\"", "must be uint8 or int8 or int16, got int32"}});
  expect_errors("levels", "levels of 16 bits",
                {{"/arrays/nodes.0.thresholds/values/0", "-99", "thresholds must not decrease"}});
}

TEST(NodeErrors, Convolutions) {
  expect_errors(
      "conv2d", "with an offset for each tap inside",
      {{"/graph/nodes/0/attributes/stride", "[1]", "'stride' must hold 2 integers, got [1]"},
       {"/graph/nodes/0/attributes/stride", "[0, 1]", "must hold 1 to 1048576, got [0, 1]"},
       {"/graph/nodes/0/attributes/padding", "[0, -1]", "must hold 0 to 1048576, got [0, -1]"},
       {"/graph/nodes/0/attributes/padding", "[0, 1]", "the weight's window must fit into the"},
       {"/graph/nodes/0/attributes/dilation/0", "9",
        "the weight's window must fit into the padded"},
       {"/graph/nodes/0/attributes/groups", "2", "'groups' must be 1 to 1, got 2"},
       {"/graph/nodes/0/attributes/padding", "[2, 2]", "output 'y' must have shape [1, 1, 4, 4]"},
       {"/graph/nodes/0/constants/tap_offset", nullptr, "must belong to a node or tensor"},
       {"/arrays/nodes.0.tap_offset/shape", "[9]", "'tap_offset' must be int32 [1, 3, 3], got"},
       {"/arrays/nodes.0.weight/shape", "[9]", "weight must have 1 outputs, got [9]"},
       {"/arrays/nodes.0.weight/shape", "[1, 3, 3]",
        "weight must have shape [1, 1, height, width]"},
       {"/arrays/nodes.0.weight/type", "\"uint8\"", "must be int8 [1, 1, 3, 3], got uint8 [1, 1"},
       {"/arrays/nodes.0.bias/shape", "[1, 1]", "'bias' must be int32 [1], got int32 [1, 1]"},
       {"/arrays/nodes.0.bias/values/0", "2147483640", "sums must be below 2^31"},
       {"/arrays/nodes.0.tap_offset/values/0", "-2147483640", "sums must be below 2^31"},
       {"/arrays/nodes.0.m/values/0", "-1", "m must be 0 to 2147483647, got -1"},
       {"/arrays/nodes.0.shift/values/0", "0", "shift must be 1 to 62, got 0"},
       {"/arrays/nodes.0.shift/values/0", "63", "shift must be 1 to 62, got 63"},
       {"/graph/tensors/2/dtype", "\"int64\"",
        "must be uint8 or int8 or int16 or int32, got int64"},
       {"/graph/tensors/2/shape", "[4]", "input and output must have 4 axes"}});
  expect_errors("conv2d", "in groups",
                {{"/graph/nodes/0/attributes/groups", "1", "must have shape [4, 2, height, width]"},
                 {"/graph/tensors/1/shape", "[1, 2, 1]", "tensor 'x0': value must be int16"}});
  expect_errors(
      "linear", "wide sums",
      {{"/arrays/nodes.0.weight/shape", "[520, 1]", "weight must have shape [outputs, 520]"},
       {"/graph/tensors/2/shape", "[1, 2]", "must have shape [1, 1], got [1, 2]"}});
}

TEST(NodeErrors, PackedWeights) {
  expect_errors(
      "conv2d", "with a weight of 4 bits",
      {{"/graph/nodes/0/constants/weight/shape", "[1, 1, 3, 4]",
        "must be packed codes of shape [1, 1, 3, 4] in uint8 [6], got [1, 1, 3, 4] in uint8 [5]"},
       {"/graph/nodes/0/constants/weight/shape", "[65536, 1, 3, 4096]", "must have 1 outputs"},
       {"/graph/nodes/0/constants/weight", "\"nodes.0.weight\"", "weight must have 1 outputs, got"},
       {"/arrays/nodes.0.weight/type", "\"int8\"", "in uint8 [5], got [1, 1, 3, 3] in int8 [5]"},
       // The ninth number ends with four bits that nothing reads.
       {"/arrays/nodes.0.weight/values/4", "31", "must end with 4 bits of 0, got 1"}});
}

TEST(NodeErrors, Matmul) {
  expect_errors(
      "matmul", "matrices",
      {{"/graph/tensors/3/shape", "[2, 3]", "shapes must be [*, n, k] times [*, k, m] = [*, n, m]"},
       {"/graph/tensors/3/shape", "[4]", "inputs must have 2 to 1 axes, got [2, 3]"},
       {"/graph/nodes/0/inputs", "[\"x0\", \"x0\"]", "shapes must be [*, n, k] times [*, k, m]"},
       {"/graph/nodes/0/attributes/m", "-1", "'m' must be 0 to 2147483647, got -1"}});
  expect_errors("matmul", "stacks of both",
                {{"/graph/tensors/3/shape", "[2, 4, 1, 1]", "leading axes of [1, 3, 1, 2] must"}});
  expect_errors(
      "matmul", "matrices of 32 bits",
      {{"/graph/tensors/2/highest", "32767", "nothing"},
       {"/graph/tensors/1/highest", "2147483647", "nothing"},
       {"/graph/tensors/1/lowest", "-2147483648", "sums must be below 2^47, got 2 product"},
       {"/graph/nodes/0/attributes/shift", "1", "requantized sums must be below 2^61"}});
  expect_errors(
      "matmul_sums", "sums",
      {{"/graph/tensors/3/highest", "98684", "the output must hold sums of -98685 to 98685"},
       {"/graph/tensors/3/zero_point", "1", "with zero-point 0, got"},
       {"/graph/tensors/3/dtype", "\"int16\"", "lowest must be -32768 to 32767"}});
}

TEST(NodeErrors, Rows) {
  expect_errors(
      "softmax", "narrow",
      {{"/graph/nodes/0/attributes/form", "\"exact\"", "form must be table, linear, polynomial or"},
       {"/graph/nodes/0/attributes/m", "0", "'m' must be 1 to 16777215, got 0"},
       {"/arrays/nodes.0.table/values/0", "0", "the first above 0, got 0 and 0"},
       {"/arrays/nodes.0.table/values/3", "-1", "entries must be at least 0"},
       {"/arrays/nodes.0.table/type", "\"int16\"", "table must be int32 or int64, got int16"},
       {"/graph/tensors/1/lowest", "127", "tensor 'x0': zero_point must be 127"},
       {"/graph/tensors/2/dtype", "\"int32\"", "must be uint8 or int8 or int16, got int32"}});
  expect_errors("softmax", "wide",
                {{"/arrays/nodes.0.table/values/3", "2251799813685248", "must be below 2^53"},
                 {"/graph/nodes/0/attributes/m", "16777215", "entries times m below 2^61"},
                 {"/arrays/nodes.0.table/values/3", "140737488355328", "below 2^61"}});
  expect_errors("softmax_log2", "powers of two",
                {{"/graph/tensors/2/highest", "63", "must be 0 to at most 62, got 0 to 63"},
                 {"/graph/tensors/2/lowest", "1", "zero_point must be 1 to 15"},
                 {"/graph/tensors/2/zero_point", "1", "must be 0 to at most 62"},
                 {"/graph/nodes/0/attributes/m", "1", "unknown attribute 'm'"}});
  expect_errors(
      "layer_norm", "of rows",
      {{"/graph/nodes/0/attributes/count", "3", "must be the product of the last sizes of [2, 2]"},
       {"/graph/nodes/0/attributes/count", "1048576", "'count' must be 1 to 1048575"},
       {"/graph/nodes/0/attributes/is_centred", "1", "'is_centred' must be true or false"},
       {"/graph/nodes/0/attributes/epsilon", "0", "'epsilon' must be 1 to 4611686018427387904"},
       {"/arrays/nodes.0.beta/values/0", "2305843009213693952", "beta must be below 2^61"},
       {"/arrays/nodes.0.m/values/0", "-2147483648", "m must be above -2^31"},
       {"/arrays/nodes.0.m/shape", "[2, 1]", "'m' must be int32 [2], got int32 [2, 1]"}});
  expect_errors("group_norm", "of groups of one channel",
                {{"/graph/nodes/0/attributes/groups", "3", "'groups' must be 1 to 2, got 3"},
                 {"/graph/nodes/0/attributes/count", "4", "and count be the codes of a group"}});
  expect_errors("mean", "means of rows",
                {{"/graph/nodes/0/attributes/axes", "[2]", "'axes' must hold 0 to 1, got [2]"},
                 {"/graph/nodes/0/attributes/axes", "[1, 1]", "axes must each occur once, got"},
                 {"/graph/nodes/0/attributes/axes", "[]", "axes must each occur once, got []"},
                 {"/graph/nodes/0/attributes/keepdim", "true", "must have shape [2, 1], got [2]"},
                 {"/graph/nodes/0/attributes/keepdim", "0", "'keepdim' must be true or false"}});
}

TEST(NodeErrors, Windows) {
  expect_errors(
      "avg_pool2d", "windows of 1 and 2 positions",
      {{"/graph/nodes/0/attributes/kernel", "[2, 0]", "'kernel' must hold 1 to 32768"},
       {"/graph/nodes/0/attributes/padding", "[2, 1]", "padding must be"},
       {"/graph/nodes/0/attributes/stride", "[1, 2]", "must have shape [1, 1, 3, 2], got [1, 1, 2"},
       {"/arrays/nodes.0.m/shape", "[2, 2]", "'m' must be int32 [4], got int32 [2, 2]"}});
  expect_errors(
      "max_pool2d", "largest",
      {{"/graph/tensors/2/zero_point", "0", "must have the type, zero-point and codes of"},
       {"/graph/nodes/0/attributes/m", "1", "unknown attribute 'm'"}});
  expect_errors(
      "resize_bilinear", "one channel",
      {{"/arrays/nodes.0.columns_high/values/0", "2", "columns_high must be 0 to 1, got 0 and 2"},
       {"/arrays/nodes.0.rows_low/values/0", "-1", "rows_high must be 0 to 0, got -1 and 0"},
       {"/arrays/nodes.0.columns_weight/values/0", "2049", "columns_weight must be 0 to 2048, got"},
       {"/graph/tensors/2/shape", "[1, 1, 2, 2]", "'rows_low' must be int32 [2], got int32 [1]"},
       {"/graph/tensors/2/shape", "[1, 2, 1, 2]",
        "must have shape [1, 1, 1, 2], got [1, 2, 1, 2]"}});
}

TEST(NodeErrors, Moves) {
  expect_errors(
      "reshape", "other sizes",
      {{"/graph/nodes/0/attributes/shape", "[6]", "must have shape [6], got [3, 1, 2]"},
       {"/graph/nodes/0/attributes/shape", "[]", "'shape' must hold 1 to 6 sizes, got []"},
       {"/graph/tensors/2/lowest", "-1", "must have the type, zero-point and codes of"},
       {"/graph/tensors/2/dtype", "\"int8\"", "must have the type, zero-point and codes"}});
  expect_errors(
      "expand", "repeated",
      {{"/graph/nodes/0/attributes/shape", "[2, 2, 3, 1]", "must have shape [2, 2, 3, 1]"}});
  expect_errors(
      "permute", "turned",
      {{"/graph/nodes/0/attributes/axes", "[0, 1]", "must hold 3 integers, got [0, 1]"},
       {"/graph/nodes/0/attributes/axes", "[0, 1, 1]", "axes must each occur once"},
       {"/graph/nodes/0/attributes/axes", "[0, 1, 3]", "must hold 0 to 2, got [0, 1, 3]"}});
  expect_errors("slice", "every third",
                {{"/graph/nodes/0/attributes/axis", "2", "'axis' must be 0 to 1, got 2"},
                 {"/graph/nodes/0/attributes/stop", "8", "'stop' must be 1 to 7, got 8"},
                 {"/graph/nodes/0/attributes/start", "7", "'start' must be 0 to 6, got 7"},
                 {"/graph/nodes/0/attributes/step", "0", "'step' must be 1 to 7, got 0"},
                 {"/graph/nodes/0/attributes/step", "2", "must have shape [1, 3], got [1, 2]"}});
  expect_errors("index_select", "columns",
                {{"/arrays/nodes.0.index/values/0", "3", "index must be 0 to 2, got 3"},
                 {"/arrays/nodes.0.index/values/0", "-1", "index must be 0 to 2, got -1"},
                 {"/graph/tensors/2/shape", "[2, 5]", "'index' must be int32 [5], got int32 [4]"},
                 {"/graph/tensors/2/shape", "[8]", "the output must have 2 axes"}});
  expect_errors(
      "cat", "side by side",
      {{"/graph/nodes/0/inputs", "[]", "must have an input"},
       {"/graph/nodes/0/inputs", "[\"x0\"]", "inputs must add up to 3 along axis 1, got 1"},
       {"/graph/nodes/0/inputs", "[\"x1\", \"x1\"]", "and add up to them along axis 1"},
       {"/graph/nodes/0/attributes/axis", "0", "inputs must have the output's sizes"},
       {"/graph/nodes/0/attributes/axis", "2", "'axis' must be 0 to 1, got 2"}});
  expect_errors("pad", "behind and before",
                {{"/graph/nodes/0/attributes/amounts", "[1]", "amounts must be pairs of numbers"},
                 {"/graph/nodes/0/attributes/amounts", "[0,0,0,0,1,2]", "for at most 2 axes"},
                 {"/graph/nodes/0/attributes/amounts", "[1, 1]", "must have shape [1, 4]"},
                 {"/graph/nodes/0/attributes/code", "101", "'code' must be 0 to 100, got 101"}});
}

}  // namespace
}  // namespace hybridquant::runtime
