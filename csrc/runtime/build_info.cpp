#include "runtime/build_info.h"

#include "kernels/cpu_features.h"

namespace hybridquant::runtime {

BuildInfo build_info() {
  BuildInfo info{
      .version = HYBRIDQUANT_VERSION,
      .compiler = HYBRIDQUANT_COMPILER,
      .torch_target = HYBRIDQUANT_TORCH_TARGET,
      .available_isas = {},
      .isa = kernels::isa_name(kernels::chosen_isa()),
  };
  for (const kernels::Isa isa : kernels::kAllIsas) {
    if (kernels::is_available(isa)) info.available_isas.emplace_back(kernels::isa_name(isa));
  }
  return info;
}

}  // namespace hybridquant::runtime
