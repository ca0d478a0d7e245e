// What was built and what this processor runs of it.
#pragma once

#include <string>
#include <vector>

namespace hybridquant::runtime {

struct BuildInfo {
  std::string version;       // of the package, from pyproject.toml
  std::string compiler;      // name and version
  std::string torch_target;  // oldest torch whose stable ABI the ops library needs, e.g. "2.10"
  std::vector<std::string> available_isas;
  std::string isa;  // the one whose kernels run
};

BuildInfo build_info();

}  // namespace hybridquant::runtime
