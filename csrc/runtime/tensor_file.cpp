#include "runtime/tensor_file.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <system_error>
#include <utility>

#include "runtime/json.h"

namespace hybridquant::runtime {

namespace {

constexpr std::uint64_t kPrefixBytes = 8;
constexpr std::uint64_t kLargestHeader = 1 << 24;
constexpr std::int64_t kLargestFile = std::int64_t{1} << 30;
constexpr std::int64_t kLargestSize = std::int64_t{1} << 31;

struct TypeNames {
  CodeType type;
  const char* name;    // as the graph has it
  const char* stored;  // as safetensors has it
};

constexpr TypeNames kTypes[] = {
    {CodeType::kUInt8, "uint8", "U8"},  {CodeType::kInt8, "int8", "I8"},
    {CodeType::kInt16, "int16", "I16"}, {CodeType::kInt32, "int32", "I32"},
    {CodeType::kInt64, "int64", "I64"},
};

CodeType stored_type(const std::string& name, const std::string& where) {
  for (const TypeNames& names : kTypes) {
    if (name == names.stored) return names.type;
  }
  fail(where, ": dtype must be U8, I8, I16, I32 or I64, got ", name);
}

// Sizes of a stored tensor: 1 to 2^31 - 1 elements.
Shape stored_shape(const Json& value, const std::string& where) {
  Shape shape = read_ints(value, where + ": shape", 1, kLargestSize - 1);
  require(shape.size() <= kLargestRank, where, ": shape must have at most ", kLargestRank,
          " axes, got ", list_text(shape));
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) {
    elements *= size;
    require(elements < kLargestSize, where, ": shape must have fewer than 2^31 elements, got ",
            list_text(shape));
  }
  return shape;
}

// The header's text, checked to lie within the file.
std::string header_text(std::span<const std::byte> file) {
  require(file.size() >= kPrefixBytes, "model file: must be at least 8 bytes long, got ",
          file.size());
  std::uint64_t length = 0;
  for (std::uint64_t i = 0; i < kPrefixBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  }
  require(length <= kLargestHeader, "model file: the header must be at most ", kLargestHeader,
          " bytes long, got ", length);
  require(length <= file.size() - kPrefixBytes, "model file: the header of ", length,
          " bytes must lie within the file's ", file.size(), " bytes; is the file cut off?");
  const auto* const begin = reinterpret_cast<const char*>(file.data()) + kPrefixBytes;
  return {begin, begin + length};
}

struct Range {
  std::int64_t begin, end;
  std::string where;
};

// Throws where tensors do not lie one behind the other from the first byte to the last.
void check_ranges(std::vector<Range> ranges, std::int64_t size) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::int64_t end = 0;
  for (const Range& range : ranges) {
    require(range.begin == end, range.where, ": data_offsets must begin at ", end, ", got ",
            range.begin);
    end = range.end;
  }
  require(end == size, "model file: tensors must end at byte ", size, " of the data, got ", end);
}

}  // namespace

const char* type_name(CodeType type) {
  return std::find_if(std::begin(kTypes), std::end(kTypes),
                      [=](const TypeNames& names) { return names.type == type; })
      ->name;
}

std::int64_t lowest_of(CodeType type) {
  if (type == CodeType::kUInt8) return 0;
  return -highest_of(type) - 1;
}

std::int64_t highest_of(CodeType type) {
  switch (type) {
    case CodeType::kUInt8:
      return std::numeric_limits<std::uint8_t>::max();
    case CodeType::kInt8:
      return std::numeric_limits<std::int8_t>::max();
    case CodeType::kInt16:
      return std::numeric_limits<std::int16_t>::max();
    case CodeType::kInt32:
      return std::numeric_limits<std::int32_t>::max();
    case CodeType::kInt64:
      break;
  }
  return std::numeric_limits<std::int64_t>::max();
}

std::int64_t num_elements(const Shape& shape) {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) elements *= size;
  return elements;
}

TensorFile::TensorFile(std::span<const std::byte> file) {
  const std::string header = header_text(file);
  const auto data = file.subspan(kPrefixBytes + header.size());
  const auto size = static_cast<std::int64_t>(data.size());
  const Json root = parse_json(header, "model file: header");
  require(root.is_object(), "model file: header must be an object");
  std::vector<Range> ranges;
  for (const auto& [key, value] : root.items()) {
    if (key == "__metadata__") {
      require(value.is_object(), "__metadata__ must be an object");
      for (const auto& [name, entry] : value.items()) {
        metadata_[name] = read_string(entry, "__metadata__." + name);
      }
      continue;
    }
    const std::string where = "tensor '" + key + "'";
    Fields fields(value, where);
    const CodeType type = stored_type(read_string(fields["dtype"], where + ": dtype"), where);
    Shape shape = stored_shape(fields["shape"], where);
    const auto offsets = read_ints(fields["data_offsets"], where + ": data_offsets", 0, size);
    fields.finish();
    const std::int64_t bytes = num_elements(shape) * kernels::code_size(type);
    require(offsets.size() == 2 && offsets[1] - offsets[0] == bytes, where,
            ": data_offsets must be two numbers ", bytes,
            " apart, as shape and dtype ask for, got ", list_text(offsets));
    ranges.push_back({offsets[0], offsets[1], where});
    const auto place =
        data.subspan(static_cast<std::size_t>(offsets[0]), static_cast<std::size_t>(bytes));
    entries_[key] = {{type, std::move(shape), place}, false};
  }
  check_ranges(std::move(ranges), size);
}

const std::string& TensorFile::metadata(const std::string& key) const {
  const auto found = metadata_.find(key);
  require(found != metadata_.end(), "model file: __metadata__ must have '", key,
          "'; this safetensors file is no integer model");
  return found->second;
}

const StoredTensor& TensorFile::find(const std::string& key, const std::string& user) const {
  const auto found = entries_.find(key);
  require(found != entries_.end(), user, ": tensor '", key, "' must be in the file, and is not");
  return found->second.tensor;
}

const StoredTensor& TensorFile::tensor(const std::string& key, const std::string& user) {
  const auto found = entries_.find(key);
  require(found != entries_.end(), user, ": tensor '", key, "' must be in the file, and is not");
  require(!found->second.is_used, user, ": tensor '", key, "' must have one user, and has another");
  found->second.is_used = true;
  return found->second.tensor;
}

void TensorFile::check_all_used() const {
  for (const auto& [key, entry] : entries_) {
    require(entry.is_used, "tensor '", key, "' must belong to a node or tensor of the graph");
  }
}

std::vector<std::byte> read_file(const std::string& path) {
  // A folder can be opened. What cannot even be looked at cannot.
  std::error_code error;
  require(!std::filesystem::is_directory(path, error), path, ": must be a file, not a folder");
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  require(file.good(), path, ": cannot be opened");
  const std::streamoff size = file.tellg();
  require(size >= 0 && file.good(), path, ": cannot be read; is it a file?");
  require(size <= kLargestFile, path, ": must have at most ", kLargestFile, " bytes, got ", size);
  std::vector<std::byte> bytes;
  try {
    bytes.resize(static_cast<std::size_t>(size));
  } catch (const std::exception&) {
    fail(path, ": must fit into memory, got ", size, " bytes");
  }
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), size);
  require(file.gcount() == size, path, ": cannot be read");
  return bytes;
}

}  // namespace hybridquant::runtime
