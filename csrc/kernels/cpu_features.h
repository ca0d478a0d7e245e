// Instruction sets that kernels are compiled for, and which of them this processor has.
#pragma once

#include <array>

namespace hybridquant::kernels {

// From slowest to fastest.
enum class Isa : unsigned char { kBaseline, kAvx2, kAvx512 };

inline constexpr std::array kAllIsas = {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512};

const char* isa_name(Isa isa);

// True when this processor and this build can run kernels compiled for `isa`.
bool is_available(Isa isa);

// The last available of kAllIsas; the same for the life of the process.
Isa chosen_isa();

}  // namespace hybridquant::kernels
