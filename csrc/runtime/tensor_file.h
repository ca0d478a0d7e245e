// The container of a model file: safetensors, with integer tensors only. docs/format.md is the
// rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "kernels/codes.h"
#include "runtime/error.h"

namespace hybridquant::runtime {

using kernels::CodeType;
using Shape = std::vector<std::int64_t>;

inline constexpr std::int64_t kLargestRank = 6;

const char* type_name(CodeType type);
// Smallest and largest number of a type.
std::int64_t lowest_of(CodeType type);
std::int64_t highest_of(CodeType type);
// Product of the sizes.
std::int64_t num_elements(const Shape& shape);

// A tensor's place in the file; its elements are in row-major order, little-endian, not aligned.
struct StoredTensor {
  CodeType type;
  Shape shape;
  std::span<const std::byte> bytes;
};

class TensorFile {
 public:
  // Parses a whole file, which must outlive the object.
  // Throws ModelError where it is not a safetensors file of integer tensors.
  explicit TensorFile(std::span<const std::byte> file);

  // The text of a metadata key; throws ModelError where there is none.
  [[nodiscard]] const std::string& metadata(const std::string& key) const;
  // All texts by their keys.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // Throws ModelError where there is none; `user` names who asks.
  [[nodiscard]] const StoredTensor& find(const std::string& key, const std::string& user) const;
  // The same for the one who uses it. Throws ModelError where another does already.
  const StoredTensor& tensor(const std::string& key, const std::string& user);

  // Throws ModelError where a tensor was never asked for.
  void check_all_used() const;

 private:
  struct Entry {
    StoredTensor tensor;
    bool is_used;
  };

  std::map<std::string, std::string> metadata_;
  std::map<std::string, Entry> entries_;
};

// The bytes of a file. Throws ModelError where it cannot be read, or is larger than any model.
std::vector<std::byte> read_file(const std::string& path);

}  // namespace hybridquant::runtime
