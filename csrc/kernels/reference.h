// What the reference kernels share: tensors of any code type, one element at a time. For *_ref
// only; never included by code that is compiled per instruction set.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <limits>

#include "kernels/strided.h"

namespace hybridquant::kernels {

inline std::int64_t read_code(const void* data, CodeType type, std::int64_t i) {
  switch (type) {
    case CodeType::kUInt8:
      return static_cast<const std::uint8_t*>(data)[i];
    case CodeType::kInt8:
      return static_cast<const std::int8_t*>(data)[i];
    case CodeType::kInt16:
      return static_cast<const std::int16_t*>(data)[i];
    case CodeType::kInt32:
      return static_cast<const std::int32_t*>(data)[i];
    case CodeType::kInt64:
      break;
  }
  return static_cast<const std::int64_t*>(data)[i];
}

template <typename Code>
void write_as(void* data, std::int64_t i, std::int64_t code) {
  assert(code >= std::numeric_limits<Code>::min() && code <= std::numeric_limits<Code>::max());
  static_cast<Code*>(data)[i] = static_cast<Code>(code);
}

inline void write_code(void* data, CodeType type, std::int64_t i, std::int64_t code) {
  if (type == CodeType::kUInt8) return write_as<std::uint8_t>(data, i, code);
  if (type == CodeType::kInt8) return write_as<std::int8_t>(data, i, code);
  if (type == CodeType::kInt16) return write_as<std::int16_t>(data, i, code);
  if (type == CodeType::kInt32) return write_as<std::int32_t>(data, i, code);
  write_as<std::int64_t>(data, i, code);
}

// The smallest number that an 8 or 16-bit code type holds.
inline std::int64_t smallest_code(CodeType type) {
  if (type == CodeType::kUInt8) return 0;
  return type == CodeType::kInt8 ? -128 : -32768;
}

// Where a position lies in an operand: its coordinates times the strides.
inline std::int64_t offset_at(const std::int64_t* position, const std::int64_t* strides) {
  std::int64_t offset = 0;
  for (int axis = 0; axis < kNumAxes; ++axis) offset += position[axis] * strides[axis];
  return offset;
}

inline std::int64_t centred_code(const InputCodes& x, const std::int64_t* position) {
  return read_code(x.data, x.type, offset_at(position, x.strides)) - x.zero_point;
}

// Writes clamp(zero_point + result).
inline void write_result(const OutputView& q, const std::int64_t* position, std::int64_t result,
                         const OutputCodes& codes) {
  write_code(q.data, q.type, offset_at(position, q.strides),
             clamp_code(codes.zero_point + result, codes.lowest, codes.highest));
}

// Requantizes an accumulator within its bound: the result fits in 64 bits.
inline std::int64_t requantize_bounded(std::int64_t a, Multiplier by, Rounding rounding) {
  [[maybe_unused]] const std::int64_t bound = std::int64_t{1} << (by.shift < 16 ? 32 : 47);
  assert(a > -bound && a < bound);
  return requantize(a, by, rounding);
}

// Calls visit(position) for every element of the runs [begin, end) of a view; position is
// [kNumAxes].
template <typename Visit>
void for_each_position(const std::int64_t* sizes, std::int64_t begin, std::int64_t end,
                       Visit visit) {
  const std::int64_t last_size = sizes[kNumAxes - 1];
  for (std::int64_t run = begin; run < end; ++run) {
    std::int64_t position[kNumAxes];
    const std::int64_t start = run % runs_per_row(last_size) * kRunSize;
    std::int64_t row = run / runs_per_row(last_size);
    for (int axis = kNumAxes - 2; axis >= 0; --axis) {
      position[axis] = row % sizes[axis];
      row /= sizes[axis];
    }
    for (std::int64_t i = start; i < std::min(start + kRunSize, last_size); ++i) {
      position[kNumAxes - 1] = i;
      visit(static_cast<const std::int64_t*>(position));
    }
  }
}

}  // namespace hybridquant::kernels
