// Plans of memory, proved by running programs of bytes: every step finds what was written for it.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "runtime/program.h"

namespace hybridquant::runtime {
namespace {

Buffer buffer_of(std::int64_t bytes) { return {.bytes = bytes, .constant = nullptr}; }

Step step_of(int writes, std::vector<int> reads, std::vector<int> may_replace = {}) {
  return {.run = {},
          .num_items = 1,
          .cost = 1,
          .reads = std::move(reads),
          .writes = writes,
          .may_replace = std::move(may_replace)};
}

Program program_of(std::vector<Buffer> buffers, std::vector<Step> steps, int result) {
  Program program;
  program.buffers = std::move(buffers);
  program.steps = std::move(steps);
  program.result = {result, row_major({1}), CodeType::kUInt8, 0, 0, 255};
  return program;
}

// Runs a program whose steps fill their buffers with numbers of their own.
class Simulation {
 public:
  explicit Simulation(const Program& program)
      : program_(program),
        arena_(static_cast<std::size_t>(program.arena_bytes), -1),
        written_(program.buffers.size(), -1) {}

  void run() {
    for (std::size_t number = 0; number < program_.steps.size(); ++number) {
      const Step& step = program_.steps[number];
      for (const int read : step.reads) expect_kept(read, number);
      expect_no_overlap(step, number);
      written_[static_cast<std::size_t>(step.writes)] = static_cast<std::int64_t>(number);
      for (std::int64_t& owner : bytes_of(step.writes)) owner = static_cast<std::int64_t>(number);
    }
    expect_kept(program_.result.buffer, program_.steps.size());
  }

  // Buffers that lie over one that their step may replace.
  [[nodiscard]] int num_replaced() const { return num_replaced_; }

 private:
  std::span<std::int64_t> bytes_of(int index) {
    const Buffer& buffer = program_.buffers[static_cast<std::size_t>(index)];
    return std::span(arena_).subspan(static_cast<std::size_t>(buffer.offset),
                                     static_cast<std::size_t>(buffer.bytes));
  }

  [[nodiscard]] bool is_in_arena(int index) const {
    const Buffer& buffer = program_.buffers[static_cast<std::size_t>(index)];
    return buffer.constant == nullptr && !buffer.is_image;
  }

  void expect_kept(int index, std::size_t number) {
    if (!is_in_arena(index)) return;
    const std::int64_t owner = written_[static_cast<std::size_t>(index)];
    const auto bytes = bytes_of(index);
    ASSERT_TRUE(std::all_of(bytes.begin(), bytes.end(), [&](auto byte) { return byte == owner; }))
        << "step " << number << " reads buffer " << index;
  }

  // A step may write over what it reads only where it says so.
  void expect_no_overlap(const Step& step, std::size_t number) {
    const Buffer& out = program_.buffers[static_cast<std::size_t>(step.writes)];
    ASSERT_EQ(out.offset % 64, 0);
    ASSERT_LE(out.offset + out.bytes, program_.arena_bytes);
    for (const int read : step.reads) {
      if (!is_in_arena(read) || read == step.writes) continue;
      const Buffer& in = program_.buffers[static_cast<std::size_t>(read)];
      const bool overlaps = in.offset < out.offset + out.bytes && out.offset < in.offset + in.bytes;
      const bool may = std::count(step.may_replace.begin(), step.may_replace.end(), read) > 0;
      ASSERT_TRUE(!overlaps || (may && in.offset == out.offset))
          << "step " << number << " reads buffer " << read;
      if (overlaps) ++num_replaced_;
    }
  }

