// Tensors of codes and helpers that the tests of element-wise integer kernels share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels/affine_testing.h"
#include "kernels/reference.h"
#include "kernels/strided.h"

namespace hybridquant::kernels {

inline const std::vector<CodeType> kNarrowTypes = {CodeType::kUInt8, CodeType::kInt8,
                                                   CodeType::kInt16};
inline const std::vector<CodeType> kAllTypes = {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16,
                                                CodeType::kInt32, CodeType::kInt64};

struct Limits {
  std::int64_t lowest;
  std::int64_t highest;
};

// What a type holds; wider types are kept within what every kernel accepts.
inline Limits limits_of(CodeType type) {
  switch (type) {
    case CodeType::kUInt8:
      return {0, 255};
    case CodeType::kInt8:
      return {-128, 127};
    case CodeType::kInt16:
      return {-32768, 32767};
    case CodeType::kInt32:
    case CodeType::kInt64:
      break;
  }
  return {-(std::int64_t{1} << 30), std::int64_t{1} << 30};
}

// [size] codes of a type.
class Codes {
 public:
  Codes(CodeType type, const std::vector<std::int64_t>& values)
      : Codes(static_cast<std::int64_t>(values.size()), type) {
    for (std::int64_t i = 0; i < size_; ++i) set(i, values[static_cast<std::size_t>(i)]);
  }

  static Codes zeros(CodeType type, std::int64_t size) { return {size, type}; }

  // Random ones, with the extremes among them.
  static Codes random(CodeType type, std::int64_t size, std::uint32_t seed) {
    Codes codes(size, type);
    std::mt19937 generator(seed);
    const Limits limits = limits_of(type);
    std::uniform_int_distribution<std::int64_t> any(limits.lowest, limits.highest);
    for (std::int64_t i = 0; i < size; ++i) {
      const std::uint32_t kind = generator() % 8;
      codes.set(i, kind == 0 ? limits.lowest : kind == 1 ? limits.highest : any(generator));
    }
    return codes;
  }

  [[nodiscard]] CodeType type() const { return type_; }
  [[nodiscard]] std::int64_t size() const { return size_; }
  [[nodiscard]] void* data() { return bytes_.data(); }
  [[nodiscard]] const void* data() const { return bytes_.data(); }
  [[nodiscard]] std::int64_t at(std::int64_t i) const { return read_code(data(), type_, i); }
  void set(std::int64_t i, std::int64_t code) { write_code(data(), type_, i, code); }

  [[nodiscard]] std::vector<std::int64_t> values() const {
    std::vector<std::int64_t> values;
    for (std::int64_t i = 0; i < size_; ++i) values.push_back(at(i));
    return values;
  }

  bool operator==(const Codes& other) const = default;

 private:
  Codes(std::int64_t size, CodeType type)
      : type_(type), size_(size), bytes_(static_cast<std::size_t>(size * code_size(type))) {}

  CodeType type_;
  std::int64_t size_;
  std::vector<std::uint8_t> bytes_;
};

inline std::ostream& operator<<(std::ostream& out, const Codes& codes) {
  for (std::int64_t i = 0; i < std::min<std::int64_t>(codes.size(), 64); ++i) {
    out << codes.at(i) << " ";
  }
  return out;
}

// Codes that fill a type.
inline OutputCodes full_range(CodeType type, std::int32_t zero_point, Rounding rounding) {
  const Limits limits = limits_of(type);
  return {zero_point, static_cast<std::int32_t>(limits.lowest),
          static_cast<std::int32_t>(limits.highest), rounding};
}

// Sizes around the registers and the runs.
inline const std::vector<std::int64_t> kRunSizes = {0,  1,  2,  7,   8,   15,  16,   17,
                                                    31, 33, 64, 511, 512, 513, 1100, 2048};

// A tensor within the axes of a view, with room between its elements, in any order of axes.
struct Tensor {
  Codes codes;
  std::int32_t zero_point;
  std::vector<std::int64_t> strides;  // [kNumAxes]

  [[nodiscard]] InputCodes input() const {
    InputCodes x{codes.data(), codes.type(), zero_point, {}};
    std::copy(strides.begin(), strides.end(), x.strides);
    return x;
  }

  OutputView output() {
    OutputView q{codes.data(), codes.type(), {}};
    std::copy(strides.begin(), strides.end(), q.strides);
    return q;
  }
};

// A dense tensor.
inline Tensor dense_tensor(const Codes& codes, const std::vector<std::int64_t>& sizes,
                           std::int32_t zero_point = 0) {
  Tensor tensor{codes, zero_point, std::vector<std::int64_t>(kNumAxes)};
  std::int64_t stride = 1;
  for (std::size_t axis = kNumAxes; axis-- > 0; stride *= sizes[axis]) {
    tensor.strides[axis] = stride;
  }
  return tensor;
}

// Random codes, zero-point and strides. Outputs are not broadcast.
inline Tensor random_tensor(CodeType type, const std::vector<std::int64_t>& sizes, bool is_output,
                            std::mt19937& random) {
  const Limits limits = limits_of(type);
  std::vector<std::int64_t> strides(kNumAxes);
  std::vector<std::size_t> order(kNumAxes);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (random() % 2 == 0) std::shuffle(order.begin(), order.end(), random);
  std::int64_t stride = random() % 4 == 0 ? 2 : 1;
  for (std::size_t i = kNumAxes; i-- > 0;) {
    const bool is_broadcast = !is_output && random() % 4 == 0;
    strides[order[i]] = is_broadcast ? 0 : stride;
    if (!is_broadcast) stride = stride * sizes[order[i]] + static_cast<int>(random() % 2);
  }
  std::int32_t zero_point = 0;
  if (code_size(type) < 4) {
    std::uniform_int_distribution<std::int64_t> any(limits.lowest, limits.highest);
    zero_point = static_cast<std::int32_t>(any(random));
  }
  const auto seed = static_cast<std::uint32_t>(random());
  return {Codes::random(type, stride + 1, seed), zero_point, strides};
}

// Sizes of up to six axes; the last is about a run now and then.
inline std::vector<std::int64_t> random_sizes(std::mt19937& random) {
  std::vector<std::int64_t> sizes(kNumAxes, 1);
  for (std::size_t axis = 0; axis < kNumAxes; ++axis) {
    if (random() % 2 == 0) sizes[axis] = static_cast<std::int64_t>(1 + random() % 4);
  }
  if (random() % 2 == 0) sizes.back() = kRunSizes[random() % kRunSizes.size()];
  return sizes;
}

inline const std::vector<Rounding> kRoundings = {Rounding::kSingle, Rounding::kHalfEven,
                                                 Rounding::kDouble};

// Any multiplier that lowering makes, and some that it does not.
inline Multiplier random_multiplier(std::mt19937& random) {
  std::uniform_int_distribution<std::int32_t> m(-2147483647, 2147483647);
  return {m(random), static_cast<std::int32_t>(1 + random() % 62)};
}

// Runs a kernel over [0, blocks) in three parts, as three threads would.
template <typename Kernel, typename Args>
void run_in_parts(Kernel kernel, const Args& args, std::int64_t blocks) {
  const std::int64_t third = blocks / 3;
  kernel(args, 2 * third, blocks);
  kernel(args, 0, third);
  kernel(args, third, 2 * third);
}

}  // namespace hybridquant::kernels
