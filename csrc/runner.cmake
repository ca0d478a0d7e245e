# Ring 1, for programs that run models on photographs.
add_library(hybridquant_images STATIC csrc/runtime/image.cpp)
target_include_directories(hybridquant_images PUBLIC csrc)
target_link_libraries(hybridquant_images PRIVATE hybridquant_warnings)
