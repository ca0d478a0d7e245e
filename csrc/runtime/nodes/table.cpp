// Functions of one number as tables.
#include <algorithm>

#include "kernels/map_codes.h"
#include "runtime/compiler.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

// A code of `type` at an element of a stored tensor.
template <typename T>
void check_codes(const Compiler& compiler, const std::vector<T>& table) {
  const TensorInfo& output = compiler.output();
  for (const T code : table) {
    require(code >= output.lowest && code <= output.highest, compiler.where(),
            ": the table's codes must be ", output.lowest, " to ", output.highest, ", got ",
            std::int64_t{code});
  }
}

// [channels, all codes of x] from [channels, codes of x in use].
template <typename T>
int add_table(Compiler& compiler, const StoredTensor& stored, const Value& x,
              std::int64_t channels) {
  const std::vector<T> table = elements_of<T>(stored);
  check_codes(compiler, table);
  const std::int64_t used = x.highest - x.lowest + 1;
  const std::int64_t entries = channels * (highest_of(x.type) - lowest_of(x.type) + 1);
  compiler.check_constants(entries * static_cast<std::int64_t>(sizeof(T)));
  std::vector<T> whole;
  whole.reserve(static_cast<std::size_t>(entries));
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    for (std::int64_t code = lowest_of(x.type); code <= highest_of(x.type); ++code) {
      const std::int64_t entry = std::clamp(code, x.lowest, x.highest) - x.lowest;
      whole.push_back(table[static_cast<std::size_t>(channel * used + entry)]);
    }
  }
  return compiler.add_constants(whole);
}

int read_table(Compiler& compiler, const Value& x, const Shape& shape, std::int64_t channels) {
  const StoredTensor& stored = compiler.stored("table");
  const CodeType type = compiler.output().type;
  require(stored.type == type && stored.shape == shape, compiler.where(), ": table must be ",
          type_name(type), " ", list_text(shape), ", got ", type_name(stored.type), " ",
          list_text(stored.shape));
  if (type == CodeType::kUInt8) return add_table<std::uint8_t>(compiler, stored, x, channels);
  if (type == CodeType::kInt8) return add_table<std::int8_t>(compiler, stored, x, channels);
  return add_table<std::int16_t>(compiler, stored, x, channels);
}

// [all codes of x] from thresholds and the codes of the levels between them.
template <typename T>
int add_levels(Compiler& compiler, const std::vector<std::int32_t>& thresholds,
               const StoredTensor& stored, const Value& x) {
  const std::vector<T> levels = elements_of<T>(stored);
  check_codes(compiler, levels);
  const std::int64_t entries = highest_of(x.type) - lowest_of(x.type) + 1;
  compiler.check_constants(entries * static_cast<std::int64_t>(sizeof(T)));
  std::vector<T> table;
  table.reserve(static_cast<std::size_t>(entries));
  std::size_t level = 0;
  for (std::int64_t code = lowest_of(x.type); code <= highest_of(x.type); ++code) {
    while (level < thresholds.size() && thresholds[level] <= code) ++level;
    table.push_back(levels[level]);
  }
  return compiler.add_constants(table);
}

int read_levels(Compiler& compiler, const Value& x) {
  const StoredTensor& thresholds = compiler.stored("thresholds");
  const StoredTensor& levels = compiler.stored("levels");
  const CodeType type = compiler.output().type;
  require(thresholds.type == CodeType::kInt32 && thresholds.shape.size() == 1, compiler.where(),
          ": thresholds must be int32 [steps], got ", type_name(thresholds.type), " ",
          list_text(thresholds.shape));
  const Shape shape = {thresholds.shape[0] + 1};
  require(levels.type == type && levels.shape == shape, compiler.where(), ": levels must be ",
          type_name(type), " ", list_text(shape), ", got ", type_name(levels.type), " ",
          list_text(levels.shape));
  const auto edges = elements_of<std::int32_t>(thresholds);
  require(std::is_sorted(edges.begin(), edges.end()), compiler.where(),
          ": thresholds must not decrease, got a smaller one behind a larger");
  if (type == CodeType::kUInt8) return add_levels<std::uint8_t>(compiler, edges, levels, x);
  if (type == CodeType::kInt8) return add_levels<std::int8_t>(compiler, edges, levels, x);
  return add_levels<std::int16_t>(compiler, edges, levels, x);
}

Value checked_input(Compiler& compiler) {
  const Value x = compiler.inputs(1)[0];
  compiler.check_type(x, "the input", {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16});
  compiler.check_output_type({CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16});
  compiler.check_output(x.view.sizes);
  return x;
}

void add_look_up(Compiler& compiler, Value x, int table, std::int64_t channels) {
  x = compiler.row_major_unless(is_dense(x.view), x);
  const Value y = compiler.allocate(like(x.view));
  const kernels::MapCodesArgs args{.q = nullptr,
                                   .x = nullptr,
                                   .table = nullptr,
                                   .q_type = y.type,
                                   .x_type = x.type,
                                   .size = num_elements(x.view.sizes),
                                   .channels = channels};
  Step step{.run =
                [args, table, x, y](const Memory& memory, std::int64_t begin, std::int64_t end,
                                    std::byte*) {
                  kernels::MapCodesArgs bound = args;
                  bound.q = start_of(memory, y);
                  bound.x = start_of(memory, x);
                  bound.table = memory.at(table);
                  kernels::map_codes(bound, begin, end);
                },
            .num_items = kernels::runs_per_row(args.size),
            .cost = args.size,
            .reads = {x.buffer, table},
            .writes = y.buffer};
  step.may_replace = replaceable(y, {x});
  compiler.add(std::move(step));
  compiler.finish(y);
}

void compile(Compiler& compiler, bool has_channels) {
  Value x = checked_input(compiler);
  const std::int64_t used = x.highest - x.lowest + 1;
  std::int64_t channels = 1;
  Shape shape = {used};
  if (has_channels) {
    require(x.view.rank() >= 2, compiler.where(), ": the input must have at least 2 axes, got ",
            list_text(x.view.sizes));
    channels = x.view.sizes[1];
    shape = {channels, used};
    const bool is_good =
        x.view.offset == 0 && x.view.strides == channels_last(x.view.sizes).strides;
    if (!is_good) x = compiler.copied(x, channels_last(x.view.sizes));
  }
  add_look_up(compiler, x, read_table(compiler, x, shape, channels), channels);
}

void compile_levels(Compiler& compiler) {
  const Value x = checked_input(compiler);
  add_look_up(compiler, x, read_levels(compiler, x), /*channels=*/1);
}

}  // namespace

void register_table(NodeRegistry& nodes) {
  nodes["table"] = [](Compiler& compiler) { compile(compiler, /*has_channels=*/false); };
  nodes["levels"] = compile_levels;
  nodes["channel_table"] = [](Compiler& compiler) { compile(compiler, /*has_channels=*/true); };
}

}  // namespace hybridquant::runtime
