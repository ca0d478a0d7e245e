# Ring 2: the ops library, through torch's stable ABI: one build for every torch from the target on.
# Torch is loaded before this library is, so nothing of torch's path is written into it.
add_library(hybridquant_ops SHARED
  csrc/ops/affine_arguments.cpp
  csrc/ops/dequantize_affine.cpp
  csrc/ops/fake_quant_affine.cpp
  csrc/ops/fake_quant_affine_grad.cpp
  csrc/ops/fake_quant_levels.cpp
  csrc/ops/level_arguments.cpp
  csrc/ops/portable_affine.cpp
  csrc/ops/portable_levels.cpp
  csrc/ops/quantize_affine.cpp
  csrc/ops/run_integer_model.cpp)
target_compile_definitions(hybridquant_ops PRIVATE TORCH_TARGET_VERSION=0x020a000000000000)
target_compile_options(hybridquant_ops PRIVATE -Wall -Wextra -Werror)
target_link_libraries(hybridquant_ops PRIVATE
  hybridquant_kernels hybridquant_runtime hybridquant_torch_headers hybridquant_torch_cpu)

# Ring 3: the Python module for what carries no tensors. The torch wheel brings pybind11's headers.
Python_add_library(hybridquant_python MODULE WITH_SOABI csrc/bindings/module.cpp)
set_target_properties(hybridquant_python PROPERTIES OUTPUT_NAME _C)
target_compile_options(hybridquant_python PRIVATE -Wall -Wextra -Werror)
target_link_libraries(hybridquant_python PRIVATE hybridquant_runtime hybridquant_torch_headers)

set_target_properties(hybridquant_ops hybridquant_python PROPERTIES SKIP_BUILD_RPATH ON INSTALL_RPATH "")
install(TARGETS hybridquant_ops hybridquant_python
  LIBRARY DESTINATION . COMPONENT python)
