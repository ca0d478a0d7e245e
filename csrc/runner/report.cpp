#include "runner/report.h"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "runtime/build_info.h"

namespace hybridquant::runner {

namespace {

using nlohmann::json;
using runtime::Model;

// A file name may hold any bytes.
std::string line(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

// Places of the largest logits, largest first; of equal ones the first.
std::vector<std::size_t> top_places(const std::vector<std::int32_t>& codes, std::int64_t count) {
  std::vector<std::size_t> places(codes.size());
  std::iota(places.begin(), places.end(), 0);
  const auto top = std::min(static_cast<std::size_t>(count), places.size());
  std::partial_sort(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(top), places.end(),
                    [&](std::size_t a, std::size_t b) {
                      return codes[a] > codes[b] || (codes[a] == codes[b] && a < b);
                    });
  places.resize(top);
  return places;
}

double logit(const Model& model, std::int32_t code) {
  return model.logit_scale() * static_cast<double>(code - model.logit_zero_point());
}

// The name of a logit, or null. Names belong to the last axis of the output.
const std::string* class_name(const Model& model, std::size_t place) {
  const std::vector<std::string>& classes = model.graph().classes;
  const auto last = static_cast<std::size_t>(model.program().result.view.sizes.back());
  return classes.size() == last ? &classes[place % last] : nullptr;
}

double median(const std::vector<double>& sorted) {
  return (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;
}

json info_json(const Model& model, const runtime::Session& session) {
  const runtime::Graph& graph = model.graph();
  const runtime::Program& program = model.program();
  return {{"producer", graph.producer},
          {"image_shape", model.image_shape()},
          {"num_logits", model.num_logits()},
          {"logit_scale", model.logit_scale()},
          {"logit_zero_point", model.logit_zero_point()},
          {"classes", graph.classes},
          {"preprocessing",
           {{"interpolation", graph.preprocessing.interpolation},
            {"crop_pct", graph.preprocessing.crop_pct},
            {"crop_mode", graph.preprocessing.crop_mode}}},
          {"nodes", graph.nodes.size()},
          {"copies", program.num_copies},
          {"constant_bytes", program.constant_bytes},
          {"arena_bytes", program.arena_bytes},
          {"session_bytes", session.memory_bytes()},
          {"largest_pair_bytes", program.largest_pair_bytes},
          {"isa", runtime::build_info().isa}};
}

json result_json(const Options& options, const Model& model, const Result& result) {
  json top = json::array();
  for (const std::size_t place : top_places(result.codes, options.num_top)) {
    const std::string* const name = class_name(model, place);
    top.push_back({{"index", place},
                   {"class", name == nullptr ? json() : json(*name)},
                   {"code", result.codes[place]},
                   {"logit", logit(model, result.codes[place])}});
  }
  json object{{"image", result.image},
              {"codes", result.codes},
              {"scale", model.logit_scale()},
              {"zero_point", model.logit_zero_point()},
              {"top", std::move(top)}};
  if (!result.milliseconds.empty()) {
    object["milliseconds"] = {{"runs", result.milliseconds.size()},
                              {"min", result.milliseconds.front()},
                              {"median", median(result.milliseconds)}};
  }
  return object;
}

}  // namespace

std::string info_text(const Options& options, const Model& model, const runtime::Session& session) {
  if (options.is_json) return line(info_json(model, session));
  const runtime::Graph& graph = model.graph();
  const runtime::Program& program = model.program();
  const runtime::Shape shape = model.image_shape();
  std::ostringstream out;
  out << "written by         " << graph.producer << "\n"
      << "image              " << shape[0] << " x " << shape[1] << " x " << shape[2] << "\n"
      << "preprocessing      " << graph.preprocessing.interpolation << ", crop_pct "
      << graph.preprocessing.crop_pct << ", " << graph.preprocessing.crop_mode << "\n"
      << "logits             " << model.num_logits() << ", " << model.logit_scale() << " * (code - "
      << model.logit_zero_point() << ")\n"
      << "class names        " << graph.classes.size() << "\n"
      << "nodes              " << graph.nodes.size() << "\n"
      << "copies             " << program.num_copies << "\n"
      << "weights and tables " << program.constant_bytes << " bytes\n"
      << "activations        " << program.arena_bytes << " bytes\n"
      << "session            " << session.memory_bytes() << " bytes\n"
      << "largest pair       " << program.largest_pair_bytes << " bytes\n"
      << "instruction set    " << runtime::build_info().isa << "\n";
  return out.str();
}

std::string result_text(const Options& options, const Model& model, const Result& result) {
  if (options.is_json) return line(result_json(options, model, result));
  std::ostringstream out;
  out << result.image << "\n";
  for (const std::size_t place : top_places(result.codes, options.num_top)) {
    const std::string* const name = class_name(model, place);
    out << std::setw(7) << place << std::setw(13) << logit(model, result.codes[place])
        << (name == nullptr ? "" : "  " + *name) << "\n";
  }
  if (options.shows_codes) {
    out << "  codes";
    for (const std::int32_t code : result.codes) out << " " << code;
    out << "\n";
  }
  if (!result.milliseconds.empty()) {
    out << "  " << result.milliseconds.size() << " runs, min " << result.milliseconds.front()
        << " ms, median " << median(result.milliseconds) << " ms\n";
  }
  return out.str();
}

std::string memory_text(const Options& options, std::int64_t peak_bytes) {
  if (options.is_json) return line({{"peak_process_bytes", peak_bytes}});
  return "peak of the process " + std::to_string(peak_bytes) + " bytes\n";
}

}  // namespace hybridquant::runner
