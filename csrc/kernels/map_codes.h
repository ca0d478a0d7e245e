// A function of one number as a table: q = table[x].
#pragma once

#include <cstdint>

#include "kernels/strided.h"

namespace hybridquant::kernels {

struct MapCodesArgs {
  // Outputs
  void* q;  // [size] of q_type
  // Inputs
  const void* x;      // [size] of x_type
  const void* table;  // [channels, 256 or 65536] of q_type, in the order of the codes of x_type
  CodeType q_type;    // uint8, int8 or int16
  CodeType x_type;    // uint8, int8: 256 entries; int16: 65536
  std::int64_t size;
  std::int64_t channels;  // element i is of channel i % channels; 1: one table for all
};

// Does the runs [begin, end) of runs_per_row(size). q may be x if their types are one.
void map_codes(const MapCodesArgs& args, std::int64_t begin, std::int64_t end);
void map_codes_ref(const MapCodesArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
