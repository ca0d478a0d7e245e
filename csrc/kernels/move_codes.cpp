#include "kernels/move_codes.h"

#include <algorithm>

#include "kernels/reference.h"

namespace hybridquant::kernels {

namespace {

constexpr int kRow = kNumAxes - 2;
constexpr int kColumn = kNumAxes - 1;

std::int64_t num_row_tiles(const MoveCodesArgs& args) {
  return (args.sizes[kRow] + kTileRows - 1) / kTileRows;
}

std::int64_t num_column_tiles(const MoveCodesArgs& args) {
  return (args.sizes[kColumn] + kTileColumns - 1) / kTileColumns;
}

}  // namespace

std::int64_t num_tiles(const MoveCodesArgs& args) {
  std::int64_t tiles = num_row_tiles(args) * num_column_tiles(args);
  for (int axis = 0; axis < kRow; ++axis) tiles *= args.sizes[axis];
  return tiles;
}

MoveTile tile_at(const MoveCodesArgs& args, std::int64_t tile) {
  std::int64_t position[kNumAxes];
  position[kColumn] = tile % num_column_tiles(args) * kTileColumns;
  tile /= num_column_tiles(args);
  position[kRow] = tile % num_row_tiles(args) * kTileRows;
  tile /= num_row_tiles(args);
  for (int axis = kRow - 1; axis >= 0; --axis) {
    position[axis] = tile % args.sizes[axis];
    tile /= args.sizes[axis];
  }
  return {offset_at(position, args.q_strides), offset_at(position, args.x_strides),
          std::min(kTileRows, args.sizes[kRow] - position[kRow]),
          std::min(kTileColumns, args.sizes[kColumn] - position[kColumn])};
}

void move_codes_ref(const MoveCodesArgs& args, std::int64_t begin, std::int64_t end) {
  for (std::int64_t index = begin; index < end; ++index) {
    const MoveTile tile = tile_at(args, index);
    for (std::int64_t row = 0; row < tile.rows; ++row) {
      for (std::int64_t column = 0; column < tile.columns; ++column) {
        const std::int64_t to =
            tile.q_offset + row * args.q_strides[kRow] + column * args.q_strides[kColumn];
        const std::int64_t from =
            tile.x_offset + row * args.x_strides[kRow] + column * args.x_strides[kColumn];
        write_code(args.q, args.type, to, read_code(args.x, args.type, from));
      }
    }
  }
}

}  // namespace hybridquant::kernels
