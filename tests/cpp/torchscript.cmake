# A TorchScript file run by LibTorch. Python writes the file and what it computed; C++ must compute the
# same bits.
add_executable(torchscript_test torchscript_test.cpp)
target_compile_options(torchscript_test PRIVATE -Wall -Wextra)
target_compile_definitions(torchscript_test PRIVATE
  HYBRIDQUANT_OPS_LIBRARY="$<TARGET_FILE:hybridquant_ops>")
target_link_libraries(torchscript_test PRIVATE
  GTest::gtest_main hybridquant_torch_headers hybridquant_torch_cpu hybridquant_c10 ${CMAKE_DL_LIBS})
add_dependencies(torchscript_test hybridquant_ops)

set(fixture "${CMAKE_CURRENT_BINARY_DIR}/torchscript_fixture")
add_test(NAME make_torchscript_fixture
  COMMAND "${Python_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/make_torchscript_fixture.py" "${fixture}")
set_tests_properties(make_torchscript_fixture PROPERTIES FIXTURES_SETUP torchscript LABELS libtorch)
gtest_discover_tests(torchscript_test
  DISCOVERY_MODE PRE_TEST
  DISCOVERY_TIMEOUT 60
  PROPERTIES
    FIXTURES_REQUIRED torchscript
    ENVIRONMENT "HYBRIDQUANT_TORCHSCRIPT_FIXTURE=${fixture}"
    LABELS libtorch)
