#include "runtime/compiler.h"

#include <algorithm>

#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

// What no model for small devices takes, so that no file takes all memory or time.
constexpr std::int64_t kLargestTensor = std::int64_t{1} << 30;  // bytes
constexpr std::int64_t kLargestConstants = std::int64_t{1} << 30;
constexpr std::int64_t kLargestScratch = std::int64_t{1} << 26;
constexpr std::int64_t kMostOperations = std::int64_t{1} << 40;
constexpr std::size_t kMostSteps = std::size_t{1} << 18;

std::string names_of(std::initializer_list<CodeType> types) {
  std::string names;
  for (const CodeType type : types) {
    names += text(names.empty() ? "" : " or ", type_name(type));
  }
  return names;
}

bool is_one_of(CodeType type, std::initializer_list<CodeType> types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

std::int64_t bytes_of(const Value& value) {
  return num_elements(value.view.sizes) * kernels::code_size(value.type);
}

std::int64_t element(const StoredTensor& stored, std::size_t index) {
  const auto size = static_cast<std::size_t>(kernels::code_size(stored.type));
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < size; ++i) {
    bits |= std::to_integer<std::uint64_t>(stored.bytes[index * size + i]) << (8 * i);
  }
  const std::uint64_t sign = std::uint64_t{1} << (8 * size - 1);
  if (stored.type == CodeType::kUInt8 || (bits & sign) == 0) {
    return static_cast<std::int64_t>(bits);
  }
  return static_cast<std::int64_t>(bits | ~((sign << 1) - 1));
}

}  // namespace

Program Compiler::run() {
  add_tensors();
  for (std::size_t index = 0; index < graph_.nodes.size(); ++index) compile_node(index);
  add_result();
  file_.check_all_used();
  measure();
  plan_memory(program_);
  return std::move(program_);
}

void Compiler::add_tensors() {
  for (const TensorInfo& tensor : graph_.tensors) {
    program_.tensors.push_back({-1, row_major(tensor.shape), tensor.type, tensor.zero_point,
                                tensor.lowest, tensor.highest});
    const std::int64_t bytes = bytes_of(program_.tensors.back());
    require(bytes <= kLargestTensor, "tensor '", tensor.name, "': codes must take at most ",
            kLargestTensor, " bytes, got ", bytes);
    if (!tensor.value.empty()) add_constant_tensor(tensor, program_.tensors.back());
  }
  Value& image = program_.tensors[static_cast<std::size_t>(graph_.input)];
  program_.buffers.push_back({.bytes = bytes_of(image), .constant = nullptr, .is_image = true});
  image.buffer = static_cast<int>(program_.buffers.size()) - 1;
}

void Compiler::add_constant_tensor(const TensorInfo& tensor, Value& value) {
  where_ = "tensor '" + tensor.name + "'";
  const StoredTensor& stored = file_.tensor(tensor.value, where_);
  require(stored.type == tensor.type && stored.shape == tensor.shape, where_, ": value must be ",
          type_name(tensor.type), " ", list_text(tensor.shape), ", got ", type_name(stored.type),
          " ", list_text(stored.shape));
  const auto count = static_cast<std::size_t>(num_elements(stored.shape));
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t code = element(stored, i);
    require(code >= tensor.lowest && code <= tensor.highest, where_, ": codes must be ",
            tensor.lowest, " to ", tensor.highest, ", got ", code, " at element ", i);
  }
  value.buffer = add_constant({stored.bytes.begin(), stored.bytes.end()});
}

void Compiler::compile_node(std::size_t index) {
  node_ = &graph_.nodes[index];
  where_ = node_title(graph_, index);
  attributes_ = std::make_unique<Attributes>(*node_, where_);
  used_constants_.clear();
  const auto found = all_nodes().find(node_->op);
  require(found != all_nodes().end(), where_, ": unknown op '", node_->op, "'; written by ",
          graph_.producer);
  found->second(*this);
  attributes_->finish();
  for (const auto& [name, constant] : node_->constants) {
    require(used_constants_.contains(name), where_, ": unknown constant '", name, "'");
  }
  program_.last_step.push_back(program_.steps.size());
  program_.node_buffers.push_back(program_.tensors[static_cast<std::size_t>(node_->output)].buffer);
}

