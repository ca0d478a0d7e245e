// Layer, group, root-mean-square and L2 norms.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "kernels/normalize_codes.h"
#include "runtime/compiler.h"
#include "runtime/elementwise.h"
#include "runtime/node_registry.h"

namespace hybridquant::runtime {

namespace {

using kernels::Norm;

constexpr std::int64_t kLargestCount = (std::int64_t{1} << 20) - 1;
constexpr std::int64_t kLargestEpsilon = std::int64_t{1} << 62;
constexpr std::int64_t kLargestBeta = std::int64_t{1} << 61;

struct Affine {
  std::vector<std::int32_t> m;
  std::vector<std::int64_t> beta;
};

Value checked_input(Compiler& compiler) {
  const Value x = compiler.inputs(1)[0];
  const auto types = {CodeType::kUInt8, CodeType::kInt8, CodeType::kInt16};
  compiler.check_type(x, "the input", types);
  compiler.check_output_type(types);
  compiler.check_output(x.view.sizes);
  return x;
}

// Adds the step; args has the strides and sizes.
void add_norm(Compiler& compiler, kernels::NormalizeArgs args, std::int64_t num_items,
              const Value& x, const Value& y) {
  const std::int64_t channels = args.groups * args.channels;
  const auto affine = std::make_shared<const Affine>(
      Affine{compiler.int32s("m", {channels}), compiler.int64s("beta", {channels})});
  for (const std::int64_t beta : affine->beta) {
    require(beta > -kLargestBeta && beta < kLargestBeta, compiler.where(),
            ": beta must be below 2^61, got ", beta);
  }
  for (const std::int32_t m : affine->m) {
    require(m > -highest_of(CodeType::kInt32) - 1, compiler.where(), ": m must be above -2^31");
  }
  args.m = affine->m.data();
  args.beta = affine->beta.data();
  args.shift = static_cast<std::int32_t>(compiler.attributes().get_int("shift", 1, 62));
  args.epsilon = compiler.attributes().get_int("epsilon", 1, kLargestEpsilon);
  args.x_type = x.type;
  args.y_type = y.type;
  args.zero_point = static_cast<std::int32_t>(x.zero_point);
  args.codes = compiler.output_codes();
  Step step{.run =
                [args, affine, x, y](const Memory& memory, std::int64_t begin, std::int64_t end,
                                     std::byte*) {
                  kernels::NormalizeArgs bound = args;
                  bound.x = start_of(memory, x);
                  bound.y = start_of(memory, y);
                  kernels::normalize_codes(bound, begin, end);
                },
            .num_items = num_items,
            .cost = 4 * num_elements(x.view.sizes),
            .reads = {x.buffer},
            .writes = y.buffer};
  step.may_replace = replaceable(y, {x});
  compiler.add(std::move(step));
  compiler.finish(y);
}

// Rows of `count` codes that lie side by side.
void add_row_norm(Compiler& compiler, Value x, Norm norm, std::int64_t count) {
  x = compiler.row_major_unless(is_row_major(x.view), x);
  const Value y = compiler.allocate(row_major(x.view.sizes));
  kernels::NormalizeArgs args{};
  args.pixels = 1;
  args.groups = 1;
  args.channels = count;
  args.x_image_stride = count;
  args.y_image_stride = count;
  args.norm = norm;
  add_norm(compiler, args, num_elements(x.view.sizes) / count, x, y);
}

void compile_layer_norm(Compiler& compiler) {
  const Value x = checked_input(compiler);
  const std::int64_t count = compiler.attributes().get_int("count", 1, kLargestCount);
  const bool is_centred = compiler.attributes().get_bool("is_centred");
  std::int64_t row = 1;
  for (std::size_t axis = x.view.rank(); axis > 0 && row < count; --axis) {
    row *= x.view.sizes[axis - 1];
  }
  require(row == count, compiler.where(), ": count must be the product of the last sizes of ",
          list_text(x.view.sizes), ", got ", count);
  add_row_norm(compiler, x, is_centred ? Norm::kLayer : Norm::kRms, count);
}

void compile_l2_norm(Compiler& compiler) {
  const Value x = checked_input(compiler);
  require(x.view.sizes.back() <= kLargestCount, compiler.where(),
          ": rows must have fewer than 2^20 codes, got ", x.view.sizes.back());
  add_row_norm(compiler, x, Norm::kL2, x.view.sizes.back());
}

// Groups of channels at all positions. Images lie channels last for it.
void compile_group_norm(Compiler& compiler) {
  Value x = checked_input(compiler);
  require(x.view.rank() >= 2, compiler.where(), ": the input must have at least 2 axes, got ",
          list_text(x.view.sizes));
  const std::int64_t channels = x.view.sizes[1];
  const std::int64_t groups = compiler.attributes().get_int("groups", 1, channels);
  const std::int64_t count = compiler.attributes().get_int("count", 1, kLargestCount);
  const bool is_centred = compiler.attributes().get_bool("is_centred");
  const std::int64_t pixels = num_elements(x.view.sizes) / x.view.sizes[0] / channels;
  require(channels % groups == 0 && count == pixels * (channels / groups), compiler.where(),
          ": groups must divide the channels ", channels,
          ", and count be the codes of a group, got ", groups, " and ", count);
  const View wanted = channels_last(x.view.sizes);
  if (x.view.strides != wanted.strides) x = compiler.copied(x, wanted);
  const Value y = compiler.allocate(wanted);
  kernels::NormalizeArgs args{};
  args.pixels = pixels;
  args.groups = groups;
  args.channels = channels / groups;
  args.x_image_stride = pixels * channels;
  args.y_image_stride = pixels * channels;
  args.x_pixel_stride = channels;
  args.y_pixel_stride = channels;
  args.norm = is_centred ? Norm::kLayer : Norm::kRms;
  add_norm(compiler, args, x.view.sizes[0] * groups, x, y);
}

}  // namespace

void register_normalize(NodeRegistry& nodes) {
  nodes["layer_norm"] = compile_layer_norm;
  nodes["l2_norm"] = compile_l2_norm;
  nodes["group_norm"] = compile_group_norm;
}

}  // namespace hybridquant::runtime
