// Softmax over the last axis.
#include <algorithm>
#include <limits>

#include "kernels/softmax_codes.h"
#include "runtime/compiler.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kLargestM = (std::int64_t{1} << 24) - 1;
constexpr std::int64_t kLargestLog = 62;

// The table of exponentials in the narrower width that holds every sum of a row.
struct Exponentials {
  std::vector<std::uint32_t> narrow;
  std::vector<std::uint64_t> wide;
};

std::vector<std::int64_t> read_entries(Compiler& compiler, std::int64_t used) {
  const StoredTensor& stored = compiler.stored("table");
  require(stored.type == CodeType::kInt32 || stored.type == CodeType::kInt64, compiler.where(),
          ": table must be int32 or int64, got ", type_name(stored.type));
  require(stored.shape.size() == 1 && stored.shape[0] >= 1 && stored.shape[0] <= used,
          compiler.where(), ": table must hold 1 to ", used, " entries, got shape ",
          list_text(stored.shape));
  if (stored.type == CodeType::kInt64) return elements_of<std::int64_t>(stored);
  const auto entries = elements_of<std::int32_t>(stored);
  return {entries.begin(), entries.end()};
}

Exponentials read_table(Compiler& compiler, const Value& x, std::int64_t m) {
  const std::vector<std::int64_t> entries = read_entries(compiler, x.highest - x.lowest + 1);
  const auto [least, most] = std::minmax_element(entries.begin(), entries.end());
  require(*least >= 0 && entries[0] > 0, compiler.where(),
          ": the table's entries must be at least 0, the first above 0, got ", *least, " and ",
          entries[0]);
  const kernels::Int128 sum = kernels::Int128{*most} * x.view.sizes.back();
  require(sum < kernels::Int128{1} << 53 && kernels::Int128{*most} * m < kernels::Int128{1} << 61,
          compiler.where(),
          ": sums of a row must be below 2^53, and entries times m below 2^61, "
          "got entries up to ",
          *most, ", rows of ", x.view.sizes.back(), " and m ", m);
  Exponentials table;
  if (sum < kernels::Int128{1} << 32) {
    for (const std::int64_t entry : entries)
      table.narrow.push_back(static_cast<std::uint32_t>(entry));
  } else {
    for (const std::int64_t entry : entries)
      table.wide.push_back(static_cast<std::uint64_t>(entry));
  }
  return table;
}

// The form says where the table comes from; the kernel reads only the table.
void check_form(Compiler& compiler) {
  const std::string& form = compiler.attributes().get_string("form");
  require(form == "table" || form == "linear" || form == "polynomial" || form == "shift",
          compiler.where(), ": form must be table, linear, polynomial or shift, got '", form, "'");
}

void compile(Compiler& compiler, bool is_log2) {
  Value x = compiler.inputs(1)[0];
  const auto types = {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16};
  compiler.check_type(x, "the input", types);
  compiler.check_output_type(types);
  compiler.check_output(x.view.sizes);
  check_form(compiler);
  const std::int64_t m = is_log2 ? 1 : compiler.attributes().get_int("m", 1, kLargestM);
  const TensorInfo& output = compiler.output();
  require(
      !is_log2 || (output.zero_point == 0 && output.lowest == 0 && output.highest <= kLargestLog),
      compiler.where(), ": the output's codes must be 0 to at most ", kLargestLog, ", got ",
      output.lowest, " to ", output.highest);
  const std::int64_t size = x.view.sizes.back();
  const auto table = std::make_shared<const Exponentials>(read_table(compiler, x, m));
  x = compiler.row_major_unless(is_row_major(x.view), x);
  const Value p = compiler.allocate(row_major(x.view.sizes));
  const bool is_narrow = !table->narrow.empty();
  const kernels::SoftmaxArgs args{.p = nullptr,
                                  .q = nullptr,
                                  .table = is_narrow ? table->narrow.data() : nullptr,
                                  .wide_table = is_narrow ? nullptr : table->wide.data(),
                                  .p_type = p.type,
                                  .q_type = x.type,
                                  .table_size = static_cast<std::int64_t>(
                                      is_narrow ? table->narrow.size() : table->wide.size()),
                                  .n = size,
                                  .p_stride = size,
                                  .q_stride = size,
                                  .is_log2 = is_log2,
                                  .m = static_cast<std::int32_t>(m),
                                  .codes = compiler.output_codes()};
  Step step{.run =
                [args, table, x, p](const Memory& memory, std::int64_t begin, std::int64_t end,
                                    std::byte*) {
                  kernels::SoftmaxArgs bound = args;
                  bound.p = start_of(memory, p);
                  bound.q = start_of(memory, x);
                  kernels::softmax_codes(bound, begin, end);
                },
            .num_items = num_elements(x.view.sizes) / size,
            .cost = 4 * num_elements(x.view.sizes),
            .reads = {x.buffer},
            .writes = p.buffer};
  step.may_replace = replaceable(p, {x});
  compiler.add(std::move(step));
  compiler.finish(p);
}

}  // namespace

void register_softmax(NodeRegistry& nodes) {
  nodes["softmax"] = [](Compiler& compiler) { compile(compiler, /*is_log2=*/false); };
  nodes["softmax_log2"] = [](Compiler& compiler) { compile(compiler, /*is_log2=*/true); };
}

}  // namespace hybridquant::runtime
