# Ring 1, for programs that run models on photographs. The package needs none of these libraries.
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
add_library(hybridquant_images STATIC csrc/runtime/image.cpp csrc/runtime/image_file.cpp)
target_include_directories(hybridquant_images PUBLIC csrc)
target_link_libraries(hybridquant_images PRIVATE hybridquant_warnings JPEG::JPEG PNG::PNG)
