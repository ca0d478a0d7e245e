// What nodes of element-wise kernels share.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/compiler.h"

namespace hybridquant::runtime {

// The value repeated to the output's shape. Throws ModelError where it does not broadcast to it.
Value broadcast_to_output(const Compiler& compiler, const Value& value, const char* what);

// A new buffer for the output, laid out as the first input that has its shape.
Value allocate_like(Compiler& compiler, const std::vector<Value>& inputs);

// The inputs' buffers that an element-wise step may write `output` over.
std::vector<int> replaceable(const Value& output, const std::vector<Value>& inputs);

// Throws ModelError where the zero-point has more than 32 bits.
kernels::InputCodes input_codes(const Compiler& compiler, const Value& value, const Axes& strides);
kernels::OutputView output_view(const Value& value, const Axes& strides);

// Adds the step of `kernel` with the output and all inputs of the node. Args has the fields q,
// sizes and x, and y where there are two inputs; this fills them.
template <typename Args>
void add_elementwise(Compiler& compiler, Args args,
                     void (*kernel)(const Args&, std::int64_t, std::int64_t),
                     std::vector<Value> inputs) {
  constexpr bool kIsBinary = requires { args.y; };
  const Value output = allocate_like(compiler, inputs);
  std::vector<View> views = {output.view};
  for (Value& input : inputs) {
    input = broadcast_to_output(compiler, input, "an input");
    views.push_back(input.view);
  }
  const Elementwise axes = elementwise(output.view.sizes, views);
  std::copy(axes.sizes.begin(), axes.sizes.end(), args.sizes);
  args.q = output_view(output, axes.strides[0]);
  args.x = input_codes(compiler, inputs[0], axes.strides[1]);
  if constexpr (kIsBinary) args.y = input_codes(compiler, inputs[1], axes.strides[2]);
  Step step{.run = {},
            .num_items = kernels::num_runs(args.sizes),
            .cost = num_elements(output.view.sizes),
            .reads = {},
            .writes = output.buffer};
  step.may_replace = replaceable(output, inputs);
  for (const Value& input : inputs) step.reads.push_back(input.buffer);
  step.run = [args, kernel, output, inputs = std::move(inputs)](
                 const Memory& memory, std::int64_t begin, std::int64_t end, std::byte*) {
    Args bound = args;
    bound.q.data = start_of(memory, output);
    bound.x.data = start_of(memory, inputs[0]);
    if constexpr (kIsBinary) bound.y.data = start_of(memory, inputs[1]);
    kernel(bound, begin, end);
  };
  compiler.add(std::move(step));
  compiler.finish(output);
}

}  // namespace hybridquant::runtime
