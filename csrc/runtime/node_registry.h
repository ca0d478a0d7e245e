// The nodes that a graph may hold. A file nodes/<name>.cpp defines register_<name>, and is found by
// the build; there is no list to edit.
#pragma once

#include <map>
#include <string>

namespace hybridquant::runtime {

class Compiler;

// Compiles the node at hand: checks it and adds its steps. Throws ModelError.
using CompileNode = void (*)(Compiler& compiler);

using NodeRegistry = std::map<std::string, CompileNode>;

// All nodes, by the name of the operator.
const NodeRegistry& all_nodes();

}  // namespace hybridquant::runtime
