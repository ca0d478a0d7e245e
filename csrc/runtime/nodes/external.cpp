// Functions of the program that runs the model.
#include "runtime/external.h"

#include <algorithm>
#include <span>

#include "runtime/compiler.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

template <typename T>
void clamp(std::span<std::byte> bytes, const TensorInfo& tensor) {
  const std::span codes(reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T));
  const auto lowest = static_cast<T>(tensor.lowest);
  const auto highest = static_cast<T>(tensor.highest);
  for (T& code : codes) code = std::clamp(code, lowest, highest);
}

void clamp_codes(std::span<std::byte> bytes, const TensorInfo& tensor) {
  switch (tensor.type) {
    case CodeType::kUInt8:
      return clamp<std::uint8_t>(bytes, tensor);
    case CodeType::kInt8:
      return clamp<std::int8_t>(bytes, tensor);
    case CodeType::kInt16:
      return clamp<std::int16_t>(bytes, tensor);
    case CodeType::kInt32:
      return clamp<std::int32_t>(bytes, tensor);
    case CodeType::kInt64:
      return clamp<std::int64_t>(bytes, tensor);
  }
}

struct Operand {
  TensorInfo tensor;
  Value value;

  [[nodiscard]] std::span<std::byte> codes(const Memory& memory) const {
    return {start_of(memory, value),
            static_cast<std::size_t>(num_elements(tensor.shape) * code_size(tensor.type))};
  }
};

void compile(Compiler& compiler) {
  const External& function = compiler.external(compiler.attributes().get_string("function"));
  std::vector<Operand> inputs;
  std::vector<int> reads;
  for (const Value& input : compiler.inputs()) {
    const Value x = compiler.row_major_unless(is_row_major(input.view), input);
    inputs.push_back({compiler.input_info(inputs.size()), x});
    reads.push_back(x.buffer);
  }
  const Value y = compiler.allocate(row_major(compiler.output().shape));
  const Operand output{compiler.output(), y};
  compiler.add({.run =
                    [function, inputs, output](const Memory& memory, std::int64_t, std::int64_t,
                                               std::byte*) {
                      std::vector<ExternalInput> codes;
                      for (const Operand& input : inputs) {
                        codes.push_back({input.tensor, input.codes(memory)});
                      }
                      function(codes, output.tensor, output.codes(memory));
                      clamp_codes(output.codes(memory), output.tensor);
                    },
                .num_items = 1,
                .cost = 1,
                .reads = std::move(reads),
                .writes = y.buffer});
  compiler.finish(y);
}

}  // namespace

void register_external(NodeRegistry& nodes) { nodes["external"] = compile; }

}  // namespace hybridquant::runtime
