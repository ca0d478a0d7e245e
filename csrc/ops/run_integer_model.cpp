#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "ops/check.h"
#include "ops/schemas.h"
#include "runtime/model.h"
#include "runtime/session.h"

namespace hybridquant::ops {

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr std::string_view kOp = "run_integer_model";
// Models whose sessions are kept.
constexpr std::size_t kMostModels = 8;

// torch's threads.
class TorchExecutor final : public runtime::Executor {
 public:
  [[nodiscard]] std::int64_t num_workers() const override { return num_workers_; }
  void run(std::int64_t count, const runtime::Task& task) override {
    torch::stable::parallel_for(0, count, /*grain_size=*/1,
                                [&](std::int64_t begin, std::int64_t end) {
                                  for (std::int64_t i = begin; i < end; ++i) task(i);
                                });
  }

 private:
  std::int64_t num_workers_ = torch::stable::get_num_threads();
};

struct Runner {
  explicit Runner(const runtime::Model& model) : session(model, executor) {}

  TorchExecutor executor;
  runtime::Session session;
};

// A model and the sessions that nobody uses now.
struct Loaded {
  std::vector<std::byte> program;
  runtime::Model model;
  std::mutex mutex;
  std::vector<std::unique_ptr<Runner>> idle;
};

// A session of a model for one call.
class Borrowed {
 public:
  explicit Borrowed(Loaded& loaded) : loaded_(loaded) {
    {
      const std::lock_guard lock(loaded.mutex);
      // The number of threads may have changed since a session was made.
      const std::int64_t threads = torch::stable::get_num_threads();
      while (runner_ == nullptr && !loaded.idle.empty()) {
        runner_ = std::move(loaded.idle.back());
        loaded.idle.pop_back();
        if (runner_->executor.num_workers() != threads) runner_ = nullptr;
      }
    }
    if (runner_ == nullptr) runner_ = std::make_unique<Runner>(loaded.model);
  }
  ~Borrowed() {
    const std::lock_guard lock(loaded_.mutex);
    loaded_.idle.push_back(std::move(runner_));
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  runtime::Session& session() { return runner_->session; }

 private:
  Loaded& loaded_;
  std::unique_ptr<Runner> runner_;
};

runtime::Model parse(std::span<const std::byte> program) {
  try {
    return runtime::Model::parse(program);
  } catch (const runtime::ModelError& error) {
    // The one type that torch carries; see check.h.
    throw std::runtime_error(join(kOp, ": program: ", error.what()));
  }
}

// The models that were used last, found by their bytes.
class Cache {
 public:
  std::shared_ptr<Loaded> find(std::span<const std::byte> program) {
    const std::lock_guard lock(mutex_);
    for (auto entry = models_.begin(); entry != models_.end(); ++entry) {
      if (!std::ranges::equal((*entry)->program, program)) continue;
      models_.splice(models_.begin(), models_, entry);
      return models_.front();
    }
    models_.push_front(
        std::make_shared<Loaded>(std::vector(program.begin(), program.end()), parse(program)));
    if (models_.size() > kMostModels) models_.pop_back();
    return models_.front();
  }

 private:
  std::mutex mutex_;
  std::list<std::shared_ptr<Loaded>> models_;
};

std::string shape_text(const Tensor& tensor) {
  const auto sizes = tensor.sizes();
  return runtime::list_text(std::vector<std::int64_t>(sizes.begin(), sizes.end()));
}

void check_images(const Tensor& x, const runtime::Model& model) {
  const runtime::Shape wanted = model.image_shape();
  bool is_good = x.dim() == 4;
  for (std::int64_t axis = 1; is_good && axis < 4; ++axis) {
    is_good = x.size(axis) == wanted[static_cast<std::size_t>(axis - 1)];
  }
  check(is_good, kOp, ": x must have shape [images, ", wanted[0], ", ", wanted[1], ", ", wanted[2],
        "], got ", shape_text(x));
}

Tensor run_integer_model(const Tensor& program, const Tensor& x, std::int64_t num_logits) {
  check(program.scalar_type() == ScalarType::Byte && program.dim() == 1 && program.is_contiguous(),
        kOp, ": program must be contiguous uint8 [bytes], got ", dtype_name(program), " ",
        shape_text(program));
  check(x.scalar_type() == ScalarType::Byte, kOp,
        ": x must be uint8, the images' bytes before normalisation, got ", dtype_name(x));
  static Cache cache;
  const auto* const bytes = static_cast<const std::byte*>(program.const_data_ptr());
  const std::shared_ptr<Loaded> loaded =
      cache.find({bytes, static_cast<std::size_t>(program.numel())});
  check_images(x, loaded->model);
  check(num_logits == loaded->model.num_logits(), kOp, ": num_logits must be ",
        loaded->model.num_logits(), ", got ", num_logits);
  const Tensor images = torch::stable::contiguous(x);
  Tensor logits = torch::stable::new_empty(x, {x.size(0), num_logits}, ScalarType::Int);
  Borrowed(*loaded).session().run(static_cast<std::int32_t*>(logits.mutable_data_ptr()),
                                  static_cast<const std::uint8_t*>(images.const_data_ptr()),
                                  x.size(0));
  return logits;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hybridquant, m) { m.def(kRunIntegerModel); }

STABLE_TORCH_LIBRARY_IMPL(hybridquant, CPU, m) {
  m.impl("run_integer_model", TORCH_BOX(&run_integer_model));
}

}  // namespace hybridquant::ops
