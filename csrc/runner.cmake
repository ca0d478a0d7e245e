# Ring 1, for programs that run models on photographs. The package needs none of these libraries.
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
add_library(hybridquant_preprocessing STATIC csrc/runtime/image.cpp csrc/runtime/model_image.cpp)
target_link_libraries(hybridquant_preprocessing PUBLIC hybridquant_runtime PRIVATE hybridquant_warnings)
add_library(hybridquant_images STATIC csrc/runtime/image_file.cpp)
target_link_libraries(hybridquant_images
  PUBLIC hybridquant_preprocessing PRIVATE hybridquant_warnings JPEG::JPEG PNG::PNG)

# The command line.
add_executable(hybridquant_run csrc/runner/main.cpp csrc/runner/options.cpp csrc/runner/report.cpp)
set_target_properties(hybridquant_run PROPERTIES OUTPUT_NAME hybridquant-run)
target_include_directories(hybridquant_run SYSTEM PRIVATE "${HYBRIDQUANT_JSON_DIR}")
target_link_libraries(hybridquant_run PRIVATE hybridquant_images hybridquant_warnings)
install(TARGETS hybridquant_run RUNTIME DESTINATION bin COMPONENT runner)
