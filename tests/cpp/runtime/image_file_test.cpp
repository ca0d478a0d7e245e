#include "runtime/image_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <vector>

#include "runtime/error.h"

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
  } catch (const ModelError& error) {
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

// The files of tests/golden/images, and what Python makes of them.
const std::string kGolden = HYBRIDQUANT_GOLDEN_IMAGES "/";

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// The lines of a kind in the manifest, without their first word.
std::vector<std::string> manifest(const std::string& kind) {
  std::istringstream file(content_of(kGolden + "manifest.txt"));
  std::vector<std::string> found;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kind + " ")) found.push_back(line.substr(kind.size() + 1));
  }
  EXPECT_FALSE(found.empty());
  return found;
}

// The names of the images.
std::vector<std::string> image_names() {
  std::vector<std::string> names;
  for (const std::string& line : manifest("file")) {
    if (!line.starts_with("expected.bin")) names.push_back(line.substr(0, line.find(' ')));
  }
  return names;
}

TEST(GoldenImages, BecomeWhatPythonMakesOfThem) {
  const std::string expected = content_of(kGolden + "expected.bin");
  std::size_t offset = 0;
  for (const std::string& line : manifest("case")) {
    SCOPED_TRACE(line);
    std::istringstream words(line);
    std::string name;
    Preprocessing to{};
    words >> name >> to.interpolation >> to.crop_pct >> to.crop_mode >> to.height >> to.width;
    ASSERT_FALSE(words.fail());
    const std::vector<std::uint8_t> image = preprocess(read_photograph(kGolden + name), to);
    ASSERT_LE(offset + image.size(), expected.size());
    EXPECT_EQ(std::string(image.begin(), image.end()), expected.substr(offset, image.size()));
    offset += image.size();
  }
  EXPECT_EQ(offset, expected.size());
}

TEST(GoldenImages, AreRefusedWhereTheyAreCutOff) {
  for (const std::string& name : image_names()) {
    SCOPED_TRACE(name);
    const std::string file = content_of(kGolden + name);
    for (std::size_t size = 0; size < file.size(); ++size) {
      EXPECT_NE(error_of(std::string_view(file).substr(0, size)), "nothing") << size;
    }
  }
}

// Every byte of a PNG file is checked; a JPEG file may turn into another, but reading it ends.
TEST(GoldenImages, AreRefusedOrReadWhereAByteIsWrong) {
  for (const std::string& name : image_names()) {
    SCOPED_TRACE(name);
    std::string file = content_of(kGolden + name);
    for (char& byte : file) {
      byte = static_cast<char>(~byte);
      const std::string error = error_of(file);
      EXPECT_TRUE(error != "nothing" || name.ends_with(".jpg")) << &byte - file.data();
      byte = static_cast<char>(~byte);
    }
    EXPECT_EQ(error_of(file), "nothing");
  }
}

TEST(ReadPhotograph, NamesThePath) {
  const auto error_of_path = [](const std::string& path) -> std::string {
    try {
      read_photograph(path);
    } catch (const ModelError& error) {
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
