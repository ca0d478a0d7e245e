// Checks of what callers give. A failed check is a std::runtime_error: the one exception that every
// torch since 2.10 carries through the stable ABI. The Python functions make it a ValueError or
// TypeError.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <sstream>
#include <stdexcept>
#include <string>

namespace hybridquant::ops {

template <typename... Parts>
std::string join(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

template <typename... Parts>
void check(bool is_valid, const Parts&... parts) {
  if (!is_valid) throw std::runtime_error(join(parts...));
}

// The dtype as Python writes it, without "torch.".
inline std::string dtype_name(const torch::stable::Tensor& tensor) {
  using torch::headeronly::ScalarType;
  switch (tensor.scalar_type()) {
    case ScalarType::Byte:
      return "uint8";
    case ScalarType::Char:
      return "int8";
    case ScalarType::Short:
      return "int16";
    case ScalarType::Int:
      return "int32";
    case ScalarType::Long:
      return "int64";
    case ScalarType::Half:
      return "float16";
    case ScalarType::BFloat16:
      return "bfloat16";
    case ScalarType::Float:
      return "float32";
    case ScalarType::Double:
      return "float64";
    case ScalarType::Bool:
      return "bool";
    default:
      return torch::headeronly::toString(tensor.scalar_type());
  }
}

}  // namespace hybridquant::ops
