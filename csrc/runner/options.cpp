#include "runner/options.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <string_view>

#include "runtime/error.h"

namespace hybridquant::runner {

namespace {

using runtime::text;

struct Switch {
  std::string_view name;
  bool Options::* value;
};

struct Number {
  std::string_view name;
  std::int64_t Options::* value;
  std::int64_t lowest;
  std::int64_t highest;
};

constexpr Switch kSwitches[] = {
    {"--json", &Options::is_json},         {"--raw", &Options::is_raw},
    {"--codes", &Options::shows_codes},    {"--info", &Options::shows_info},
    {"--memory", &Options::shows_memory},  {"--help", &Options::shows_help},
    {"--version", &Options::shows_version}};

// Far more threads than processors have.
constexpr Number kNumbers[] = {{"--threads", &Options::num_threads, 1, 1024},
                               {"--top", &Options::num_top, 0, 1'000'000},
                               {"--time", &Options::num_timed_runs, 1, 1'000'000}};

class Parser {
 public:
  explicit Parser(std::span<char*> arguments) : rest_(arguments.begin(), arguments.end()) {
    std::reverse(rest_.begin(), rest_.end());
  }

  Options run() {
    while (!rest_.empty()) {
      const std::string argument = take();
      if (argument == "--") {
        while (!rest_.empty()) add_file(take());
      } else if (argument.starts_with("-")) {
        set_option(argument);
      } else {
        add_file(argument);
      }
    }
    if (!options_.shows_help && !options_.shows_version) check();
    return std::move(options_);
  }

 private:
  std::string take() {
    std::string argument = std::move(rest_.back());
    rest_.pop_back();
    return argument;
  }

  void add_file(std::string path) {
    if (!has_model_) {
      options_.model = std::move(path);
      has_model_ = true;
    } else {
      options_.images.push_back(std::move(path));
    }
  }

  void set_option(const std::string& argument) {
    const std::string name = argument.substr(0, argument.find('='));
    std::optional<std::string> value;
    if (name.size() < argument.size()) value = argument.substr(name.size() + 1);
    const auto has_name = [&](const auto& option) { return option.name == name; };
    if (const auto* const found = std::ranges::find_if(kSwitches, has_name);
        found != std::end(kSwitches)) {
      if (value) throw UsageError(text(name, " must have no value, got '", *value, "'"));
      options_.*(found->value) = true;
      return;
    }
    const auto* const found = std::ranges::find_if(kNumbers, has_name);
    if (found == std::end(kNumbers)) {
      throw UsageError(text("options must be those of the help, got ", name));
    }
    if (!value && rest_.empty()) throw UsageError(text(name, " must have a value, got none"));
    options_.*(found->value) = number(*found, value ? *value : take());
  }

  static std::int64_t number(const Number& option, const std::string& value) {
    std::int64_t result = 0;
    const char* const end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, result);
    if (error != std::errc() || stop != end || result < option.lowest || result > option.highest) {
      throw UsageError(text(option.name, " must be a whole number from ", option.lowest, " to ",
                            option.highest, ", got '", value, "'"));
    }
    return result;
  }

  void check() const {
    if (!has_model_) throw UsageError("MODEL must be given");
    if (options_.images.empty() && !options_.shows_info) {
      throw UsageError("at least one IMAGE must be given, or --info");
    }
  }

  std::vector<std::string> rest_;  // from last to first
  Options options_;
  bool has_model_ = false;
};

}  // namespace

Options parse_options(std::span<char*> arguments) { return Parser(arguments).run(); }

const char* const kHelp =
    R"(usage: hybridquant-run [options] MODEL IMAGE...

Runs an integer model file on JPEG and PNG files and prints the top classes of each.

  --threads N  use N threads, 1 unless told; they change no result
  --top K      print K classes, 5 unless told
  --codes      print the integer codes of all logits too
  --json       print one JSON object a line, with the codes of all logits
  --raw        an IMAGE is a file of nothing but the bytes that the model takes, [channels, height,
               width]
  --info       first print what the model takes, gives and costs; no IMAGE is needed then
  --time N     run each image N times more and print their least and their median time
  --memory     last print the most memory that the process had
  --help       print this
  --version    print the version and the instruction set in use

A class is printed as its place among the logits, its logit, and its name. Photographs are resized
and cut as the model file says.

exit code: 0 done; 1 an image cannot be used, the others are done; 2 wrong arguments; 3 the model
cannot be used
)";

}  // namespace hybridquant::runner
