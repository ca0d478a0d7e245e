// Included inside a target's namespace; see targets/all-inl.h.

// A square of at most kTileRows rows and columns that is contiguous along the rows of x and along
// the columns of q. It goes through a buffer: lines of x that are a large power of two apart would
// push each other out of the cache before they are used up.
template <typename Code>
static inline void transpose_square(Code* __restrict q, std::int64_t q_row,
                                    const Code* __restrict x, std::int64_t x_column,
                                    std::int64_t rows, std::int64_t columns) {
  Code square[kTileRows][kTileRows];
  for (std::int64_t i = 0; i < columns; ++i) {
    for (std::int64_t row = 0; row < rows; ++row) square[i][row] = x[i * x_column + row];
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < columns; ++i) q[row * q_row + i] = square[i][row];
  }
}

template <typename Code>
static void move_tile(Code* __restrict q, const Code* __restrict x, const MoveCodesArgs& args,
                      std::int64_t rows, std::int64_t columns) {
  const std::int64_t q_row = args.q_strides[kNumAxes - 2];
  const std::int64_t x_row = args.x_strides[kNumAxes - 2];
  const std::int64_t q_column = args.q_strides[kNumAxes - 1];
  const std::int64_t x_column = args.x_strides[kNumAxes - 1];
  if (q_column == 1 && x_column == 1) {
    for (std::int64_t row = 0; row < rows; ++row) {
      __builtin_memcpy(q + row * q_row, x + row * x_row,
                       static_cast<std::size_t>(columns) * sizeof(Code));
    }
  } else if (q_column == 1 && x_row == 1) {
    for (std::int64_t start = 0; start < columns; start += kTileRows) {
      const std::int64_t left = columns - start;
      transpose_square(q + start, q_row, x + start * x_column, x_column, rows,
                       left < kTileRows ? left : kTileRows);
    }
  } else {
    for (std::int64_t row = 0; row < rows; ++row) {
      Code* const to = q + row * q_row;
      const Code* const from = x + row * x_row;
      for (std::int64_t i = 0; i < columns; ++i) to[i * q_column] = from[i * x_column];
    }
  }
}

template <typename Code>
static void move_tiles(const MoveCodesArgs& args, std::int64_t begin, std::int64_t end) {
  for (std::int64_t index = begin; index < end; ++index) {
    const MoveTile tile = tile_at(args, index);
    move_tile(static_cast<Code*>(args.q) + tile.q_offset,
              static_cast<const Code*>(args.x) + tile.x_offset, args, tile.rows, tile.columns);
  }
}

static void move_codes(const MoveCodesArgs& args, std::int64_t begin, std::int64_t end) {
  switch (code_size(args.type)) {
    case 1:
      return move_tiles<std::uint8_t>(args, begin, end);
    case 2:
      return move_tiles<std::int16_t>(args, begin, end);
    case 4:
      return move_tiles<std::int32_t>(args, begin, end);
    default:
      return move_tiles<std::int64_t>(args, begin, end);
  }
}
