#include "runtime/node_registry.h"

namespace hybridquant::runtime {

// node_list.inc is written by the build: HYBRIDQUANT_NODE(name) for every nodes/<name>.cpp.
#define HYBRIDQUANT_NODE(name) void register_##name(NodeRegistry& nodes);
#include "node_list.inc"
#undef HYBRIDQUANT_NODE

const NodeRegistry& all_nodes() {
  static const NodeRegistry registry = [] {
    NodeRegistry nodes;
#define HYBRIDQUANT_NODE(name) register_##name(nodes);
#include "node_list.inc"
#undef HYBRIDQUANT_NODE
    return nodes;
  }();
  return registry;
}

}  // namespace hybridquant::runtime
