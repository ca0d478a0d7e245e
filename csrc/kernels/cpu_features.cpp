#include "kernels/cpu_features.h"

namespace hybridquant::kernels {

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kBaseline:
      break;
  }
  return "baseline";
}

bool is_available(Isa isa) {
  if (isa == Isa::kBaseline) return true;
#if defined(__x86_64__)
  // The compiler's builtin also asks the operating system whether it saves the wide registers.
  if (isa == Isa::kAvx2) return __builtin_cpu_supports("avx2") != 0;
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
#else
  return false;
#endif
}

Isa chosen_isa() {
  static const Isa kChosen = [] {
    Isa best = Isa::kBaseline;
    for (const Isa isa : kAllIsas) {
      if (is_available(isa)) best = isa;
    }
    return best;
  }();
  return kChosen;
}

}  // namespace hybridquant::kernels
