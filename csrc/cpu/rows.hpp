// The inner loops, one row at a time. rows/*.cpp are compiled once per instruction set; each copy fills these tables.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops.hpp"
#include "pixel/blend.hpp"

namespace segrt {

/// Row buffers are this much longer than their content, so that loops may read and write whole vectors.
constexpr int kSlack = 64;

struct YuvRow {
    const std::uint8_t *y, *u, *v;
    int chroma_step;  // 2 where U and V alternate
    int odd;          // 1 where the first pixel is the right one of its chroma sample
};

/// What a normalised row needs; planes, mean and reciprocals in the order of the bytes.
struct PlanarRow {
    void* plane[3];
    float mean[3], inverse_std[3];
};

struct FormatRows {
    void (*gray16)(const std::uint16_t* row, float scale, int count, std::uint8_t* out);
    void (*yuv)(const YuvRow& row, bool bt709, bool full_range, int count, std::uint8_t* out);
    /// 1 or 4 channels to 3.
    void (*to_three)(const std::uint8_t* row, int channels, int count, std::uint8_t* out);
    /// Blue and red change places.
    void (*swap)(const std::uint8_t* row, int count, std::uint8_t* out);
};

struct PreprocessRows {
    /// Q7 mix of two byte rows; `count` values.
    void (*down)(const std::uint8_t* top, const std::uint8_t* bottom, std::int16_t share, int count, std::int16_t* out);
    /// Resample a Q7 row of 1, 3 or 4 channels to `count` pixels of 3 bytes, slack after both.
    /// `index` counts values (pixels * channels).
    void (*across)(const std::int16_t* row, int channels, const std::int32_t* index, const std::int16_t* share,
                   int count, std::uint8_t* out);
    void (*planar_f32)(const std::uint8_t* row, int count, const PlanarRow& to);
    void (*planar_f16)(const std::uint8_t* row, int count, const PlanarRow& to);
    /// plane[c] is where channel c of the first pixel goes; the next pixel's goes three further.
    void (*interleaved_f16)(const std::uint8_t* row, int count, const PlanarRow& to);
};

struct GlanceRows {
    /// Look at `count` bytes of three a pixel, let `before` be them, and write the sum of each cell's; returns how many
    /// differ from those before by more than `level`.
    std::int64_t (*look)(const std::uint8_t* now, int count, std::uint8_t level, std::uint8_t* before,
                         std::uint16_t* sums);
};

/// One row of the mask: logits rows above and below, already stretched to the frame's width.
struct ClassifyRow {
    const float *top, *bottom;
    std::ptrdiff_t class_stride;  // in floats, a multiple of every vector's lanes
    float top_weight, bottom_weight;
    int classes, count;
    float* stash;            // classes * 16 floats
    std::int32_t* wide_ids;  // scratch, with slack
    std::uint8_t* ids;
};

struct PostprocessRows {
    /// NaN and infinities among contiguous values.
    std::int64_t (*nonfinite_f32)(const std::uint32_t* values, int count);
    std::int64_t (*nonfinite_f16)(const std::uint16_t* values, int count);
    void (*widen)(const std::uint16_t* halves, int count, float* out);
    /// Stretch a logits row; `line` has slack and its last value repeated after it. `dense`: eight neighbours in the
    /// output lie within eight in the input.
    void (*stretch)(const float* line, const std::int32_t* index, const float* here, const float* next, int count,
                    bool dense, float* out);
    /// Writes `ids` and returns the sum of probabilities in 65536ths.
    std::uint64_t (*softmax)(const ClassifyRow& row);
    std::uint64_t (*sigmoid)(const ClassifyRow& row);
    /// Add the number of each id to `areas`.
    void (*count)(const std::uint8_t* ids, int count, int classes, std::int64_t* areas);
    std::int64_t (*differing)(const std::uint8_t* a, const std::uint8_t* b, int count);
};

/// One row of all classes; planes in floats.
struct SteadyRow {
    const float* now;
    std::ptrdiff_t now_plane;
    float* state;
    std::ptrdiff_t state_plane;
    int classes, count;
};

struct SteadyRows {
    /// Cells whose classes moved too far apart to be mixed.
    std::int64_t (*leaps)(const SteadyRow& row);
    /// Mix the row into the state.
    void (*settle)(const SteadyRow& row);
};

/// Per class id. Unknown ids have share 0.
using pixel::Tint;

struct OverlayRows {
    /// `count` pixels of 3 or 4 contiguous bytes; `out` may be `row`.
    void (*tint)(const std::uint8_t* row, const std::uint8_t* ids, const Tint* tints, int channels, int count,
                 std::uint8_t* out);
};

struct Rows {
    FormatRows formats;
    PreprocessRows preprocess;
    GlanceRows glance;
    PostprocessRows postprocess;
    SteadyRows steady;
    OverlayRows overlay;
};

/// The tables of the instruction set in use.
const Rows& rows();

#define SEGRT_DECLARE_ROWS(isa)                    \
    namespace isa {                                \
    extern const FormatRows format_rows;           \
    extern const PreprocessRows preprocess_rows;   \
    extern const GlanceRows glance_rows;           \
    extern const PostprocessRows postprocess_rows; \
    extern const SteadyRows steady_rows;           \
    extern const OverlayRows overlay_rows;         \
    }
SEGRT_DECLARE_ROWS(baseline)
#ifdef SEGRT_X86
SEGRT_DECLARE_ROWS(avx2)
SEGRT_DECLARE_ROWS(avx512)
#endif

}  // namespace segrt