  const Program& program_;
  std::vector<std::int64_t> arena_;    // the step that wrote each byte last
  std::vector<std::int64_t> written_;  // the step that wrote each buffer last
  int num_replaced_ = 0;
};

int simulate(Program& program) {
  plan_memory(program);
  Simulation simulation(program);
  simulation.run();
  return simulation.num_replaced();
}

TEST(PlanMemory, SharesBytesOfWhatIsDone) {
  // 0 -> 1 -> 2 -> 3: two buffers live at a time.
  Program program =
      program_of({buffer_of(100), buffer_of(100), buffer_of(100), buffer_of(100)},
                 {step_of(0, {}), step_of(1, {0}), step_of(2, {1}), step_of(3, {2})}, 3);
  EXPECT_EQ(simulate(program), 0);
  EXPECT_EQ(program.arena_bytes, 256);
}

TEST(PlanMemory, WritesOverWhatIsReadForTheLastTime) {
  Program program = program_of({buffer_of(100), buffer_of(100), buffer_of(50)},
                               {step_of(0, {}), step_of(1, {0}, {0}), step_of(2, {1}, {1})}, 2);
  EXPECT_EQ(simulate(program), 2);
  EXPECT_EQ(program.arena_bytes, 128);
}

TEST(PlanMemory, KeepsWhatIsReadAgain) {
  Program program =
      program_of({buffer_of(64), buffer_of(64), buffer_of(64)},
                 {step_of(0, {}), step_of(1, {0}, {0}), step_of(2, {0, 1}, {0, 1})}, 2);
  EXPECT_EQ(simulate(program), 1);
  EXPECT_EQ(program.arena_bytes, 128);
}

TEST(PlanMemory, KeepsTheResult) {
  // The result is read by a later step, which may not replace it.
  Program program =
      program_of({buffer_of(64), buffer_of(64)}, {step_of(0, {}), step_of(1, {0}, {0})}, 0);
  EXPECT_EQ(simulate(program), 0);
}

TEST(PlanMemory, ReplacesNothingThatIsTooSmall) {
  Program program =
      program_of({buffer_of(64), buffer_of(65)}, {step_of(0, {}), step_of(1, {0}, {0})}, 1);
  EXPECT_EQ(simulate(program), 0);
  EXPECT_EQ(program.arena_bytes, 192);
}

TEST(PlanMemory, ReplacesNeitherConstantsNorTheImage) {
  Buffer constant = buffer_of(64);
  constant.constant = std::make_shared<const std::vector<std::byte>>(64);
  Buffer image = buffer_of(64);
  image.is_image = true;
  Program program = program_of({constant, image, buffer_of(64), buffer_of(64)},
                               {step_of(2, {0}, {0}), step_of(3, {1, 2}, {1})}, 3);
  EXPECT_EQ(simulate(program), 0);
  EXPECT_EQ(program.buffers[0].offset, -1);
  EXPECT_EQ(program.buffers[1].offset, -1);
  EXPECT_EQ(program.arena_bytes, 128);
}

TEST(PlanMemory, ReplacesNothingWithAPartOfABuffer) {
  // Buffer 2 is written by two steps, as a concatenation is.
  Program program =
      program_of({buffer_of(64), buffer_of(64), buffer_of(64)},
                 {step_of(0, {}), step_of(1, {}), step_of(2, {0}, {0}), step_of(2, {1}, {1})}, 2);
  EXPECT_LE(simulate(program), 1);
}

Program random_program(std::uint32_t seed) {
  std::mt19937 generator(seed);
  const auto from = [&](int lowest, int highest) {
    return std::uniform_int_distribution<int>(lowest, highest)(generator);
  };
  Program program;
  program.buffers.push_back(buffer_of(from(1, 300)));
  program.buffers[0].is_image = true;
  program.buffers.push_back(buffer_of(from(1, 300)));
  program.buffers[1].constant = std::make_shared<const std::vector<std::byte>>(300);
  const int count = from(1, 30);
  for (int i = 0; i < count; ++i) {
    const int last = static_cast<int>(program.buffers.size()) - 1;
    std::vector<int> reads;
    std::vector<int> may_replace;
    for (int k = from(1, 3); k > 0; --k) {
      // Mostly what was written just before.
      reads.push_back(from(0, 2) == 0 ? from(0, last) : std::max(0, last - from(0, 3)));
      if (from(0, 1) == 0) may_replace.push_back(reads.back());
    }
    program.buffers.push_back(buffer_of(from(0, 1) == 0 ? 100 : from(1, 300)));
    const bool is_twice = from(0, 7) == 0;
    if (is_twice) program.steps.push_back(step_of(last + 1, {reads[0]}));
    program.steps.push_back(step_of(last + 1, reads, is_twice ? std::vector<int>{} : may_replace));
  }
  const int result = from(2, static_cast<int>(program.buffers.size()) - 1);
  program.result = {result, row_major({1}), CodeType::kUInt8, 0, 0, 255};
  return program;
}

TEST(PlanMemory, LeavesNoStepWithoutItsInputs) {
  int num_replaced = 0;
  for (std::uint32_t seed = 0; seed < 3000; ++seed) {
    Program program = random_program(seed);
    num_replaced += simulate(program);
    if (HasFatalFailure()) FAIL() << "seed " << seed;
    std::int64_t total = 0;
    for (const Buffer& buffer : program.buffers) total += (buffer.bytes + 63) / 64 * 64;
    ASSERT_LE(program.arena_bytes, total);
  }
  EXPECT_GT(num_replaced, 1000);
}

// Buffers that all live until the end.
TEST(PlanMemory, PlacesManyBuffers) {
  constexpr int kCount = 20'000;
  Program program;
  std::vector<int> all;
  for (int i = 0; i < kCount; ++i) {
    program.buffers.push_back(buffer_of(1 + i % 100));
    program.steps.push_back(step_of(i, {}));
    all.push_back(i);
  }
  program.buffers.push_back(buffer_of(1));
  program.steps.push_back(step_of(kCount, all));
  program.result = {kCount, row_major({1}), CodeType::kUInt8, 0, 0, 255};
  plan_memory(program);
  std::map<std::int64_t, std::int64_t> ends;
  for (const Buffer& buffer : program.buffers) ends[buffer.offset] = buffer.offset + buffer.bytes;
  ASSERT_EQ(ends.size(), program.buffers.size());
  for (auto it = ends.begin(); std::next(it) != ends.end(); ++it) {
    ASSERT_LE(it->second, std::next(it)->first);
  }
}

}  // namespace
}  // namespace hybridquant::runtime
