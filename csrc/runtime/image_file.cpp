#include "runtime/image_file.h"

#include <png.h>
// clang-format off: jpeglib.h needs what stdio.h declares.
#include <stdio.h>
#include <jpeglib.h>
// clang-format on

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <new>
#include <system_error>
#include <vector>

#include "runtime/error.h"

namespace hybridquant::runtime {

namespace {

constexpr std::size_t kChannels = 3;
// More than kMostPixels pixels of 8 bytes, the most that a PNG file stores, and what comes with
// them.
constexpr std::uintmax_t kMostBytes = std::uintmax_t{1} << 31;

// Where the libraries go on an error: they are C, and never return from their error handler.
struct Escape {
  std::jmp_buf place;
  std::array<char, JMSG_LENGTH_MAX> reason;
};

// Runs `call` and throws what the library found wrong. A jump skips the ends of scopes, so `call`
// must have no variable with a destructor, and no variable of the caller may be changed in it.
template <typename Call>
void guarded(Escape& escape, const Call& call) {
  if (setjmp(escape.place) != 0) fail("cannot be decoded: ", escape.reason.data());
  call();
}

[[noreturn]] void leave(Escape& escape, const char* reason) {
  std::strncpy(escape.reason.data(), reason, escape.reason.size() - 1);
  escape.reason.back() = '\0';
  std::longjmp(escape.place, 1);
}

// Before memory is taken for the pixels.
Photograph blank(std::int64_t height, std::int64_t width) {
  require(height >= 1 && width >= 1 && height <= kMostPixels / width, "must have 1 to ",
          kMostPixels, " pixels, got ", height, " x ", width);
  const auto num_pixels = static_cast<std::size_t>(height * width);
  return {height, width, std::vector<std::uint8_t>(num_pixels * kChannels)};
}

class JpegReader {
 public:
  explicit JpegReader(std::span<const std::byte> file) : file_(file) {}
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  Photograph read() {
    guarded(escape_, [&] { read_header(); });
    const bool is_cmyk = info_.num_components == 4;
    require(info_.num_components == 1 || info_.num_components == 3 || is_cmyk,
            "must have 1, 3 or 4 components, got ", info_.num_components);
    Photograph photograph = blank(info_.image_height, info_.image_width);
    info_.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    guarded(escape_, [&] { jpeg_start_decompress(&info_); });
    std::vector<std::uint8_t> inks(is_cmyk ? 4 * std::size_t{info_.image_width} : 0);
    std::uint8_t* to = photograph.pixels.data();
    while (info_.output_scanline < info_.output_height) {
      read_row(is_cmyk ? inks.data() : to);
      if (is_cmyk) convert_inks(to, inks);
      to += kChannels * std::size_t{info_.image_width};
    }
    guarded(escape_, [&] { jpeg_finish_decompress(&info_); });
    return photograph;
  }

 private:
  void read_header() {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = &escape_;
    errors_.error_exit = [](j_common_ptr info) {
      std::array<char, JMSG_LENGTH_MAX> reason{};
      info->err->format_message(info, reason.data());
      leave(*static_cast<Escape*>(info->client_data), reason.data());
    };
    errors_.output_message = [](j_common_ptr) {};
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(file_.data()), file_.size());
    // libjpeg would go on with an end of its own making.
    info_.src->fill_input_buffer = [](j_decompress_ptr info) -> boolean {
      leave(*static_cast<Escape*>(info->client_data), "the file is cut off");
    };
    jpeg_read_header(&info_, TRUE);
  }

  void read_row(JSAMPROW row) {
    guarded(escape_, [&] { jpeg_read_scanlines(&info_, &row, 1); });
  }

  // to: [width, 3]. inks: [width, 4]: cyan, magenta, yellow and black, 255 being no ink.
  static void convert_inks(std::uint8_t* to, const std::vector<std::uint8_t>& inks) {
    for (std::size_t i = 0; i < inks.size(); i += 4) {
      const int light = inks[i + 3];
      for (std::size_t channel = 0; channel < kChannels; ++channel) {
        // light * ink / 255, rounded to nearest.
        const int product = light * (255 - inks[i + channel]) + 128;
        *to++ = static_cast<std::uint8_t>(std::max(light - ((product + (product >> 8)) >> 8), 0));
      }
    }
  }

