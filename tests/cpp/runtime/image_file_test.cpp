#include "runtime/image_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace hybridquant::runtime {
namespace {

using namespace std::string_view_literals;

// 2 x 1 levels of gray in 16 bits: 18 and 256.
constexpr std::string_view kDeepGray =
    "\x89PNG\r\n\x1a\n"
    "\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x01\x10\0\0\0\0\x81\xd9\xfc\x15"
    "\0\0\0\x0dIDAT\x78\x9c\x63\x60\x10\x62\x64\0\0\0\x3d\0\x14\xa4\x9a\xf5\x38"
    "\0\0\0\0IEND\xae\x42\x60\x82"sv;

constexpr std::string_view kHugePng =
    "\x89PNG\r\n\x1a\n"
    "\0\0\0\x0dIHDR\0\0\x4e\x20\0\0\x4e\x20\x08\x02\0\0\0\x6c\x12\xd1\x6e"
    "\0\0\0\0IDAT\x35\xaf\x06\x1e"sv;

// A frame of 65500 x 65500 pixels of one component, and the start of its scan.
constexpr std::string_view kHugeJpeg =
    "\xff\xd8"
    "\xff\xc0\0\x0b\x08\xff\xdc\xff\xdc\x01\x01\x11\0"
    "\xff\xda\0\x08\x01\x01\0\0\x3f\0"sv;

Photograph decode(std::string_view file) {
  return decode_photograph(std::as_bytes(std::span(file)), "photo");
}

// What is wrong with a file.
std::string error_of(std::string_view file) {
  try {
    decode(file);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "nothing";
}

TEST(DecodePhotograph, ReadsAFile) {
  const Photograph photograph = decode(kDeepGray);
  EXPECT_EQ(photograph.height, 1);
  EXPECT_EQ(photograph.width, 2);
  EXPECT_EQ(photograph.pixels, std::vector<std::uint8_t>({18, 18, 18, 255, 255, 255}));
}

TEST(DecodePhotograph, RefusesOtherFormats) {
  for (const std::string_view file :
       {""sv, "\xff\xd8"sv, "GIF89a"sv, "\x89PNG"sv, "P6 1 1 255 abc"sv}) {
    EXPECT_EQ(error_of(file), "photo: is neither a JPEG nor a PNG file");
  }
}

TEST(DecodePhotograph, RefusesTooManyPixelsBeforeItTakesMemory) {
  EXPECT_EQ(error_of(kHugePng), "photo: must have 1 to 178956970 pixels, got 20000 x 20000");
  EXPECT_EQ(error_of(kHugeJpeg), "photo: must have 1 to 178956970 pixels, got 65500 x 65500");
}

TEST(DecodePhotograph, SaysWhatTheLibraryFound) {
  std::string file(kDeepGray);
  file[19] = 3;
  EXPECT_EQ(error_of(file), "photo: cannot be decoded: IHDR: CRC error");
  EXPECT_EQ(error_of("\xff\xd8\xff\xd9"sv),
            "photo: cannot be decoded: JPEG datastream contains no image");
  EXPECT_EQ(error_of("\xff\xd8\xff\xe0"sv), "photo: cannot be decoded: the file is cut off");
}

TEST(DecodePhotograph, RefusesAFileThatIsCutOff) {
  for (std::size_t size = 8; size < kDeepGray.size(); ++size) {
    EXPECT_EQ(error_of(kDeepGray.substr(0, size)), "photo: cannot be decoded: the file is cut off");
  }
}

TEST(ReadPhotograph, NamesThePath) {
  const auto error_of_path = [](const std::string& path) -> std::string {
    try {
      read_photograph(path);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "nothing";
  };
  EXPECT_EQ(error_of_path("no/photo.jpg"), "no/photo.jpg: does not exist");
  EXPECT_EQ(error_of_path("."), ".: is no file");
  const std::string note = testing::TempDir() + "/note.png";
  std::ofstream(note) << "no image";
  EXPECT_EQ(error_of_path(note), note + ": is neither a JPEG nor a PNG file");
  std::ofstream(note, std::ios::binary) << kDeepGray;
  EXPECT_EQ(read_photograph(note).pixels, decode(kDeepGray).pixels);
}

}  // namespace
}  // namespace hybridquant::runtime
