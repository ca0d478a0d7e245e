#include "runtime/session.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "runtime/compiler.h"

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kAlignment = 64;
// Operations below which a second thread costs more than it saves.
constexpr std::int64_t kSmallestShare = 16'384;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::unique_ptr<Executor> make_executor(std::int64_t num_threads) {
  require(num_threads >= 1 && num_threads <= kMostThreads, "Session: num_threads must be 1 to ",
          kMostThreads, ", got ", num_threads);
  if (num_threads > 1) return std::make_unique<ThreadPool>(num_threads);
  return std::make_unique<SerialExecutor>();
}

// The codes of a value, row-major.
std::vector<std::byte> gather(const Memory& memory, const Value& value) {
  const Shape& sizes = value.view.sizes;
  std::vector<std::byte> codes(
      static_cast<std::size_t>(num_elements(sizes) * kernels::code_size(value.type)));
  kernels::MoveCodesArgs args = move_args(row_major(sizes), value.view, value.type);
  args.q = codes.data();
  args.x = start_of(memory, value);
  kernels::move_codes(args, 0, kernels::num_tiles(args));
  return codes;
}

template <typename T>
void widen(std::int32_t* logits, const std::byte* codes, std::int64_t count) {
  const T* const from = reinterpret_cast<const T*>(codes);
  std::copy(from, from + count, logits);
}

void read_logits(std::int32_t* logits, const Memory& memory, const Value& result) {
  const std::int64_t count = num_elements(result.view.sizes);
  const std::byte* const codes = start_of(memory, result);
  if (result.type == CodeType::kUInt8) return widen<std::uint8_t>(logits, codes, count);
  if (result.type == CodeType::kInt8) return widen<std::int8_t>(logits, codes, count);
  if (result.type == CodeType::kInt16) return widen<std::int16_t>(logits, codes, count);
  widen<std::int32_t>(logits, codes, count);
}

}  // namespace

void Session::Free::operator()(std::byte* bytes) const {
  ::operator delete(bytes, std::align_val_t{kAlignment});
}

Session::Bytes Session::allocate(std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(std::max(bytes, kAlignment));
  return Bytes(static_cast<std::byte*>(::operator new(size, std::align_val_t{kAlignment})));
}

Session::Session(const Model& model, std::int64_t num_threads)
    : model_(model), own_executor_(make_executor(num_threads)), executor_(*own_executor_) {
  prepare();
}

Session::Session(const Model& model, Executor& executor) : model_(model), executor_(executor) {
  prepare();
}

void Session::prepare() {
  scratch_stride_ = aligned(model_.program().scratch_bytes);
  arena_ = allocate(model_.program().arena_bytes);
  scratch_ = allocate(scratch_stride_ * executor_.num_workers());
}

std::int64_t Session::memory_bytes() const {
  return model_.program().arena_bytes + scratch_stride_ * executor_.num_workers();
}

class Session::Turn {
 public:
  explicit Turn(Session& session) : session_(session) {
    require(session.running_ != std::this_thread::get_id(),
            "Session: a function of the model must not run the session that calls it");
    lock_ = std::unique_lock(session.mutex_);
    session.running_ = std::this_thread::get_id();
  }
  ~Turn() { session_.running_ = std::thread::id(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Session& session_;
  std::unique_lock<std::mutex> lock_;
};

void Session::run(std::int32_t* logits, const std::uint8_t* images, std::int64_t count) {
  const Turn turn(*this);
  const Program& program = model_.program();
  for (std::int64_t i = 0; i < count; ++i) {
    const auto* const image = reinterpret_cast<const std::byte*>(images + i * model_.image_bytes());
    const Memory memory(program.buffers, arena_.get(), image);
    run_steps(memory, 0, program.steps.size());
    read_logits(logits + i * model_.num_logits(), memory, program.result);
  }
}

void Session::trace(const std::uint8_t* image, const Observer& observe) {
  const Turn turn(*this);
  const Program& program = model_.program();
  const Memory memory(program.buffers, arena_.get(), reinterpret_cast<const std::byte*>(image));
  std::size_t done = 0;
  for (std::size_t node = 0; node < model_.graph().nodes.size(); ++node) {
    run_steps(memory, done, program.last_step[node]);
    done = program.last_step[node];
    const auto output = static_cast<std::size_t>(model_.graph().nodes[node].output);
    observe(node, model_.graph().tensors[output], gather(memory, program.tensors[output]));
  }
}

void Session::run_steps(const Memory& memory, std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i) run_step(memory, model_.program().steps[i]);
}

void Session::run_step(const Memory& memory, const Step& step) {
  const std::int64_t most = std::max<std::int64_t>(1, step.cost / kSmallestShare);
  const std::int64_t count = std::min({executor_.num_workers(), step.num_items, most});
  if (count <= 1) return step.run(memory, 0, step.num_items, scratch_.get());
  executor_.run(count, [&](std::int64_t worker) {
    const std::int64_t begin = step.num_items * worker / count;
    const std::int64_t end = step.num_items * (worker + 1) / count;
    step.run(memory, begin, end, scratch_.get() + worker * scratch_stride_);
  });
}

}  // namespace hybridquant::runtime
