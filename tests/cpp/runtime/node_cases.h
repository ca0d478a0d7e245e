// One node each, with its inputs' codes and what it must compute from them, worked out by hand.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "runtime/model_testing.h"

namespace hybridquant::runtime {

struct Operand {
  CodeRange codes;
  Shape shape;
  Values values;
};

struct NodeCase {
  std::string name;
  std::string op;
  std::vector<Operand> inputs;
  Operand output;
  Json attributes = Json::object();
  Arrays constants = {};
  bool is_packed = false;  // whether the weight is stored in 4 bits
};

inline void PrintTo(const NodeCase& node, std::ostream* out) {
  *out << node.op << ", " << node.name;
}

// Factors m / 2^30 / 2^n: whole and half ones are exact.
inline constexpr std::int64_t kOne = std::int64_t{1} << 30;

inline Array int32s(const Values& values) {
  return {CodeType::kInt32, {static_cast<std::int64_t>(values.size())}, values};
}

// The file of a case whose inputs are constants: its node is number 0, "x0" and "x1" are its
// inputs, "y" its output. Another node makes the graph's output of the image.
GraphBuilder graph_of(const NodeCase& node);

std::vector<NodeCase> elementwise_cases();
std::vector<NodeCase> product_cases();
std::vector<NodeCase> window_cases();
std::vector<NodeCase> row_cases();
std::vector<NodeCase> move_cases();
// All of them.
std::vector<NodeCase> node_cases();

}  // namespace hybridquant::runtime
