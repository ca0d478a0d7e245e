#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "runtime/error.h"
#include "runtime/hybridquant.h"
#include "runtime/model.h"
#include "runtime/model_image.h"
#include "runtime/session.h"

using hybridquant::runtime::Model;
using hybridquant::runtime::Photograph;
using hybridquant::runtime::require;
using hybridquant::runtime::Session;

struct hybridquant_model {
  std::shared_ptr<const Model> model;
};

// Keeps its model, whoever frees the handle.
struct hybridquant_session {
  hybridquant_session(std::shared_ptr<const Model> model_, std::int64_t num_threads)
      : model(std::move(model_)), session(*model, num_threads) {}

  std::shared_ptr<const Model> model;
  Session session;
};

namespace {

constexpr int kSuccess = 0;
constexpr int kFailure = -1;
constexpr std::size_t kChannels = 3;
constexpr std::int64_t kLargestEdge = (std::int64_t{1} << 31) - 1;
// Far more than processors have.
constexpr std::int64_t kMostThreads = 1024;

constexpr const char* kNoMemory = "hybridquant: memory must suffice, and does not";

thread_local std::string last_error;

void keep_error(const char* text) noexcept {
  try {
    last_error = text;
  } catch (const std::exception&) {
    last_error.clear();
  }
}

// What `call` returns, or `failure` where it throws.
template <typename Result, typename Call>
Result guarded(Result failure, const Call& call) noexcept {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    keep_error(kNoMemory);
  } catch (const std::length_error&) {
    keep_error(kNoMemory);
  } catch (const std::exception& error) {
    keep_error(error.what());
  }
  return failure;
}

hybridquant_model* shared(Model model) {
  return new hybridquant_model{std::make_shared<const Model>(std::move(model))};
}

}  // namespace

int32_t hybridquant_api_version() { return HYBRIDQUANT_API_VERSION; }

const char* hybridquant_version() { return HYBRIDQUANT_VERSION; }

const char* hybridquant_last_error() { return last_error.c_str(); }

hybridquant_model* hybridquant_model_load(const char* path) {
  return guarded<hybridquant_model*>(nullptr, [&] {
    require(path != nullptr, "hybridquant_model_load: path must not be NULL");
    return shared(Model::load(path));
  });
}

hybridquant_model* hybridquant_model_parse(const void* file, size_t size) {
  return guarded<hybridquant_model*>(nullptr, [&] {
    require(file != nullptr || size == 0, "hybridquant_model_parse: file must not be NULL");
    return shared(Model::parse({static_cast<const std::byte*>(file), size}));
  });
}

void hybridquant_model_free(hybridquant_model* model) { delete model; }

void hybridquant_image_shape(const hybridquant_model* model, int64_t shape[3]) {
  const auto& graph = model->model->graph();
  const auto& sizes = graph.tensors[static_cast<std::size_t>(graph.input)].shape;
  std::copy_n(sizes.begin() + 1, 3, shape);
}

int64_t hybridquant_num_logits(const hybridquant_model* model) {
  return model->model->num_logits();
}

double hybridquant_logit_scale(const hybridquant_model* model) {
  return model->model->logit_scale();
}

int64_t hybridquant_logit_zero_point(const hybridquant_model* model) {
  return model->model->logit_zero_point();
}

int64_t hybridquant_num_classes(const hybridquant_model* model) {
  return static_cast<int64_t>(model->model->graph().classes.size());
}

const char* hybridquant_class_name(const hybridquant_model* model, int64_t index) {
  if (index < 0 || index >= hybridquant_num_classes(model)) return nullptr;
  return model->model->graph().classes[static_cast<std::size_t>(index)].c_str();
}

int hybridquant_preprocess(const hybridquant_model* model, uint8_t* image, const uint8_t* pixels,
                           int64_t height, int64_t width) {
  return guarded(kFailure, [&] {
    for (const int64_t edge : {height, width}) {
      require(edge >= 1 && edge <= kLargestEdge,
              "hybridquant_preprocess: height and width must be 1 to 2^31 - 1, got ", edge);
    }
    // Three times less than 2^62 is less than 2^64.
    const std::size_t bytes = kChannels * static_cast<std::size_t>(height * width);
    const Photograph photograph{height, width, {pixels, pixels + bytes}};
    const auto prepared = hybridquant::runtime::image_of(*model->model, photograph);
    std::copy(prepared.begin(), prepared.end(), image);
    return kSuccess;
  });
}

hybridquant_session* hybridquant_session_new(const hybridquant_model* model, int64_t num_threads) {
  return guarded<hybridquant_session*>(nullptr, [&] {
    require(model != nullptr, "hybridquant_session_new: model must not be NULL");
    require(num_threads >= 1 && num_threads <= kMostThreads,
            "hybridquant_session_new: num_threads must be 1 to ", kMostThreads, ", got ",
            num_threads);
    return new hybridquant_session(model->model, num_threads);
  });
}

void hybridquant_session_free(hybridquant_session* session) { delete session; }

int64_t hybridquant_session_memory(const hybridquant_session* session) {
  return session->session.memory_bytes();
}

int hybridquant_run(hybridquant_session* session, int32_t* logits, const uint8_t* images,
                    int64_t count) {
  return guarded(kFailure, [&] {
    require(count >= 0, "hybridquant_run: count must be at least 0, got ", count);
    session->session.run(logits, images, count);
    return kSuccess;
  });
}
