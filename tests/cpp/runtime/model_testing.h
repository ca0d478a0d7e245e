// Model files in memory, for tests: a graph and its arrays as JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/reference.h"
#include "runtime/json.h"
#include "runtime/model.h"
#include "runtime/session.h"

namespace hybridquant::runtime {

using Bytes = std::vector<std::byte>;
using Values = std::vector<std::int64_t>;

// Numbers of a tensor of the file, row-major.
struct Array {
  CodeType type;
  Shape shape;
  Values values;
};
using Arrays = std::map<std::string, Array>;

// The codes of a tensor: their type, the smallest, that of 0, and the largest.
struct CodeRange {
  CodeType type;
  std::int64_t lowest, zero_point, highest;
};

// Every code of a type of at most 32 bits.
inline CodeRange all_codes(CodeType type, std::int64_t zero_point = 0) {
  return {type, lowest_of(type), zero_point, highest_of(type)};
}

inline CodeType type_named(const std::string& name) {
  for (const auto type :
       {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16, CodeType::kInt32, CodeType::kInt64}) {
    if (name == type_name(type)) return type;
  }
  fail("no type is named ", name);
}

// As safetensors has it: "U8", "I32".
inline std::string stored_name(CodeType type) {
  return text(type == CodeType::kUInt8 ? "U" : "I", 8 * kernels::code_size(type));
}

inline void append(Bytes& bytes, CodeType type, const Values& values) {
  for (const std::int64_t value : values) {
    for (std::int64_t i = 0; i < kernels::code_size(type); ++i) {
      bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
    }
  }
}

// Two 4-bit numbers a byte, the first in the low half.
inline Values packed(const Values& numbers) {
  Values bytes((numbers.size() + 1) / 2);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    bytes[i / 2] |= (numbers[i] & 15) << (4 * (i % 2));
  }
  return bytes;
}

// A safetensors file.
inline Bytes container(const std::string& header, const Bytes& data = {}) {
  Bytes file;
  append(file, CodeType::kInt64, {static_cast<std::int64_t>(header.size())});
  const auto text = std::as_bytes(std::span(header));
  file.insert(file.end(), text.begin(), text.end());
  file.insert(file.end(), data.begin(), data.end());
  return file;
}

// The file of a document {"graph": ..., "arrays": {key: {"type", "shape", "values"}}}.
inline Bytes model_file(const Json& document) {
  Json header = {{"__metadata__",
                  {{"format", "hybridquant-integer"},
                   {"version", "1"},
                   {"graph", document.at("graph").dump()}}}};
  Bytes data;
  for (const auto& [key, array] : document.at("arrays").items()) {
    const auto begin = data.size();
    const CodeType type = type_named(array.at("type"));
    append(data, type, array.at("values").get<Values>());
    header[key] = {{"dtype", stored_name(type)},
                   {"shape", array.at("shape")},
                   {"data_offsets", {begin, data.size()}}};
  }
  return container(header.dump(), data);
}

// The text of the error that loading a file gives, or "nothing".
inline std::string error_of(const Bytes& file) {
  try {
    Model::parse(file);
  } catch (const ModelError& error) {
    return error.what();
  }
  return "nothing";
}

// One change of a document that makes it wrong, and a part of the error that loading it gives.
struct WrongField {
  const char* path;   // "/graph/nodes/0/op"; "-" at its end is behind the last of a list
  const char* value;  // JSON, or null: without the field
  const char* error;
};

inline Json changed(Json document, const WrongField& wrong) {
  const Json::json_pointer path(wrong.path);
  if (wrong.value != nullptr) {
    document[path] = Json::parse(wrong.value);
  } else if (Json& parent = document.at(path.parent_pointer()); parent.is_array()) {
    parent.erase(static_cast<std::size_t>(std::stoi(path.back())));
  } else {
    parent.erase(path.back());
  }
  return document;
}

// Builds a document node by node. The image is named "image".
class GraphBuilder {
 public:
  // image: [1, channels, height, width]
  explicit GraphBuilder(const Shape& image = {1, 1, 1, 1}) {
    document_["arrays"] = Json::object();
    Json& graph = document_["graph"];
    graph = {{"producer", "a test"},
             {"input", "image"},
             {"output", "image"},
             {"classes", Json::array()},
             {"preprocessing",
              {{"interpolation", "bicubic"}, {"crop_pct", 0.9}, {"crop_mode", "center"}}},
             {"tensors", Json::array()},
             {"nodes", Json::array()}};
    add_tensor("image", all_codes(CodeType::kUInt8), image);
  }

  void add_tensor(const std::string& name, const CodeRange& codes, const Shape& shape) {
    graph()["tensors"].push_back({{"name", name},
                                  {"shape", shape},
                                  {"dtype", type_name(codes.type)},
                                  {"scale", 0.5},
                                  {"zero_point", codes.zero_point},
                                  {"lowest", codes.lowest},
                                  {"highest", codes.highest},
                                  {"value", nullptr}});
  }

  // A tensor that has its codes from the file.
  void add_value(const std::string& name, const CodeRange& codes, const Shape& shape,
                 const Values& values) {
    add_tensor(name, codes, shape);
    graph()["tensors"].back()["value"] = "tensors." + name;
    add_array("tensors." + name, {codes.type, shape, values});
  }

  // A node that becomes the last; its output is a tensor that was added, and the graph's.
  void add_node(const std::string& op, const std::vector<std::string>& inputs,
                const std::string& output, const Json& attributes = Json::object(),
                const Arrays& constants = {}) {
    const std::string prefix = text("nodes.", graph()["nodes"].size(), ".");
    Json keys = Json::object();
    for (const auto& [name, array] : constants) {
      keys[name] = prefix + name;
      add_array(prefix + name, array);
    }
    graph()["nodes"].push_back({{"op", op},
                                {"inputs", inputs},
                                {"output", output},
                                {"path", "stem." + op},
                                {"attributes", attributes},
                                {"constants", keys}});
    graph()["output"] = output;
  }

  // Stores the weight of the last node, numbers of 4 bits, as two a byte.
  void pack_weight() {
    Json& entry = graph()["nodes"].back()["constants"]["weight"];
    Json& array = document_["arrays"][entry.get<std::string>()];
    entry = {{"key", entry}, {"bits", 4}, {"shape", array["shape"]}};
    const Values bytes = packed(array["values"]);
    array = {{"type", "uint8"}, {"shape", {bytes.size()}}, {"values", bytes}};
  }

  Json& graph() { return document_["graph"]; }
  Json& document() { return document_; }
  [[nodiscard]] Bytes file() const { return model_file(document_); }
  [[nodiscard]] Model model() const { return Model::parse(file()); }

 private:
  void add_array(const std::string& key, const Array& array) {
    document_["arrays"][key] = {
        {"type", type_name(array.type)}, {"shape", array.shape}, {"values", array.values}};
  }

  Json document_;
};

inline Values values_of(std::span<const std::byte> codes, CodeType type) {
  const Bytes aligned(codes.begin(), codes.end());
  Values values;
  const auto count = static_cast<std::int64_t>(codes.size()) / kernels::code_size(type);
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(kernels::read_code(aligned.data(), type, i));
  }
  return values;
}

// The codes of every tensor that a node computes, by name.
inline std::map<std::string, Values> traced(Session& session,
                                            const std::vector<std::uint8_t>& image) {
  std::map<std::string, Values> found;
  session.trace(image.data(),
                [&](std::size_t, const TensorInfo& tensor, std::span<const std::byte> codes) {
                  found[tensor.name] = values_of(codes, tensor.type);
                });
  return found;
}

}  // namespace hybridquant::runtime
