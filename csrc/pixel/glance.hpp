// What a cheap look at a frame tells: whether there is a picture, and whether it moved.
//
// Of the frame as the network will see it, every fourth row is compared with that row of the frame before, and averaged
// in cells: noise of a dark sensor, which no single pixel tells from a picture, is gone from the mean of a cell.
#pragma once

#include "pixel/pixel.hpp"

namespace segrt::pixel {

/// Rows from one that is looked at to the next. Whatever moves in a picture is taller, and the rest costs time.
constexpr int kGlanceStep = 4;

/// Sides of a cell in pixels of the network's input; a cell has kGlanceCell / kGlanceStep rows that are looked at.
constexpr int kGlanceCell = 32;

/// The means of cells are whole numbers of so many parts of a level.
constexpr int kGlanceParts = 16;

SEGRT_PIXEL bool moved(std::uint8_t now, std::uint8_t before, std::uint8_t level) {
    return (now > before ? now - before : before - now) > level;
}

/// The mean of `count` bytes, rounded.
SEGRT_PIXEL std::int32_t cell_mean(std::int64_t sum, std::int64_t count) {
    return static_cast<std::int32_t>((2 * kGlanceParts * sum + count) / (2 * count));
}

}  // namespace segrt::pixel
