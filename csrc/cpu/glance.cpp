// What the rows that were looked at make together.
#include "cpu/glance.hpp"

#include <algorithm>
#include <cstdlib>

#include "pixel/glance.hpp"

namespace segrt {
namespace {

constexpr int kCellRows = pixel::kGlanceCell / pixel::kGlanceStep;

/// Add up the rows of each cell; returns how far from the frame before the one that moved most is.
std::int64_t average(const Glance& glance, int width) {
    const int across = cells(width);
    std::int64_t most = 0;
    for (int from = 0, cell = 0; from < glance.count; from += kCellRows) {
        const int rows = std::min(kCellRows, glance.count - from);
        for (int x = 0; x < across; ++x, ++cell) {
            const int columns = std::min(pixel::kGlanceCell, width - x * pixel::kGlanceCell);
            std::int64_t sum = 0;
            for (int y = from; y < from + rows; ++y) sum += glance.sums[y * across + x];
            const std::int32_t mean = pixel::cell_mean(sum, 3 * static_cast<std::int64_t>(rows) * columns);
            most = std::max<std::int64_t>(most, std::abs(mean - glance.cells[cell]));
            glance.cells[cell] = static_cast<std::uint16_t>(mean);
        }
    }
    return most;
}

/// The mean in the middle of all by brightness.
std::int32_t middle(const Glance& glance, int cells) {
    std::uint16_t* const sorted = glance.sums;  // of no more use
    std::copy(glance.cells, glance.cells + cells, sorted);
    std::nth_element(sorted, sorted + cells / 2, sorted + cells);
    return sorted[cells / 2];
}

}  // namespace

int cells(int width) { return (width + pixel::kGlanceCell - 1) / pixel::kGlanceCell; }

void conclude(const Glance& glance, int width, std::int64_t moved, Glanced& glanced) {
    const int count = (glance.count + kCellRows - 1) / kCellRows * cells(width);
    const int apart = pixel::kGlanceParts * glance.flat_level;
    glanced.moved = moved;
    glanced.farthest = average(glance, width);
    const std::int32_t most_like = middle(glance, count);
    glanced.middle = most_like;
    glanced.outstanding = std::count_if(glance.cells, glance.cells + count,
                                        [&](std::uint16_t mean) { return std::abs(mean - most_like) > apart; });
}

}  // namespace segrt
