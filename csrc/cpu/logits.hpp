// Rows of logits as contiguous floats, whatever their type and strides.
#pragma once

#include <cstring>

#include "cpu/rows.hpp"

namespace segrt {

inline bool is_contiguous(const Logits& logits) { return logits.column == (logits.half ? 2 : 4); }

inline const std::uint8_t* row_of(const Logits& logits, int c, int y) {
    return logits.data + c * logits.plane + y * logits.row;
}

/// Row `y` of class `c`, written to `out`.
inline void fetch(const Logits& logits, int c, int y, const PostprocessRows& rows, float* out) {
    const std::uint8_t* const row = row_of(logits, c, y);
    if (is_contiguous(logits)) {
        if (logits.half) {
            rows.widen(reinterpret_cast<const std::uint16_t*>(row), logits.width, out);
        } else {
            std::memcpy(out, row, 4 * static_cast<std::size_t>(logits.width));
        }
        return;
    }
    for (int x = 0; x < logits.width; ++x) {
        if (logits.half) {
            std::uint16_t half;
            std::memcpy(&half, row + x * logits.column, 2);
            rows.widen(&half, 1, out + x);
        } else {
            std::memcpy(out + x, row + x * logits.column, 4);
        }
    }
}

/// NaN and infinities in row `y` of class `c`; `line` is scratch for one row.
inline std::int64_t nonfinite(const Logits& logits, int c, int y, const PostprocessRows& rows, float* line) {
    const std::uint8_t* const row = row_of(logits, c, y);
    if (!is_contiguous(logits)) {
        fetch(logits, c, y, rows, line);
        return rows.nonfinite_f32(reinterpret_cast<const std::uint32_t*>(line), logits.width);
    }
    return logits.half ? rows.nonfinite_f16(reinterpret_cast<const std::uint16_t*>(row), logits.width)
                       : rows.nonfinite_f32(reinterpret_cast<const std::uint32_t*>(row), logits.width);
}

}  // namespace segrt
