// Included inside a target's namespace; see targets/all-inl.h.

// panel[i][k] = centred code, for the `count` outer positions of a matrix that begins at x; zeros
// from depth to stride, the panel's row length.
template <typename Panel, typename Code>
static void pack_rows(Panel* __restrict panel, const Code* __restrict x,
                      const MatmulOperand& operand, std::int64_t count, std::int64_t depth,
                      std::int64_t stride) {
  const std::int64_t zero_point = operand.zero_point;
  // In steps of kGemmDepth, so that the other rows' neighbours stay in the cache.
  for (std::int64_t begin = 0; begin < depth; begin += kGemmDepth) {
    const std::int64_t length = depth - begin < kGemmDepth ? depth - begin : kGemmDepth;
    for (std::int64_t i = 0; i < count; ++i) {
      Panel* const row = panel + i * stride + begin;
      const Code* const from = x + i * operand.outer_stride + begin * operand.depth_stride;
      if (operand.depth_stride == 1) {
        for (std::int64_t k = 0; k < length; ++k) row[k] = static_cast<Panel>(from[k] - zero_point);
      } else {
        for (std::int64_t k = 0; k < length; ++k) {
          row[k] = static_cast<Panel>(from[k * operand.depth_stride] - zero_point);
        }
      }
    }
  }
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t k = depth; k < stride; ++k) panel[i * stride + k] = 0;
  }
}

template <typename Panel, typename Code>
static void pack_codes(Panel* panel, const MatmulOperand& operand, std::int64_t batch,
                       std::int64_t first, std::int64_t count, std::int64_t depth) {
  const std::int64_t offset = batch * operand.batch_stride + first * operand.outer_stride;
  pack_rows(panel, static_cast<const Code*>(operand.data) + offset, operand, count, depth,
            padded(depth, kGemmDepth));
}

template <typename Panel>
static void pack_operand(Panel* panel, const MatmulOperand& operand, std::int64_t batch,
                         std::int64_t first, std::int64_t count, std::int64_t depth) {
  if (operand.type == CodeType::kUInt8) {
    return pack_codes<Panel, std::uint8_t>(panel, operand, batch, first, count, depth);
  }
  if (operand.type == CodeType::kInt8) {
    return pack_codes<Panel, std::int8_t>(panel, operand, batch, first, count, depth);
  }
  if (operand.type == CodeType::kInt16) {
    return pack_codes<Panel, std::int16_t>(panel, operand, batch, first, count, depth);
  }
  pack_codes<Panel, std::int32_t>(panel, operand, batch, first, count, depth);
}

// The rows [begin, end) of one matrix and up to kGemmColumns columns.
template <typename Panel, typename Sum, typename Acc>
static void matmul_columns(const MatmulCodesArgs& args, std::int64_t batch, std::int64_t begin,
                           std::int64_t end, std::int64_t column, std::int64_t chunk) {
  const std::int64_t stride = padded(args.depth, kGemmDepth);
  const std::int64_t left = args.columns - column;
  const std::int64_t columns = left < kGemmColumns ? left : kGemmColumns;
  Panel* const a = static_cast<Panel*>(args.scratch);
  Panel* const b = a + kGemmRows * stride;
  Multiplier multipliers[kGemmColumns];
  for (Multiplier& by : multipliers)
    by = args.multiplier == nullptr ? Multiplier{} : *args.multiplier;
  pack_operand(b, args.b, batch, column, columns, args.depth);
  for (std::int64_t i = columns * stride; i < padded(columns, kGemmTile) * stride; ++i) b[i] = 0;
  for (std::int64_t row = begin; row < end; row += kGemmRows) {
    const std::int64_t rows = end - row < kGemmRows ? end - row : kGemmRows;
    Acc acc[kGemmRows * kGemmColumns] = {};
    pack_operand(a, args.a, batch, row, rows, args.depth);
    add_products<Sum>(acc, a, b, rows, columns, stride, chunk);
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t offset =
          batch * args.y_batch_stride + (row + i) * args.y_row_stride + column;
      store_results(static_cast<std::uint8_t*>(args.y) + offset * code_size(args.y_type),
                    args.y_type, acc + i * kGemmColumns, columns,
                    args.multiplier == nullptr ? nullptr : multipliers, args.codes);
    }
  }
}

template <typename Panel, typename Sum, typename Acc>
static void matmul_rows(const MatmulCodesArgs& args, std::int64_t begin, std::int64_t end,
                        std::int64_t chunk) {
  for (std::int64_t i = begin; i < end;) {
    const std::int64_t batch = i / args.rows;
    const std::int64_t first = batch * args.rows;
    const std::int64_t stop = end < first + args.rows ? end : first + args.rows;
    for (std::int64_t column = 0; column < args.columns; column += kGemmColumns) {
      matmul_columns<Panel, Sum, Acc>(args, batch, i - first, stop - first, column, chunk);
    }
    i = stop;
  }
}

// Do centred codes fit int16?
static inline bool is_narrow(const MatmulOperand& operand) {
  if (operand.type == CodeType::kInt16) return operand.zero_point == 0;
  return code_size(operand.type) == 1;
}

static void matmul_codes(const MatmulCodesArgs& args, std::int64_t begin, std::int64_t end) {
  const bool fits_int32 = args.accumulator_type == CodeType::kInt32;
  const std::int64_t whole = padded(args.depth, kGemmDepth);
  const std::int64_t bytes = code_size(args.a.type) + code_size(args.b.type);
  if (!is_narrow(args.a) || !is_narrow(args.b) || (bytes == 4 && !fits_int32)) {
    return matmul_rows<std::int32_t, std::int64_t, std::int64_t>(args, begin, end, whole);
  }
  if (fits_int32) {
    return matmul_rows<std::int16_t, std::int32_t, std::uint32_t>(args, begin, end, whole);
  }
  // 2^15 * 255 * 255 and 2^8 * 255 * 2^15 are below 2^31.
  matmul_rows<std::int16_t, std::int32_t, std::int64_t>(args, begin, end,
                                                        bytes == 2 ? 1 << 15 : 1 << 8);
}