  Escape escape_{};
  std::span<const std::byte> file_;
  jpeg_error_mgr errors_{};
  jpeg_decompress_struct info_{};
};

class PngReader {
 public:
  explicit PngReader(std::span<const std::byte> file) : rest_(file) {}
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  Photograph read() {
    guarded(escape_, [&] { read_header(); });
    const auto height = static_cast<std::size_t>(png_get_image_height(png_, info_));
    const auto width = static_cast<std::size_t>(png_get_image_width(png_, info_));
    Photograph photograph =
        blank(static_cast<std::int64_t>(height), static_cast<std::int64_t>(width));
    const bool is_deep_gray = png_get_bit_depth(png_, info_) == 16 &&
                              png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY;
    guarded(escape_, [&] { ask_for(is_deep_gray); });
    // Rows of 2 bytes a pixel lie at the start of where their 3 bytes a pixel will.
    std::vector<png_bytep> rows(height);
    for (std::size_t i = 0; i < height; ++i) {
      rows[i] = photograph.pixels.data() + i * width * kChannels;
    }
    guarded(escape_, [&] {
      png_read_image(png_, rows.data());
      png_read_end(png_, nullptr);
    });
    if (is_deep_gray) {
      for (png_bytep row : rows) spread_deep_gray(row, width);
    }
    return photograph;
  }

 private:
  static void on_error(png_structp png, png_const_charp reason) {
    leave(*static_cast<Escape*>(png_get_error_ptr(png)), reason);
  }

  static void on_warning(png_structp /*png*/, png_const_charp /*reason*/) {}

  static void on_read(png_structp png, png_bytep to, std::size_t count) {
    auto& rest = *static_cast<std::span<const std::byte>*>(png_get_io_ptr(png));
    if (count > rest.size()) png_error(png, "the file is cut off");
    std::memcpy(to, rest.data(), count);
    rest = rest.subspan(count);
  }

  void read_header() {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &escape_, on_error, on_warning);
    info_ = png_create_info_struct(png_);
    if (info_ == nullptr) leave(escape_, "libpng cannot start");
    png_set_read_fn(png_, &rest_, on_read);
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    // Text, profiles and the like are passed over.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(png_, info_);
  }

  // Asks for red, green and blue of 8 bits, or for gray of 16.
  void ask_for(bool is_deep_gray) {
    if (!is_deep_gray) {
      png_set_strip_16(png_);
      png_set_packing(png_);
      png_set_palette_to_rgb(png_);
      png_set_expand_gray_1_2_4_to_8(png_);
      png_set_gray_to_rgb(png_);
      png_set_strip_alpha(png_);
    }
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    const std::size_t pixel_bytes = is_deep_gray ? 2 : kChannels;
    const std::size_t width = png_get_image_width(png_, info_);
    if (png_get_rowbytes(png_, info_) != width * pixel_bytes) leave(escape_, "of unknown layout");
  }

  // From [width, 2], the higher byte first, to [width, 3] in place.
  static void spread_deep_gray(std::uint8_t* row, std::size_t width) {
    for (std::size_t i = width; i-- > 0;) {
      const std::uint8_t level = row[2 * i] != 0 ? 255 : row[2 * i + 1];
      std::fill_n(row + kChannels * i, kChannels, level);
    }
  }

  Escape escape_{};
  std::span<const std::byte> rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

bool starts_with(std::span<const std::byte> file, std::initializer_list<int> bytes) {
  return file.size() >= bytes.size() &&
         std::equal(bytes.begin(), bytes.end(), file.begin(),
                    [](int a, std::byte b) { return a == std::to_integer<int>(b); });
}

Photograph decode(std::span<const std::byte> file) {
  if (starts_with(file, {0xff, 0xd8, 0xff})) return JpegReader(file).read();
  if (starts_with(file, {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'})) {
    return PngReader(file).read();
  }
  fail("is neither a JPEG nor a PNG file");
}

std::vector<std::byte> read_bytes(const std::string& path) {
  std::error_code error;
  require(std::filesystem::exists(path, error), "does not exist");
  require(std::filesystem::is_regular_file(path, error), "is no file");
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  require(!error && size <= kMostBytes, "must be a file of at most ", kMostBytes, " bytes");
  std::vector<std::byte> bytes(size);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  require(file.good(), "cannot be read");
  return bytes;
}

// Puts the name of the file in front of what is wrong with it.
template <typename Read>
Photograph named(const std::string& name, const Read& read) {
  try {
    return read();
  } catch (const std::bad_alloc&) {
    fail(name, ": must fit into memory");
  } catch (const ModelError& error) {
    fail(name, ": ", error.what());
  }
}

}  // namespace

Photograph read_photograph(const std::string& path) {
  return named(path, [&] { return decode(read_bytes(path)); });
}

Photograph decode_photograph(std::span<const std::byte> file, const std::string& name) {
  return named(name, [&] { return decode(file); });
}

}  // namespace hybridquant::runtime
