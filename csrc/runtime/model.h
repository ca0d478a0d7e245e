// An integer model, ready to run. It never changes: any number of sessions and threads may share
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/external.h"
#include "runtime/graph.h"
#include "runtime/program.h"

namespace hybridquant::runtime {

class Model {
 public:
  // Reads a model file, or its bytes. Everything in it is checked before it is used.
  // Throws ModelError naming the field, what it must be and what it is. `externals` are the
  // functions that its nodes may call.
  static Model load(const std::string& path, const Externals& externals = {});
  static Model parse(std::span<const std::byte> file, const Externals& externals = {});

  // [channels, height, width] of an image.
  [[nodiscard]] Shape image_shape() const;
  [[nodiscard]] std::int64_t image_bytes() const { return num_elements(image_shape()); }
  // Number of logits of an image.
  [[nodiscard]] std::int64_t num_logits() const { return num_elements(program_.result.view.sizes); }
  // A logit is scale * (code - zero_point).
  [[nodiscard]] double logit_scale() const { return output().scale; }
  [[nodiscard]] std::int64_t logit_zero_point() const { return output().zero_point; }

  [[nodiscard]] const Graph& graph() const { return graph_; }
  [[nodiscard]] const Program& program() const { return program_; }

 private:
  Model(TensorFile& file, const Externals& externals);
  [[nodiscard]] const TensorInfo& output() const {
    return graph_.tensors[static_cast<std::size_t>(graph_.output)];
  }

  Graph graph_;
  Program program_;
};

}  // namespace hybridquant::runtime
