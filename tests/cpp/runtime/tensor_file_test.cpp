#include "runtime/tensor_file.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "runtime/model_testing.h"

namespace hybridquant::runtime {
namespace {

// Two tensors, 2 x 3 int16 and 1 uint8, and a text.
const char* const kHeader = R"({"__metadata__":{"a":"text"},)"
                            R"("x":{"dtype":"I16","shape":[2,3],"data_offsets":[0,12]},)"
                            R"("y":{"dtype":"U8","shape":[1],"data_offsets":[12,13]}})";

Bytes data() {
  Bytes bytes;
  append(bytes, CodeType::kInt16, {1, -2, 3, -4, 5, -6});
  append(bytes, CodeType::kUInt8, {200});
  return bytes;
}

std::string parse_error(const Bytes& file) {
  try {
    const TensorFile tensors(file);
  } catch (const ModelError& error) {
    return error.what();
  }
  return "nothing";
}

// The header with one part of its text replaced.
std::string replaced(const std::string& part, const std::string& by) {
  std::string header = kHeader;
  const std::size_t place = header.find(part);
  EXPECT_NE(place, std::string::npos) << part;
  return header.replace(place, part.size(), by);
}

TEST(TensorFile, FindsTensorsAndTexts) {
  const Bytes file = container(kHeader, data());
  TensorFile tensors(file);
  EXPECT_EQ(tensors.metadata("a"), "text");
  const StoredTensor& x = tensors.tensor("x", "x's user");
  EXPECT_EQ(x.type, CodeType::kInt16);
  EXPECT_EQ(x.shape, Shape({2, 3}));
  EXPECT_EQ(values_of(x.bytes, x.type), Values({1, -2, 3, -4, 5, -6}));
  const StoredTensor& y = tensors.find("y", "y's user");
  EXPECT_EQ(values_of(y.bytes, y.type), Values({200}));
}

TEST(TensorFile, AcceptsSpacesBehindTheHeader) {
  EXPECT_EQ(parse_error(container(std::string(kHeader) + "   ", data())), "nothing");
}

TEST(TensorFile, GivesEachTensorToOneUser) {
  const Bytes file = container(kHeader, data());
  TensorFile tensors(file);
  tensors.tensor("x", "node 1");
  EXPECT_THROW(
      {
        try {
          tensors.tensor("x", "node 2");
        } catch (const ModelError& error) {
          EXPECT_STREQ(error.what(), "node 2: tensor 'x' must have one user, and has another");
          throw;
        }
      },
      ModelError);
  EXPECT_THROW(tensors.tensor("z", "node 2"), ModelError);
  EXPECT_THROW(static_cast<void>(tensors.find("z", "node 2")), ModelError);
  EXPECT_THROW(static_cast<void>(tensors.metadata("b")), ModelError);
  EXPECT_THROW(tensors.check_all_used(), ModelError);
  tensors.tensor("y", "node 2");
  EXPECT_NO_THROW(tensors.check_all_used());
}

struct Wrong {
  const char* part;  // of the header
  const char* by;
  const char* error;
};

const Wrong kWrong[] = {
    {"\"I16\"", "\"F16\"", "tensor 'x': dtype must be U8, I8, I16, I32 or I64, got F16"},
    {"\"I16\"", "3", "tensor 'x': dtype must be a string, got number"},
    {"[2,3]", "[2,-3]", "tensor 'x': shape must be 1 to 2147483647, got -3"},
    {"[2,3]", "[2,3.0]", "tensor 'x': shape must be an integer, got number"},
    {"[2,3]", "[2,18446744073709551615]", "must be 1 to 2147483647, got 18446744073709551615"},
    {"[2,3]", "6", "tensor 'x': shape must be a list of integers, got number"},
    {"[2,3]", "[2,3,1,1,1,1,1]", "tensor 'x': shape must have at most 6 axes, got [2, 3, 1, 1"},
    {"[2,3]", "[65536,32768]", "tensor 'x': shape must have fewer than 2^31 elements"},
    {"[2,3]", "[2147483647,2147483647,2]", "tensor 'x': shape must have fewer than 2^31 elements"},
    {"[1],\"data_offsets\":[12,13]", "[0],\"data_offsets\":[12,12]", "must be 1 to 2147483647"},
    {"[0,12]", "[0,11]", "tensor 'x': data_offsets must be two numbers 12 apart, as shape and"},
    {"[0,12]", "[12,0]", "tensor 'x': data_offsets must be two numbers 12 apart, as shape and"},
    {"[0,12]", "[0,12,13]", "tensor 'x': data_offsets must be two numbers 12 apart"},
    {"[0,12]", "[-1,11]", "tensor 'x': data_offsets must be 0 to 13, got -1"},
    {"[0,12]", "[2,14]", "tensor 'x': data_offsets must be 0 to 13, got 14"},
    {"[0,12]", "[1,13]", "tensor 'x': data_offsets must begin at 0, got 1"},
    {"[12,13]", "[11,12]", "tensor 'y': data_offsets must begin at 12, got 11"},
    {",\"data_offsets\":[0,12]", "", "tensor 'x': must have the key 'data_offsets'"},
    {"\"dtype\":\"I16\"", "\"a\":1,\"dtype\":\"I16\"", "tensor 'x': unknown key 'a'"},
    {"{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[12,13]}", "1", "must be an object"},
    {"\"text\"", "1", "__metadata__.a must be a string, got number"},
    {"{\"a\":\"text\"}", "[]", "__metadata__ must be an object"},
    {"\"y\":", "\"x\":", "model file: header: must have each key once, got 'x' twice"},
    {"\"a\":\"text\"", "\"a\":\"text\",\"a\":\"b\"", "must have each key once, got 'a' twice"},
    {"\"y\"", "\"y", "model file: header: must be JSON, got: "},
    {"\"y\"", "\"\xff\"", "model file: header: must be JSON, got: "},
    {"\"text\"", "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", "must be nested at most 16 deep"},
};

TEST(TensorFile, NamesWhatIsWrong) {
  for (const Wrong& wrong : kWrong) {
    const std::string error = parse_error(container(replaced(wrong.part, wrong.by), data()));
    EXPECT_NE(error.find(wrong.error), std::string::npos)
        << wrong.by << ": expected " << wrong.error << ", got " << error;
  }
}

TEST(TensorFile, RefusesBytesOfNoTensor) {
  Bytes more = data();
  more.push_back(std::byte{0});
  EXPECT_EQ(parse_error(container(kHeader, more)),
            "model file: tensors must end at byte 14 of the data, got 13");
  EXPECT_EQ(parse_error(container("{}", {std::byte{0}})),
            "model file: tensors must end at byte 1 of the data, got 0");
  EXPECT_EQ(parse_error(container("[]")), "model file: header must be an object");
}

TEST(TensorFile, RefusesEveryBeginningOfAFile) {
  const Bytes file = container(kHeader, data());
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(parse_error({file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size)}),
              "nothing")
        << size;
  }
  EXPECT_EQ(parse_error(file), "nothing");
}

