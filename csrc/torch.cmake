# Imported targets for the torch wheel of the configuring Python. find_package(Torch) would ask for a
# CUDA compiler.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c "
import importlib.metadata, importlib.util
print(importlib.metadata.version('torch'))
print(importlib.util.find_spec('torch').submodule_search_locations[0])"
  OUTPUT_VARIABLE HYBRIDQUANT_TORCH OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE HYBRIDQUANT_TORCH_RESULT ERROR_QUIET)
set(HYBRIDQUANT_TORCH_VERSION "no torch")
if(HYBRIDQUANT_TORCH_RESULT EQUAL 0)
  string(REGEX MATCH "^[^\n]+" HYBRIDQUANT_TORCH_VERSION "${HYBRIDQUANT_TORCH}")
  string(REGEX MATCH "[^\n]+$" HYBRIDQUANT_TORCH_DIR "${HYBRIDQUANT_TORCH}")
endif()
if(NOT HYBRIDQUANT_TORCH_VERSION VERSION_GREATER_EQUAL HYBRIDQUANT_TORCH_TARGET)
  message(FATAL_ERROR "hybridquant: ${Python_EXECUTABLE} must have torch "
    "${HYBRIDQUANT_TORCH_TARGET} or later, got ${HYBRIDQUANT_TORCH_VERSION}; install it, or name "
    "another Python with -DPython_EXECUTABLE=...")
endif()

add_library(hybridquant_torch_headers INTERFACE)
target_include_directories(hybridquant_torch_headers SYSTEM INTERFACE
  "${HYBRIDQUANT_TORCH_DIR}/include"
  "${HYBRIDQUANT_TORCH_DIR}/include/torch/csrc/api/include")

foreach(library IN ITEMS torch_cpu torch c10)
  add_library(hybridquant_${library} SHARED IMPORTED)
  set_target_properties(hybridquant_${library} PROPERTIES
    IMPORTED_LOCATION "${HYBRIDQUANT_TORCH_DIR}/lib/lib${library}.so"
    IMPORTED_NO_SONAME OFF)
endforeach()
add_compile_options("$<$<CONFIG:Release>:-ffile-prefix-map=${HYBRIDQUANT_TORCH_DIR}/=torch/>")
