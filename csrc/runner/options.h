// The command line of hybridquant-run.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace hybridquant::runner {

struct Options {
  std::string model;
  std::vector<std::string> images;
  std::int64_t num_threads = 1;
  std::int64_t num_top = 5;
  std::int64_t num_timed_runs = 0;
  bool is_json = false;
  bool is_raw = false;
  bool shows_codes = false;
  bool shows_info = false;
  bool shows_memory = false;
  bool shows_help = false;
  bool shows_version = false;
};

// A command line that is not as the help says. The text names the argument.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The options of a command line without the program's name. Throws UsageError.
Options parse_options(std::span<char*> arguments);

extern const char* const kHelp;

}  // namespace hybridquant::runner