// Sessions read the result row by row.
void Compiler::add_result() {
  const Value& output = program_.tensors[static_cast<std::size_t>(graph_.output)];
  require(output.type != CodeType::kInt64, "graph.output: must be of at most 32 bits, got int64");
  program_.result = row_major_unless(is_row_major(output.view), output);
}

void Compiler::measure() {
  for (const NodeInfo& node : graph_.nodes) {
    std::int64_t largest = 0;
    for (const int input : node.inputs) {
      const Value& value = program_.tensors[static_cast<std::size_t>(input)];
      if (graph_.tensors[static_cast<std::size_t>(input)].value.empty()) {
        largest = std::max(largest, bytes_of(value));
      }
    }
    const Value& output = program_.tensors[static_cast<std::size_t>(node.output)];
    program_.largest_pair_bytes = std::max(program_.largest_pair_bytes, largest + bytes_of(output));
  }
  for (const Step& step : program_.steps) {
    program_.scratch_bytes = std::max(program_.scratch_bytes, step.scratch_bytes);
  }
}

const TensorInfo& Compiler::output() const {
  return graph_.tensors[static_cast<std::size_t>(node_->output)];
}

const TensorInfo& Compiler::input_info(std::size_t position) const {
  return graph_.tensors[static_cast<std::size_t>(node_->inputs[position])];
}

const External& Compiler::external(const std::string& name) const {
  const auto found = externals_.find(name);
  require(
      found != externals_.end(), where_, ": computes in float, by a function '", name,
      "' of the program that runs the model, and none is given; such a model runs in Python, by "
      "IntegerModel.load(path, functions=...)");
  return found->second;
}

std::vector<Value> Compiler::inputs(std::size_t count) {
  require(node_->inputs.size() == count, where_, ": must have ", count, " inputs, got ",
          node_->inputs.size());
  return inputs();
}

std::vector<Value> Compiler::inputs() {
  require(!node_->inputs.empty(), where_, ": must have an input");
  std::vector<Value> values;
  for (const int input : node_->inputs) {
    values.push_back(program_.tensors[static_cast<std::size_t>(input)]);
  }
  return values;
}

void Compiler::check_output(const Shape& shape) const {
  require(output().shape == shape, where_, ": output '", output().name, "' must have shape ",
          list_text(shape), ", got ", list_text(output().shape));
}

void Compiler::check_output_type(std::initializer_list<CodeType> types) const {
  require(is_one_of(output().type, types), where_, ": output '", output().name, "' must be ",
          names_of(types), ", got ", type_name(output().type));
}

void Compiler::check_type(const Value& value, const char* what,
                          std::initializer_list<CodeType> types) const {
  require(is_one_of(value.type, types), where_, ": ", what, " must be ", names_of(types), ", got ",
          type_name(value.type));
}

void Compiler::check_same_codes(const Value& value, const char* what) const {
  const TensorInfo& info = output();
  require(value.type == info.type && value.zero_point == info.zero_point &&
              value.lowest == info.lowest && value.highest == info.highest,
          where_, ": ", what, " must have the type, zero-point and codes of the output, ",
          type_name(info.type), " ", info.zero_point, " in ", info.lowest, " to ", info.highest,
          ", got ", type_name(value.type), " ", value.zero_point, " in ", value.lowest, " to ",
          value.highest);
}

kernels::OutputCodes Compiler::output_codes() const {
  const TensorInfo& info = output();
  require(info.type != CodeType::kInt64, where_, ": output '", info.name,
          "' must be of at most 32 bits, got int64");
  return {.zero_point = static_cast<std::int32_t>(info.zero_point),
          .lowest = static_cast<std::int32_t>(info.lowest),
          .highest = static_cast<std::int32_t>(info.highest),
          .rounding = kernels::Rounding::kSingle};
}

kernels::OutputCodes Compiler::rounded_codes(bool has_one_factor) {
  kernels::OutputCodes codes = output_codes();
  codes.rounding = attributes_->get_rounding(has_one_factor);
  return codes;
}

Value Compiler::allocate(const View& view) {
  const TensorInfo& info = output();
  return allocate_for({-1, view, info.type, info.zero_point, info.lowest, info.highest}, view);
}

