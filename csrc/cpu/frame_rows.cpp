#include "cpu/frame_rows.hpp"

#include <cstring>

namespace segrt {
namespace {

bool is_yuv(Format format) { return format == Format::kNv12 || format == Format::kI420; }

// Four channels, or one row of 16-bit greys, or one each of Y, U and V.
std::size_t row_bytes(const Rect& source) { return 4 * static_cast<std::size_t>(source.width) + kSlack; }

}  // namespace

std::size_t FrameRows::size_of(const Rect& source) { return 3 * Arena::size_of<std::uint8_t>(row_bytes(source)); }

FrameRows::FrameRows(const Image& image, const Reading& reading, const Placement& placement, Arena& arena)
    : image_(image),
      reading_(reading),
      frame_height_(placement.frame_height),
      frame_width_(placement.frame_width),
      source_(placement.source),
      channels_(channels_of(image.format)),
      direct_(!is_yuv(image.format) && image.format != Format::kGray16 && image.column == channels_ &&
              (channels_ == 1 || image.channel == 1)) {
    for (auto& row : converted_) row = arena.get<std::uint8_t>(row_bytes(source_));
    spare_ = arena.get<std::uint8_t>(row_bytes(source_));
}

const std::uint8_t* FrameRows::operator()(int y) {
    if (direct_) return image_.data + (source_.y + y) * image_.row + source_.x * image_.column;
    std::uint8_t* to = converted_[y & 1];
    if (held_[y & 1] == y) return to;
    held_[y & 1] = y;
    if (is_yuv(image_.format)) {
        convert_yuv(source_.y + y, to);
    } else if (image_.format == Format::kGray16) {
        gather_gray16(source_.y + y, to);
    } else {
        gather(source_.y + y, to);
    }
    return to;
}

void FrameRows::gather(int y, std::uint8_t* to) {
    const std::uint8_t* from = image_.data + y * image_.row + source_.x * image_.column;
    for (int x = 0; x < source_.width; ++x, from += image_.column) {
        for (int c = 0; c < channels_; ++c) *to++ = from[c * image_.channel];
    }
}

void FrameRows::gather_gray16(int y, std::uint8_t* to) {
    const std::uint8_t* from = image_.data + y * image_.row + source_.x * image_.column;
    std::uint16_t* words = reinterpret_cast<std::uint16_t*>(spare_);
    if (image_.column == 2) {
        std::memcpy(words, from, 2 * static_cast<std::size_t>(source_.width));  // it may be at an odd address
    } else {
        for (int x = 0; x < source_.width; ++x) std::memcpy(words + x, from + x * image_.column, 2);
    }
    rows().formats.gray16(words, 255.0f / static_cast<float>(reading_.white), source_.width, to);
}

const std::uint8_t* FrameRows::contiguous(const std::uint8_t* from, std::ptrdiff_t step, int count,
                                          std::uint8_t* spare) {
    if (step == 1) return from;
    for (int i = 0; i < count; ++i) spare[i] = from[i * step];
    return spare;
}

void FrameRows::convert_yuv(int y, std::uint8_t* to) {
    const std::ptrdiff_t step = image_.column;
    const int first = source_.x / 2, odd = source_.x % 2, samples = (source_.width + odd + 1) / 2;
    YuvRow row;
    row.odd = odd;
    row.y = contiguous(image_.data + y * image_.row + source_.x * step, step, source_.width, spare_);
    std::uint8_t* spare = spare_ + source_.width;
    if (image_.format == Format::kNv12) {
        const std::uint8_t* from = image_.data + (frame_height_ + y / 2) * image_.row + 2 * first * step;
        row.u = contiguous(from, step, 2 * samples, spare);
        row.v = row.u + 1;
        row.chroma_step = 2;
    } else {
        // Two rows of chroma share a row of the array: U's first, then V's. Where height / 2 is odd V starts halfway.
        const auto chroma = [&](int line) {
            const std::ptrdiff_t half = (line & 1) ? frame_width_ / 2 : 0;
            return image_.data + (frame_height_ + line / 2) * image_.row + (half + first) * step;
        };
        row.u = contiguous(chroma(y / 2), step, samples, spare);
        row.v = contiguous(chroma(frame_height_ / 2 + y / 2), step, samples, spare + samples);
        row.chroma_step = 1;
    }
    rows().formats.yuv(row, reading_.bt709, reading_.full_range, source_.width, to);
}

}  // namespace segrt
