# Imported targets for the torch wheel of the configuring Python. find_package(Torch) would ask for a
# CUDA compiler.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c
    "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
  OUTPUT_VARIABLE HYBRIDQUANT_TORCH_DIR OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE HYBRIDQUANT_TORCH_RESULT ERROR_QUIET)
if(NOT HYBRIDQUANT_TORCH_RESULT EQUAL 0)
  message(FATAL_ERROR "hybridquant: ${Python_EXECUTABLE} must have torch 2.10 or later; "
    "install it, or name another Python with -DPython_EXECUTABLE=...")
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
