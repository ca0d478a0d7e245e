// Functions of the program that runs a model, which its nodes `external` call by name: operators
// that stay in float.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>

#include "runtime/graph.h"

namespace hybridquant::runtime {

// Codes of an input, row-major, as its type is stored.
struct ExternalInput {
  const TensorInfo& tensor;
  std::span<const std::byte> codes;
};

// Writes codes of the output, row-major; those outside its range are clamped. What it throws ends
// the run. Sessions of several threads call it at once.
using External = std::function<void(std::span<const ExternalInput> inputs, const TensorInfo& output,
                                    std::span<std::byte> codes)>;
using Externals = std::map<std::string, External>;

}  // namespace hybridquant::runtime
