// A libFuzzer target: model files, changed byte by byte and field by field, are loaded and run.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "runtime/mutations.h"

using hybridquant::runtime::Bytes;

extern "C" {

std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned int seed);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::int64_t kLargestCost = 1 << 21;
  hybridquant::runtime::load_and_run(std::as_bytes(std::span(data, size)), kLargestCost);
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned int seed) {
  if (seed % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const auto bytes = std::as_bytes(std::span(data, size));
  const Bytes changed =
      hybridquant::runtime::Mutator(seed / 4).mutated({bytes.begin(), bytes.end()});
  if (changed.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::transform(changed.begin(), changed.end(), data,
                 [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
  return changed.size();
}
}
