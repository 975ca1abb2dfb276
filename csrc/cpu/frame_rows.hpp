// Rows of a frame of any format and any strides, as contiguous bytes of 1, 3 or 4 channels.
#pragma once

#include "cpu/rows.hpp"
#include "cpu/scratch.hpp"

namespace segrt {

/// Rows of the source rectangle of a frame. Rows that already lie as wanted are not copied.
///
/// Colours come out blue first, except those of RGB frames. One object serves one thread.
class FrameRows {
  public:
    /// Bytes that one object takes from its arena.
    static std::size_t size_of(const Rect& source);

    FrameRows(const Image& image, const Reading& reading, const Placement& placement, Arena& arena);

    int channels() const { return channels_; }
    /// Row `y` of the source rectangle; it stays until row y + 2 or y - 2 is asked for.
    const std::uint8_t* operator()(int y);

  private:
    void gather(int y, std::uint8_t* to);
    void gather_gray16(int y, std::uint8_t* to);
    void convert_yuv(int y, std::uint8_t* to);
    /// `count` bytes from `from` on, `step` apart: themselves, or a copy in `spare`.
    static const std::uint8_t* contiguous(const std::uint8_t* from, std::ptrdiff_t step, int count,
                                          std::uint8_t* spare);

    Image image_;
    Reading reading_;
    int frame_height_, frame_width_;
    Rect source_;
    int channels_;
    bool direct_;                 // rows can be used where they are
    std::uint8_t* converted_[2];  // rows of even and of odd y
    std::uint8_t* spare_;
    int held_[2] = {-1, -1};
};

}  // namespace segrt
