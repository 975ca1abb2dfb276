// Where the centre of an output pixel falls among the source pixels (half-pixel centres, clamped to the edge).
#pragma once

#include "pixel/pixel.hpp"

namespace segrt::pixel {

/// The source pixel at or before the sample, and the share (Q15) of the next one; `share` is 0 at the edges.
struct ByteTap {
    std::int32_t index;
    std::int16_t share;
};

/// Output pixel `i` of `target` sampled from `source` pixels: (i + 0.5) * source / target - 0.5, in exact integers.
SEGRT_PIXEL ByteTap byte_tap(std::int64_t i, std::int64_t source, std::int64_t target) {
    const std::int64_t scaled = (2 * i + 1) * source - target;  // the position times 2 * target
    if (scaled <= 0) return {0, 0};
    const std::int64_t index = scaled / (2 * target);
    if (index >= source - 1) return {static_cast<std::int32_t>(source - 1), 0};
    const std::int64_t share = ((scaled - index * 2 * target) * 32768 + target) / (2 * target);
    return {static_cast<std::int32_t>(index), static_cast<std::int16_t>(share > 32767 ? 32767 : share)};
}

/// The logit at or before the sample, and the weights of it and of the next one.
struct FloatTap {
    std::int32_t index;
    float here;
    float next;
};

/// A position in pixels whose centres are whole numbers, clamped to 0..count-1.
SEGRT_PIXEL FloatTap float_tap(double position, std::int32_t count) {
    if (!(position > 0)) return {0, 1.0f, 0.0f};
    if (position >= count - 1) return {count - 1, 1.0f, 0.0f};
    const std::int32_t index = static_cast<std::int32_t>(position);
    const float next = static_cast<float>(position - index);
    return {index, 1.0f - next, next};
}

}  // namespace segrt::pixel
