// The constants of a node, as its compiler reads them.
#include "runtime/compiler.h"

namespace hybridquant::runtime {

namespace {

// Bits of a packed weight.
constexpr std::int64_t kPackedBits = 4;

// Two 4-bit codes a byte, the first in the low half.
std::vector<std::int8_t> unpacked(std::span<const std::byte> bytes, std::int64_t count) {
  std::vector<std::int8_t> codes(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto half = (std::to_integer<std::uint32_t>(bytes[i / 2]) >> (4 * (i % 2))) & 0xFU;
    codes[i] = static_cast<std::int8_t>(static_cast<int>(half) - (half > 7 ? 16 : 0));
  }
  return codes;
}

}  // namespace

bool Compiler::has_constant(const std::string& name) const {
  return node_->constants.contains(name);
}

const ConstantInfo& Compiler::constant(const std::string& name) const {
  const auto found = node_->constants.find(name);
  require(found != node_->constants.end(), where_, ": must have the constant '", name, "'");
  return found->second;
}

Shape Compiler::constant_shape(const std::string& name) const {
  const ConstantInfo& info = constant(name);
  return info.bits == 0 ? file_.find(info.key, where_).shape : info.shape;
}

const StoredTensor& Compiler::stored(const std::string& name) {
  const ConstantInfo& info = constant(name);
  used_constants_.insert(name);
  require(info.bits == 0, where_, ": constant '", name, "' must not be packed");
  return file_.tensor(info.key, where_);
}

template <typename T>
std::vector<T> Compiler::elements(const std::string& name, const Shape& shape, CodeType type) {
  const StoredTensor& tensor = stored(name);
  require(tensor.type == type && tensor.shape == shape, where_, ": constant '", name, "' must be ",
          type_name(type), " ", list_text(shape), ", got ", type_name(tensor.type), " ",
          list_text(tensor.shape));
  return elements_of<T>(tensor);
}

std::vector<std::int8_t> Compiler::int8s(const std::string& name, const Shape& shape) {
  const ConstantInfo& info = constant(name);
  if (info.bits == 0) return elements<std::int8_t>(name, shape, CodeType::kInt8);
  used_constants_.insert(name);
  const StoredTensor& tensor = file_.tensor(info.key, where_);
  const std::int64_t count = num_elements(shape);
  const Shape packed = {(count * kPackedBits + 7) / 8};
  require(info.shape == shape && tensor.type == CodeType::kUInt8 && tensor.shape == packed, where_,
          ": constant '", name, "' must be packed codes of shape ", list_text(shape), " in uint8 ",
          list_text(packed), ", got ", list_text(info.shape), " in ", type_name(tensor.type), " ",
          list_text(tensor.shape));
  const int rest = std::to_integer<int>(tensor.bytes.back()) >> kPackedBits;
  require(count % 2 == 0 || rest == 0, where_, ": constant '", name,
          "' must end with 4 bits of 0, got ", rest);
  return unpacked(tensor.bytes, count);
}

std::vector<std::int32_t> Compiler::int32s(const std::string& name, const Shape& shape) {
  return elements<std::int32_t>(name, shape, CodeType::kInt32);
}

std::vector<std::int64_t> Compiler::int64s(const std::string& name, const Shape& shape) {
  return elements<std::int64_t>(name, shape, CodeType::kInt64);
}

std::vector<kernels::Multiplier> Compiler::multipliers(std::int64_t count) {
  const auto m = int32s("m", {count});
  const auto shift = int32s("shift", {count});
  std::vector<kernels::Multiplier> factors;
  for (std::size_t i = 0; i < m.size(); ++i) {
    require(m[i] >= 0, where_, ": m must be 0 to ", highest_of(CodeType::kInt32), ", got ", m[i]);
    require(shift[i] >= 1 && shift[i] <= 62, where_, ": shift must be 1 to 62, got ", shift[i]);
    factors.push_back({m[i], shift[i]});
  }
  return factors;
}

}  // namespace hybridquant::runtime
