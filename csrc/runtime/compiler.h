// What the nodes' compilers work with: checked inputs, attributes and constants of a node on one
// side, buffers and steps of the program on the other.
#pragma once

#include <cstring>
#include <initializer_list>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "kernels/codes.h"
#include "kernels/move_codes.h"
#include "kernels/strided.h"
#include "runtime/attributes.h"
#include "runtime/external.h"
#include "runtime/graph.h"
#include "runtime/program.h"

namespace hybridquant::runtime {

class Compiler {
 public:
  Compiler(const Graph& graph, TensorFile& file, const Externals& externals = {})
      : graph_(graph), file_(file), externals_(externals) {}

  // Throws ModelError.
  Program run();

  // The node that is compiled, for errors.
  [[nodiscard]] const std::string& where() const { return where_; }
  [[nodiscard]] const std::string& op() const { return node_->op; }
  Attributes& attributes() { return *attributes_; }
  [[nodiscard]] const TensorInfo& output() const;
  [[nodiscard]] const TensorInfo& input_info(std::size_t position) const;
  // A function of the program that runs the model. Throws where it has none of that name.
  [[nodiscard]] const External& external(const std::string& name) const;

  // The inputs, `count` of them.
  std::vector<Value> inputs(std::size_t count);
  // All inputs, at least one.
  std::vector<Value> inputs();

  // Throws where the output's shape is not `shape`.
  void check_output(const Shape& shape) const;
  // Throws where the output is of none of `types`.
  void check_output_type(std::initializer_list<CodeType> types) const;
  // Throws where the type of a value is none of `types`; `what` names it.
  void check_type(const Value& value, const char* what,
                  std::initializer_list<CodeType> types) const;
  // Throws where the codes of a value do not mean what those of the output do.
  void check_same_codes(const Value& value, const char* what) const;
  // How results become codes of the output, which is not int64.
  [[nodiscard]] kernels::OutputCodes output_codes() const;
  // The same by the rule of the attribute rounding, for a multiplier or for several inputs.
  kernels::OutputCodes rounded_codes(bool has_one_factor = true);

  // A constant of the node as a vector. Throws where it is missing or has another type or shape.
  std::vector<std::int8_t> int8s(const std::string& name, const Shape& shape);
  std::vector<std::int32_t> int32s(const std::string& name, const Shape& shape);
  std::vector<std::int64_t> int64s(const std::string& name, const Shape& shape);
  // The constants m and shift, int32 [count], as factors.
  std::vector<kernels::Multiplier> multipliers(std::int64_t count);
  [[nodiscard]] bool has_constant(const std::string& name) const;
  // Shape of a constant, also of a packed one. Throws where it is missing.
  Shape constant_shape(const std::string& name) const;
  // A constant as it is stored.
  const StoredTensor& stored(const std::string& name);

  // A new buffer for the output, laid out as `view`, which has its element 0 at the start.
  Value allocate(const View& view);
  // The same for the codes of another value.
  Value allocate_for(const Value& value, const View& view);
  // Throws where `bytes` more would be too much for the constants of a graph. To be called before
  // those are made that take more than they do in the file.
  void check_constants(std::int64_t bytes) const;
  // A buffer of constant bytes that steps read.
  int add_constant(std::vector<std::byte> bytes);
  template <typename T>
  int add_constants(const std::vector<T>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    return add_constant({bytes.begin(), bytes.end()});
  }
  // Counts constants that a step keeps to itself.
  void count_constants(std::int64_t bytes);
  // Adds a step that copies a value into another.
  void copy(const Value& from, const Value& to);
  // The value in a buffer of its own, laid out as `view`.
  Value copied(const Value& value, const View& view);
  // The value as it is if `is_good`, else a row-major copy.
  Value row_major_unless(bool is_good, const Value& value);
  // The value with other sizes: a view, or a row-major copy.
  Value with_shape(const Value& value, const Shape& sizes);
  // Throws where that is too much for one graph.
  void add(Step step);
  // Makes a value that is laid out as the output is the node's result.
  void finish(Value value);

 private:
  void add_tensors();
  void add_constant_tensor(const TensorInfo& tensor, Value& value);
  void compile_node(std::size_t index);
  void add_result();
  void measure();
  const ConstantInfo& constant(const std::string& name) const;
  template <typename T>
  std::vector<T> elements(const std::string& name, const Shape& shape, CodeType type);

  const Graph& graph_;
  TensorFile& file_;
  const Externals& externals_;
  Program program_;
  const NodeInfo* node_ = nullptr;
  std::unique_ptr<Attributes> attributes_;
  std::string where_;
  std::set<std::string> used_constants_;
};

// The elements of a stored tensor; T must be its type.
template <typename T>
std::vector<T> elements_of(const StoredTensor& stored) {
  std::vector<T> values(static_cast<std::size_t>(num_elements(stored.shape)));
  if (!values.empty()) std::memcpy(values.data(), stored.bytes.data(), stored.bytes.size());
  return values;
}

// Operands of element-wise kernels, with as few axes as they allow.
struct Elementwise {
  Axes sizes;
  std::vector<Axes> strides;  // of the output, then of the inputs
};
Elementwise elementwise(const Shape& sizes, const std::vector<View>& views);
// A move from one view to another of the same sizes, without data.
kernels::MoveCodesArgs move_args(const View& to, const View& from, CodeType type);

// Pointer to a value's first element.
inline std::byte* start_of(const Memory& memory, const Value& value) {
  return memory.at(value.buffer) + value.view.offset * kernels::code_size(value.type);
}

}  // namespace hybridquant::runtime