Value Compiler::allocate_for(const Value& value, const View& view) {
  Value result = value;
  result.view = view;
  program_.buffers.push_back({.bytes = bytes_of(result), .constant = nullptr});
  result.buffer = static_cast<int>(program_.buffers.size()) - 1;
  return result;
}

void Compiler::check_constants(std::int64_t bytes) const {
  const std::int64_t total = program_.constant_bytes + bytes;
  require(total <= kLargestConstants, where_, ": the constants of a graph must take at most ",
          kLargestConstants, " bytes, got ", total, " up to here");
}

void Compiler::count_constants(std::int64_t bytes) {
  check_constants(bytes);
  program_.constant_bytes += bytes;
}

void Compiler::add(Step step) {
  require(program_.steps.size() < kMostSteps, where_, ": the nodes of a graph must take at most ",
          kMostSteps, " steps");
  program_.cost += step.cost;
  require(program_.cost <= kMostOperations, where_, ": the nodes of a graph must take at most ",
          kMostOperations, " operations, got ", program_.cost, " up to here");
  require(step.scratch_bytes <= kLargestScratch, where_, ": a thread must take at most ",
          kLargestScratch, " bytes, got ", step.scratch_bytes);
  program_.steps.push_back(std::move(step));
}

int Compiler::add_constant(std::vector<std::byte> bytes) {
  const auto size = static_cast<std::int64_t>(bytes.size());
  count_constants(size);
  program_.buffers.push_back(
      {.bytes = size,
       .constant = std::make_shared<const std::vector<std::byte>>(std::move(bytes))});
  return static_cast<int>(program_.buffers.size()) - 1;
}

void Compiler::copy(const Value& from, const Value& to) {
  const kernels::MoveCodesArgs args = move_args(to.view, from.view, from.type);
  ++program_.num_copies;
  add({.run =
           [args, from, to](const Memory& memory, std::int64_t begin, std::int64_t end,
                            std::byte*) {
             kernels::MoveCodesArgs bound = args;
             bound.q = start_of(memory, to);
             bound.x = start_of(memory, from);
             kernels::move_codes(bound, begin, end);
           },
       .num_items = kernels::num_tiles(args),
       .cost = num_elements(to.view.sizes),
       .reads = {from.buffer},
       .writes = to.buffer});
}

Value Compiler::copied(const Value& value, const View& view) {
  const Value result = allocate_for(value, view);
  copy(value, result);
  return result;
}

Value Compiler::row_major_unless(bool is_good, const Value& value) {
  return is_good ? value : copied(value, row_major(value.view.sizes));
}

Value Compiler::with_shape(const Value& value, const Shape& sizes) {
  std::optional<View> view = reshaped(value.view, sizes);
  if (view) {
    Value result = value;
    result.view = std::move(*view);
    return result;
  }
  Value result = copied(value, row_major(value.view.sizes));
  result.view = row_major(sizes);
  return result;
}

void Compiler::finish(Value value) {
  check_output(value.view.sizes);
  check_same_codes(value, "the result");
  program_.tensors[static_cast<std::size_t>(node_->output)] = std::move(value);
}

Elementwise elementwise(const Shape& sizes, const std::vector<View>& views) {
  Elementwise result{padded_sizes(sizes), {}};
  for (const View& view : views) result.strides.push_back(padded_strides(view));
  std::vector<std::int64_t*> strides;
  for (Axes& axes : result.strides) strides.push_back(axes.data());
  kernels::merge_axes(result.sizes.data(), strides.data(), static_cast<int>(strides.size()));
  return result;
}

kernels::MoveCodesArgs move_args(const View& to, const View& from, CodeType type) {
  const Elementwise axes = elementwise(to.sizes, {to, from});
  kernels::MoveCodesArgs args{};
  args.type = type;
  std::copy(axes.sizes.begin(), axes.sizes.end(), args.sizes);
  std::copy(axes.strides[0].begin(), axes.strides[0].end(), args.q_strides);
  std::copy(axes.strides[1].begin(), axes.strides[1].end(), args.x_strides);
  return args;
}

}  // namespace hybridquant::runtime
