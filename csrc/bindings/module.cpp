// The pybind11 module: what carries no tensors. Tensors go through the ops library.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "runtime/build_info.h"

namespace py = pybind11;

PYBIND11_MODULE(_C, module) {
  module.doc() = "hybridquant's compiled parts that carry no tensors.";
  module.def(
      "build_info",
      [] {
        const hybridquant::runtime::BuildInfo info = hybridquant::runtime::build_info();
        py::dict result;
        result["version"] = info.version;
        result["compiler"] = info.compiler;
        result["torch_target"] = info.torch_target;
        result["available_isas"] = info.available_isas;
        result["isa"] = info.isa;
        return result;
      },
      "Return the version, compiler, torch target and instruction sets of this build.");
}
