// The pybind11 module: what carries no tensors. Tensors go through the ops library.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "runtime/build_info.h"
#include "runtime/error.h"
#include "runtime/model.h"
#include "runtime/session.h"

namespace py = pybind11;

namespace hybridquant::bindings {

namespace {

using runtime::Model;
using runtime::Session;
using runtime::Shape;
using Images = py::array_t<std::uint8_t, py::array::c_style>;

// A session together with the model that it runs.
class SharedSession {
 public:
  SharedSession(std::shared_ptr<const Model> model, std::int64_t num_threads)
      : model_(std::move(model)), session_(*model_, num_threads) {}

  const Model& model() { return *model_; }
  Session& session() { return session_; }

 private:
  std::shared_ptr<const Model> model_;
  Session session_;
};

py::dict build_info() {
  const runtime::BuildInfo info = runtime::build_info();
  py::dict result;
  result["version"] = info.version;
  result["compiler"] = info.compiler;
  result["torch_target"] = info.torch_target;
  result["available_isas"] = info.available_isas;
  result["isa"] = info.isa;
  return result;
}

py::dict describe(const Model& model) {
  const runtime::Graph& graph = model.graph();
  const runtime::Program& program = model.program();
  py::dict preprocessing;
  preprocessing["interpolation"] = graph.preprocessing.interpolation;
  preprocessing["crop_pct"] = graph.preprocessing.crop_pct;
  preprocessing["crop_mode"] = graph.preprocessing.crop_mode;
  py::dict result;
  result["producer"] = graph.producer;
  result["image_shape"] = model.image_shape();
  result["num_logits"] = model.num_logits();
  result["logit_scale"] = model.logit_scale();
  result["logit_zero_point"] = model.logit_zero_point();
  result["classes"] = graph.classes;
  result["preprocessing"] = preprocessing;
  result["nodes"] = graph.nodes.size();
  result["copies"] = program.num_copies;
  result["constant_bytes"] = program.constant_bytes;
  result["arena_bytes"] = program.arena_bytes;
  result["largest_pair_bytes"] = program.largest_pair_bytes;
  return result;
}

// A copy of a tensor's codes.
py::array array_of(const runtime::TensorInfo& tensor, std::span<const std::byte> codes) {
  const std::vector<py::ssize_t> sizes(tensor.shape.begin(), tensor.shape.end());
  return py::array(py::dtype(runtime::type_name(tensor.type)), sizes, codes.data());
}

// Python functions take a list of arrays and return one, of the output's type and shape.
runtime::Externals externals_of(const std::map<std::string, py::function>& functions) {
  runtime::Externals externals;
  for (const auto& [name, held] : functions) {
    // The last copy may go where Python's lock is not held.
    const std::shared_ptr<py::function> function(new py::function(held), [](py::function* last) {
      const py::gil_scoped_acquire acquire;
      delete last;
    });
    externals[name] = [name, function](std::span<const runtime::ExternalInput> inputs,
                                       const runtime::TensorInfo& output,
                                       std::span<std::byte> codes) {
      const py::gil_scoped_acquire acquire;
      py::list arguments;
      for (const auto& [tensor, bytes] : inputs) arguments.append(array_of(tensor, bytes));
      const py::array result = (*function)(arguments);
      const Shape shape(result.shape(), result.shape() + result.ndim());
      runtime::require(
          shape == output.shape && result.dtype().equal(py::dtype(runtime::type_name(output.type))),
          "function '", name, "' must return ", runtime::type_name(output.type), " ",
          runtime::list_text(output.shape), ", got another type or shape");
      const py::array row_major = py::array::ensure(result, py::array::c_style);
      std::memcpy(codes.data(), row_major.data(), codes.size());
    };
  }
  return externals;
}

Model parse(const py::bytes& file, const std::map<std::string, py::function>& functions) {
  const runtime::Externals externals = externals_of(functions);
  char* data = nullptr;
  py::ssize_t size = 0;
  if (PyBytes_AsStringAndSize(file.ptr(), &data, &size) != 0) throw py::error_already_set();
  const auto* const bytes = reinterpret_cast<const std::byte*>(data);
  const py::gil_scoped_release release;
  return Model::parse({bytes, static_cast<std::size_t>(size)}, externals);
}

// Throws ModelError where images are not [count, channels, height, width] of the model.
void check_images(const Model& model, const Images& images, const char* function) {
  Shape shape(images.shape(), images.shape() + images.ndim());
  Shape wanted = model.image_shape();
  const bool is_good = shape.size() == 4 && Shape(shape.begin() + 1, shape.end()) == wanted;
  runtime::require(is_good, function, ": images must have shape [images, ", wanted[0], ", ",
                   wanted[1], ", ", wanted[2], "], got ", runtime::list_text(shape));
}

py::array_t<std::int32_t> run(SharedSession& shared, const Images& images) {
  check_images(shared.model(), images, "run");
  const py::ssize_t count = images.shape(0);
  py::array_t<std::int32_t> logits({count, static_cast<py::ssize_t>(shared.model().num_logits())});
  std::int32_t* const out = logits.mutable_data();
  const std::uint8_t* const in = images.data();
  const py::gil_scoped_release release;
  shared.session().run(out, in, count);
  return logits;
}

py::list trace(SharedSession& shared, const Images& image) {
  check_images(shared.model(), image, "trace");
  runtime::require(image.shape(0) == 1, "trace: images must be one, got ", image.shape(0));
  py::list result;
  const std::uint8_t* const in = image.data();
  // Held while waiting for another thread's run, the lock would keep its functions from running.
  const py::gil_scoped_release release;
  shared.session().trace(in, [&](std::size_t node, const runtime::TensorInfo& tensor,
                                 std::span<const std::byte> codes) {
    const py::gil_scoped_acquire acquire;
    result.append(py::make_tuple(node, tensor.name, array_of(tensor, codes)));
  });
  return result;
}

}  // namespace

void define(py::module_& module) {
  module.doc() = "hybridquant's compiled parts that carry no tensors.";
  module.def("build_info", build_info,
             "Return the version, compiler, torch target and instruction sets of this build.");
  py::register_exception<runtime::ModelError>(module, "ModelError", PyExc_ValueError);
  py::class_<Model, std::shared_ptr<Model>>(module, "Model",
                                            "An integer model file, checked and ready to run.")
      .def_static(
          "load",
          [](const std::string& path) {
            const py::gil_scoped_release release;
            return std::make_shared<Model>(Model::load(path));
          },
          py::arg("path"), "Read a model file; raises ModelError.")
      .def_static(
          "parse",
          [](const py::bytes& file, const std::map<std::string, py::function>& functions) {
            return std::make_shared<Model>(parse(file, functions));
          },
          py::arg("file"), py::arg("functions") = py::dict(),
          "Read the bytes of a model file whose nodes may call functions; raises ModelError.")
      .def("describe", describe, "Return what the model takes and gives, and what it costs.");
  py::class_<SharedSession>(module, "Session", "Runs a model; holds the memory of one run.")
      .def(py::init<std::shared_ptr<Model>, std::int64_t>(), py::arg("model"),
           py::arg("num_threads") = 1)
      .def("run", run, py::arg("images").noconvert(),
           "Return the logits' codes, int32 [images, logits], of uint8 [images, c, h, w].")
      .def("trace", trace, py::arg("image").noconvert(),
           "Return (node, name, codes) of every node for uint8 [1, c, h, w].")
      .def_property_readonly("memory_bytes",
                             [](SharedSession& shared) { return shared.session().memory_bytes(); });
}

}  // namespace hybridquant::bindings

PYBIND11_MODULE(_C, module) { hybridquant::bindings::define(module); }
