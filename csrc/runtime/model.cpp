#include "runtime/model.h"

#include "runtime/compiler.h"

namespace hybridquant::runtime {

namespace {

// Far above what models for small devices take, far below what a machine has.
constexpr std::int64_t kLargestArena = std::int64_t{1} << 30;

}  // namespace

Model::Model(TensorFile& file, const Externals& externals)
    : graph_(read_graph(file)), program_(Compiler(graph_, file, externals).run()) {
  require(program_.arena_bytes <= kLargestArena, "graph: activations must fit into ", kLargestArena,
          " bytes, got ", program_.arena_bytes);
}

Model Model::load(const std::string& path, const Externals& externals) {
  const std::vector<std::byte> bytes = read_file(path);
  try {
    return parse(bytes, externals);
  } catch (const ModelError& error) {
    fail(path, ": ", error.what());
  }
}

Model Model::parse(std::span<const std::byte> file, const Externals& externals) {
  TensorFile tensors(file);
  return Model(tensors, externals);
}

Shape Model::image_shape() const {
  const Shape& shape = graph_.tensors[static_cast<std::size_t>(graph_.input)].shape;
  return {shape.begin() + 1, shape.end()};
}

}  // namespace hybridquant::runtime
