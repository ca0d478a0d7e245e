// Every node against codes that were worked out by hand, with its inputs laid out in every way.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "runtime/node_cases.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {
namespace {

// How the codes of an input lie in memory.
enum class Layout {
  kConstant,  // row by row, in the file
  kComputed,  // row by row, in the arena: may be written over
  kTurned,    // the last axis outermost
  kSparse,    // every other code of the last axis, from the second on
};

std::int64_t row_of(const Operand& operand) { return operand.shape.back(); }

// [columns, rows] from [rows, columns].
Values transposed(const Values& values, std::int64_t columns) {
  const std::int64_t rows = static_cast<std::int64_t>(values.size()) / columns;
  Values result;
  for (std::int64_t column = 0; column < columns; ++column) {
    for (std::int64_t row = 0; row < rows; ++row) {
      result.push_back(values[static_cast<std::size_t>(row * columns + column)]);
    }
  }
  return result;
}

void add_turned(GraphBuilder& builder, const std::string& name, const Operand& operand) {
  Shape stored = operand.shape;
  std::rotate(stored.begin(), stored.end() - 1, stored.end());
  builder.add_value(name + ".stored", operand.codes, stored,
                    transposed(operand.values, row_of(operand)));
  std::vector<std::size_t> axes;
  for (std::size_t axis = 1; axis < stored.size(); ++axis) axes.push_back(axis);
  axes.push_back(0);
  builder.add_tensor(name, operand.codes, operand.shape);
  builder.add_node("permute", {name + ".stored"}, name, {{"axes", axes}});
}

void add_sparse(GraphBuilder& builder, const std::string& name, const Operand& operand) {
  Shape stored = operand.shape;
  stored.back() = 2 * row_of(operand) + 1;
  Values values;
  for (std::size_t i = 0; i < operand.values.size(); ++i) {
    if (static_cast<std::int64_t>(i) % row_of(operand) == 0) values.push_back(operand.codes.lowest);
    values.push_back(operand.values[i]);
    values.push_back(operand.codes.highest);
  }
  // One before each row, then each code and one behind it: the codes have the odd places.
  builder.add_value(name + ".stored", operand.codes, stored, values);
  builder.add_tensor(name, operand.codes, operand.shape);
  builder.add_node(
      "slice", {name + ".stored"}, name,
      {{"axis", stored.size() - 1}, {"start", 1}, {"stop", 2 * row_of(operand)}, {"step", 2}});
}

void add_input(GraphBuilder& builder, const std::string& name, const Operand& operand,
               Layout layout) {
  if (layout == Layout::kTurned) return add_turned(builder, name, operand);
  if (layout == Layout::kSparse) return add_sparse(builder, name, operand);
  if (layout == Layout::kConstant) {
    return builder.add_value(name, operand.codes, operand.shape, operand.values);
  }
  builder.add_value(name + ".stored", operand.codes, operand.shape, operand.values);
  builder.add_tensor(name, operand.codes, operand.shape);
  builder.add_node("pad", {name + ".stored"}, name,
                   {{"amounts", {0, 0}}, {"code", operand.codes.lowest}});
}

Values computed(const NodeCase& node, const std::vector<Layout>& layouts) {
  GraphBuilder builder;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    names.push_back(text("x", i));
    add_input(builder, names.back(), node.inputs[i], layouts[i % layouts.size()]);
  }
  builder.add_tensor("y", node.output.codes, node.output.shape);
  builder.add_node(node.op, names, "y", node.attributes, node.constants);
  if (node.is_packed) builder.pack_weight();
  builder.add_tensor("end", all_codes(CodeType::kUInt8), {1});
  builder.add_node("reshape", {"image"}, "end", {{"shape", {1}}});
  const Model model = builder.model();
  Session session(model);
  return traced(session, {0}).at("y");
}

class Node : public testing::TestWithParam<NodeCase> {};

TEST_P(Node, ComputesItsCodesFromEveryLayout) {
  const std::vector<Layout> all = {Layout::kConstant, Layout::kComputed, Layout::kTurned,
                                   Layout::kSparse};
  for (const Layout first : all) {
    for (const Layout second : all) {
      if (GetParam().inputs.size() == 1 && second != first) continue;
      EXPECT_EQ(computed(GetParam(), {first, second}), GetParam().output.values)
          << "layouts " << static_cast<int>(first) << " and " << static_cast<int>(second);
    }
  }
}

std::string title(const testing::TestParamInfo<NodeCase>& info) {
  std::string title = info.param.op + "_" + info.param.name;
  for (char& c : title) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return title;
}

INSTANTIATE_TEST_SUITE_P(Cases, Node, testing::ValuesIn(node_cases()), title);

TEST(Nodes, AllHaveACase) {
  std::set<std::string> wanted;
  for (const auto& [op, compile] : all_nodes()) wanted.insert(op);
  wanted.erase("external");  // external_test.cpp has it
  std::set<std::string> found;
  for (const NodeCase& node : node_cases()) found.insert(node.op);
  EXPECT_EQ(found, wanted);
}

}  // namespace
}  // namespace hybridquant::runtime
