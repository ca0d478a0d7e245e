#include "runtime/node_cases.h"

namespace hybridquant::runtime {

GraphBuilder graph_of(const NodeCase& node) {
  GraphBuilder builder;
  std::vector<std::string> names;
  for (const Operand& input : node.inputs) {
    names.push_back(text("x", names.size()));
    builder.add_value(names.back(), input.codes, input.shape, input.values);
  }
  builder.add_tensor("y", node.output.codes, node.output.shape);
  builder.add_node(node.op, names, "y", node.attributes, node.constants);
  if (node.is_packed) builder.pack_weight();
  builder.add_tensor("end", all_codes(CodeType::kUInt8), {1});
  builder.add_node("reshape", {"image"}, "end", {{"shape", {1}}});
  return builder;
}

std::vector<NodeCase> node_cases() {
  std::vector<NodeCase> cases;
  for (const auto& some :
       {elementwise_cases(), product_cases(), window_cases(), row_cases(), move_cases()}) {
    cases.insert(cases.end(), some.begin(), some.end());
  }
  return cases;
}

}  // namespace hybridquant::runtime
