// Codes moved from one view to another: permute, slice, expand, concatenate, make contiguous.
#pragma once

#include <cstdint>

#include "kernels/strided.h"

namespace hybridquant::kernels {

// q[...] = x[...]; the two do not overlap.
struct MoveCodesArgs {
  // Outputs
  void* q;
  // Inputs
  const void* x;
  CodeType type;  // of both
  std::int64_t sizes[kNumAxes];
  std::int64_t q_strides[kNumAxes];
  std::int64_t x_strides[kNumAxes];  // 0 along an axis that is expanded
};

// Tiles of the last two axes, so that a transposition reads and writes whole cache lines.
inline constexpr std::int64_t kTileRows = 32;
inline constexpr std::int64_t kTileColumns = kRunSize;

struct MoveTile {
  std::int64_t q_offset;
  std::int64_t x_offset;
  std::int64_t rows;     // of the axis before the last, at most kTileRows
  std::int64_t columns;  // of the last axis, at most kTileColumns
};

std::int64_t num_tiles(const MoveCodesArgs& args);
MoveTile tile_at(const MoveCodesArgs& args, std::int64_t tile);

// Does the tiles [begin, end) of num_tiles(args).
void move_codes(const MoveCodesArgs& args, std::int64_t begin, std::int64_t end);
void move_codes_ref(const MoveCodesArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace hybridquant::kernels