TEST(TensorFile, RefusesLengthsBeyondTheFile) {
  Bytes file = container(kHeader, data());
  const auto with_length = [&](std::uint64_t length) {
    for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<std::byte>(length >> (8 * i));
    return parse_error(file);
  };
  EXPECT_NE(with_length(file.size() - 7).find("must lie within the file's"), std::string::npos);
  EXPECT_NE(with_length(1 << 24).find("must lie within the file's"), std::string::npos);
  EXPECT_NE(with_length((1 << 24) + 1).find("must be at most 16777216 bytes"), std::string::npos);
  EXPECT_NE(with_length(~std::uint64_t{0}).find("must be at most"), std::string::npos);
}

TEST(ReadFile, ReadsBytesAndNamesTheFileThatItCannotRead) {
  const auto folder = std::filesystem::temp_directory_path() / "hybridquant_read_file_test";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "file").string();
  std::ofstream(path) << "abc";
  EXPECT_EQ(read_file(path), Bytes({std::byte{'a'}, std::byte{'b'}, std::byte{'c'}}));
  // A file with a hole, which takes no room on the disk.
  std::filesystem::resize_file(path, (std::uintmax_t{1} << 30) + 1);
  const auto error = [](const std::string& name) {
    try {
      read_file(name);
    } catch (const ModelError& caught) {
      return std::string(caught.what());
    }
    return std::string("nothing");
  };
  EXPECT_EQ(error(path), path + ": must have at most 1073741824 bytes, got 1073741825");
  EXPECT_EQ(error(path + ".none"), path + ".none: cannot be opened");
  EXPECT_EQ(error(folder.string()), folder.string() + ": must be a file, not a folder");
  const std::string too_long(5000, 'x');
  EXPECT_EQ(error(too_long), too_long + ": cannot be opened");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace hybridquant::runtime
