#include <algorithm>
#include <numeric>

#include "runtime/program.h"

namespace hybridquant::runtime {

namespace {

constexpr std::int64_t kAlignment = 64;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// The steps [first, last] during which a buffer must be kept.
struct Life {
  std::int64_t first = -1;
  std::int64_t last = -1;
};

// A part of the arena that is used for some steps.
struct Taken {
  std::int64_t begin, end;
  Life life;
};

class Planner {
 public:
  explicit Planner(Program& program)
      : program_(program), lives_(program.buffers.size()), place_(program.buffers.size()) {
    std::iota(place_.begin(), place_.end(), 0);
  }

  void run() {
    find_lives();
    share_places();
    place_buffers();
    for (Buffer& buffer : program_.buffers) {
      const auto index = static_cast<std::size_t>(&buffer - program_.buffers.data());
      if (is_in_arena(static_cast<int>(index))) {
        buffer.offset =
            program_.buffers[static_cast<std::size_t>(root(static_cast<int>(index)))].offset;
      }
    }
  }

 private:
  [[nodiscard]] bool is_in_arena(int index) const {
    const Buffer& buffer = program_.buffers[static_cast<std::size_t>(index)];
    return buffer.constant == nullptr && !buffer.is_image;
  }

  Life& life(int index) { return lives_[static_cast<std::size_t>(index)]; }

  // The buffer whose bytes this one uses.
  int root(int index) {
    while (place_[static_cast<std::size_t>(index)] != index) {
      index = place_[static_cast<std::size_t>(index)];
    }
    return index;
  }

  void find_lives() {
    std::int64_t number = 0;
    for (const Step& step : program_.steps) {
      Life& written = life(step.writes);
      if (written.first < 0) written.first = number;
      written.last = number;
      for (const int buffer : step.reads) life(buffer).last = number;
      ++number;
    }
    life(program_.result.buffer).last = number;
    // Whoever looks at a node finds its output, even where that is a view of an older buffer.
    for (std::size_t node = 0; node < program_.node_buffers.size(); ++node) {
      Life& shown = life(program_.node_buffers[node]);
      shown.last = std::max(shown.last, static_cast<std::int64_t>(program_.last_step[node]));
    }
  }

  // Lets a step write over what nobody reads after it.
  void share_places() {
    std::int64_t number = 0;
    for (const Step& step : program_.steps) {
      Life& written = life(step.writes);
      for (const int candidate : step.may_replace) {
        const int kept = root(candidate);
        const bool fits = program_.buffers[static_cast<std::size_t>(kept)].bytes >=
                          program_.buffers[static_cast<std::size_t>(step.writes)].bytes;
        if (written.first == number && root(step.writes) == step.writes && kept != step.writes &&
            is_in_arena(kept) && life(candidate).last == number && life(kept).last == number &&
            fits) {
          place_[static_cast<std::size_t>(step.writes)] = kept;
          // Both are one from now on: the life of the root says so to later steps.
          life(kept).last = std::max(life(kept).last, written.last);
          break;
        }
      }
      ++number;
    }
  }

  // From the largest to the smallest, each at the first place that is free during its life.
  void place_buffers() {
    std::vector<int> order;
    for (int index = 0; index < static_cast<int>(program_.buffers.size()); ++index) {
      if (is_in_arena(index) && root(index) == index && life(index).first >= 0)
        order.push_back(index);
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return bytes(a) > bytes(b); });
    std::vector<Taken> taken;
    for (const int index : order) {
      const std::int64_t offset = free_place(index, taken);
      program_.buffers[static_cast<std::size_t>(index)].offset = offset;
      program_.arena_bytes = std::max(program_.arena_bytes, offset + bytes(index));
      const auto behind = std::upper_bound(
          taken.begin(), taken.end(), offset,
          [](std::int64_t value, const Taken& other) { return value < other.begin; });
      taken.insert(behind, {offset, offset + bytes(index), life(index)});
    }
  }

  [[nodiscard]] std::int64_t bytes(int index) const {
    return aligned(program_.buffers[static_cast<std::size_t>(index)].bytes);
  }

  // `taken` is in the order of the places.
  std::int64_t free_place(int index, const std::vector<Taken>& taken) {
    const Life own = life(index);
    std::int64_t offset = 0;
    for (const Taken& other : taken) {
      if (other.life.last < own.first || own.last < other.life.first) continue;
      if (offset + bytes(index) <= other.begin) break;
      offset = std::max(offset, other.end);
    }
    return offset;
  }

  Program& program_;
  std::vector<Life> lives_;
  std::vector<int> place_;
};

}  // namespace

void plan_memory(Program& program) { Planner(program).run(); }

}  // namespace hybridquant::runtime
