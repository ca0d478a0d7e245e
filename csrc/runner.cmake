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
target_compile_options(hybridquant_run PRIVATE $<$<CONFIG:Release>:-Os>)
target_link_libraries(hybridquant_run PRIVATE hybridquant_images hybridquant_warnings)
install(TARGETS hybridquant_run RUNTIME DESTINATION bin COMPONENT runner)

# The library for programs of others: C calls, and nothing else is seen from outside.
add_library(hybridquant_c SHARED csrc/runtime/hybridquant_c.cpp)
set_target_properties(hybridquant_c PROPERTIES
  OUTPUT_NAME hybridquant_runtime
  EXPORT_NAME runtime
  VERSION "${HYBRIDQUANT_VERSION}"
  SOVERSION 1 # HYBRIDQUANT_API_VERSION
  PUBLIC_HEADER csrc/runtime/hybridquant.h
  LINK_DEPENDS "${PROJECT_SOURCE_DIR}/csrc/runtime/hybridquant.map")
target_compile_definitions(hybridquant_c PRIVATE HYBRIDQUANT_VERSION="${HYBRIDQUANT_VERSION}")
target_include_directories(hybridquant_c INTERFACE $<INSTALL_INTERFACE:include>)
target_link_options(hybridquant_c PRIVATE
  "LINKER:--version-script=${PROJECT_SOURCE_DIR}/csrc/runtime/hybridquant.map")
target_link_libraries(hybridquant_c PRIVATE hybridquant_preprocessing hybridquant_warnings)
install(TARGETS hybridquant_c EXPORT hybridquant
  LIBRARY DESTINATION lib COMPONENT embedding
  NAMELINK_COMPONENT embedding
  PUBLIC_HEADER DESTINATION include COMPONENT embedding)
install(EXPORT hybridquant NAMESPACE hybridquant:: FILE hybridquant-config.cmake
  DESTINATION lib/cmake/hybridquant COMPONENT embedding)
