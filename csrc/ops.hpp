// The pixel work around a network: what every device must offer. Nothing here knows Python.
//
// The caller has checked the arguments (runtime/kernels.py): sizes are 1..32768, rectangles lie inside what they are
// in, arrays have the stated shapes and do not overlap unless said so. Strides are in bytes and may be negative.
#pragma once

#include <cstddef>
#include <cstdint>

namespace segrt {

enum class Format { kBgr, kRgb, kBgra, kGray8, kGray16, kNv12, kI420 };
enum class Layout { kNhwcU8, kNchwF32, kNchwF16, kNhwcF16 };
enum class Activation { kSoftmax, kSigmoid };

/// Values of a pixel once YUV is converted to three.
inline int channels_of(Format format) {
    if (format == Format::kGray8 || format == Format::kGray16) return 1;
    return format == Format::kBgra ? 4 : 3;
}

struct Rect {
    int x, y, width, height;
};

/// `source` (in the frame) is resampled onto `target` (in the network's input).
struct Placement {
    int frame_height, frame_width, input_height, input_width;
    Rect source, target;
};

/// A frame in memory. NV12 and I420 are one plane of height * 3 / 2 rows, as decoders and OpenCV give them.
struct Image {
    const std::uint8_t* data;
    std::ptrdiff_t row, column, channel;  // strides; `channel` only where a pixel has several
    Format format;
};

/// What turns a byte into a network's input, channels in the network's order.
struct Normalization {
    float mean[3], std[3];
    bool rgb;  // the network's order; otherwise BGR
};

/// How to read the formats that leave a choice.
struct Reading {
    int white = 65535;  // the 16-bit grey that becomes 255
    bool bt709 = false;
    bool full_range = false;
};

/// What is kept of a stream's last frame to look at the next, in the network's pixels; csrc/pixel/glance.hpp says why.
///
/// Every fourth row of the placement's target is looked at, from its first; a cell is 32 pixels wide and 8 such rows
/// high, the last ones less.
struct Glance {
    std::uint8_t* rows;    // (count, 3 * target width): of the frame before, then of this one
    std::uint16_t* sums;   // (count, cells across): scratch
    std::uint16_t* cells;  // (cells down, cells across): their means in 16ths of a level, as `rows`
    int count;             // rows that are looked at
    std::uint8_t moved_level, flat_level;
};

/// What a glance tells. Of the first frame only the last two mean something.
struct Glanced {
    std::int64_t moved;        // bytes of the rows that differ from the frame before by more than moved_level
    std::int64_t farthest;     // how far the mean of that cell moved which moved most, in 16ths of a level
    std::int64_t outstanding;  // cells whose mean is more than flat_level away from the middle one's
    std::int64_t middle;       // that one's, in 16ths of a level
};

struct PreprocessJob {
    Image image;
    Placement placement;
    Normalization normalization;
    Reading reading;
    Layout layout;
    void* out;  // contiguous, (height, width, 3) or (3, height, width); null: only look
    int threads;
    const Glance* glance = nullptr;  // looked at in the same pass; on the CPU only
    Glanced* glanced = nullptr;
};

/// Write the whole network input: the frame resampled to bytes, then normalised; the mean byte around it.
void preprocess(const PreprocessJob& job);

struct Logits {
    const std::uint8_t* data;
    std::ptrdiff_t plane, row, column;
    int classes, height, width;
    bool half;
};

/// Rows of bytes, each contiguous.
struct Plane {
    std::uint8_t* data;
    std::ptrdiff_t row;
};

struct PostprocessJob {
    Logits logits;
    Placement placement;
    Activation activation;
    Plane mask;
    Plane previous;  // data is null where there is none; may be the mask itself
    int threads;
};

struct Measured {
    std::int64_t areas[256];
    double confidence;  // NaN where logits are not finite
    std::int64_t nonfinite;
    std::int64_t changed;
};

/// Fill the mask from the logits. Where any logit is not finite the mask is all 255 and nothing else is measured.
void postprocess(const PostprocessJob& job, Measured& measured);

/// What steady keeps beside its state, and found at the last frame.
struct SteadyTally {
    std::int64_t known;         // whether the state holds anything: 0 before a frame makes it the first
    std::int64_t nonfinite;     // NaN and infinities among the frame's logits
    std::int64_t leaps;         // cells of `seen` that were believed at once
    std::int64_t mixed;         // whether the frame continued the ones before
    std::uint64_t blocks_done;  // a GPU's own; 0 between calls
};

struct SteadyJob {
    Logits logits;
    Rect seen;           // the cells of the logits that show the frame: they tell a cut
    float* state;        // (classes, height, width), contiguous: of the frame before, then of this one
    SteadyTally* tally;  // where the state is: on a GPU in its memory
    int threads;
};

/// Let the frames before steady a frame's logits; the state is what postprocess then reads.
///
/// After a cut, or where nothing is known, the state becomes the logits themselves. So it does where one is not finite,
/// and nothing is known afterwards: the next frame begins anew.
void steady(const SteadyJob& job);

struct OverlayJob {
    Image image;  // 3 or 4 bytes a pixel
    int height, width, channels;
    const std::uint8_t* mask;
    std::ptrdiff_t mask_row, mask_column;
    const std::uint8_t* palette;  // (colours, 3), contiguous, in the image's own channel order
    const float* alpha;           // (colours), 0..1
    int colours;
    Image out;  // the image's shape; may be the image itself
    int threads;
};

/// Tint each pixel with the colour of its class; other ids and a fourth channel stay as they are.
void overlay(const OverlayJob& job);

/// The instruction set in use: "baseline", "avx2" or "avx512".
const char* isa();
/// Force one, for tests; "auto" is the best this CPU has. False where this CPU or build lacks it.
bool set_isa(const char* name);

}  // namespace segrt
