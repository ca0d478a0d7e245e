#include "runtime/node_cases.h"

namespace hybridquant::runtime {

namespace {

// A node that moves codes of one kind.
NodeCase move(const std::string& name, const std::string& op, CodeType type,
              const std::vector<std::pair<Shape, Values>>& inputs,
              const std::pair<Shape, Values>& output, const Json& attributes) {
  NodeCase node{.name = name, .op = op, .inputs = {}, .output = {}, .attributes = attributes};
  const CodeRange codes = {type, 0, 0, 100};
  for (const auto& [shape, values] : inputs) node.inputs.push_back({codes, shape, values});
  node.output = {codes, output.first, output.second};
  return node;
}

std::vector<NodeCase> view_cases() {
  return {
      move("other sizes", "reshape", CodeType::kInt16, {{{2, 3}, {1, 2, 3, 4, 5, 6}}},
           {{3, 1, 2}, {1, 2, 3, 4, 5, 6}}, {{"shape", {3, 1, 2}}}),
      move("merged sizes", "reshape", CodeType::kInt64, {{{2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}}},
           {{4, 2}, {1, 2, 3, 4, 5, 6, 7, 8}}, {{"shape", {4, 2}}}),
      move("repeated", "expand", CodeType::kUInt8, {{{2, 1}, {7, 9}}},
           {{2, 2, 3}, {7, 7, 7, 9, 9, 9, 7, 7, 7, 9, 9, 9}}, {{"shape", {2, 2, 3}}}),
      move("turned", "permute", CodeType::kInt32, {{{1, 2, 3}, {1, 2, 3, 4, 5, 6}}},
           {{3, 1, 2}, {1, 4, 2, 5, 3, 6}}, {{"axes", {2, 0, 1}}}),
      move("every third", "slice", CodeType::kInt8, {{{1, 7}, {0, 1, 2, 3, 4, 5, 6}}},
           {{1, 2}, {1, 4}}, {{"axis", 1}, {"start", 1}, {"stop", 7}, {"step", 3}}),
      move("the first row", "slice", CodeType::kInt8, {{{2, 2}, {0, 1, 2, 3}}}, {{1, 2}, {0, 1}},
           {{"axis", 0}, {"start", 0}, {"stop", 1}, {"step", 1}}),
  };
}

std::vector<NodeCase> copy_cases() {
  NodeCase columns =
      move("columns", "index_select", CodeType::kInt16, {{{2, 3}, {1, 2, 3, 4, 5, 6}}},
           {{2, 4}, {3, 1, 3, 2, 6, 4, 6, 5}}, {{"axis", 1}});
  columns.constants = {{"index", int32s({2, 0, 2, 1})}};
  NodeCase rows = move("a row", "index_select", CodeType::kUInt8, {{{2, 3}, {1, 2, 3, 4, 5, 6}}},
                       {{1, 3}, {4, 5, 6}}, {{"axis", 0}});
  rows.constants = {{"index", int32s({1})}};
  return {
      columns,
      rows,
      move("side by side", "cat", CodeType::kInt32, {{{2, 1}, {1, 2}}, {{2, 2}, {3, 4, 5, 6}}},
           {{2, 3}, {1, 3, 4, 2, 5, 6}}, {{"axis", 1}}),
      move("channels", "cat", CodeType::kUInt8,
           {{{1, 1, 1, 2}, {1, 2}}, {{1, 2, 1, 2}, {3, 4, 5, 6}}},
           {{1, 3, 1, 2}, {1, 2, 3, 4, 5, 6}}, {{"axis", 1}}),
      move("alone", "cat", CodeType::kInt8, {{{3}, {1, 2, 3}}}, {{3}, {1, 2, 3}}, {{"axis", 0}}),
      move("behind and before", "pad", CodeType::kInt16, {{{1, 2}, {1, 2}}},
           {{1, 5}, {9, 1, 2, 9, 9}}, {{"amounts", {1, 2}}, {"code", 9}}),
      move("two axes of an image", "pad", CodeType::kInt8, {{{1, 1, 1, 2}, {1, 2}}},
           {{1, 1, 2, 3}, {0, 0, 0, 1, 2, 0}}, {{"amounts", {0, 1, 1, 0}}, {"code", 0}}),
      move("64 bits", "pad", CodeType::kInt64, {{{1}, {1}}}, {{2}, {100, 1}},
           {{"amounts", {1, 0}}, {"code", 100}}),
  };
}

}  // namespace

std::vector<NodeCase> move_cases() {
  std::vector<NodeCase> cases = view_cases();
  for (const NodeCase& more : copy_cases()) cases.push_back(more);
  return cases;
}

}  // namespace hybridquant::runtime
