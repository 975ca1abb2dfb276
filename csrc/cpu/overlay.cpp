// The loops of overlay: image rows, in bands, on a few threads.
#include <algorithm>
#include <cstring>

#include "cpu/pool.hpp"
#include "cpu/rows.hpp"
#include "cpu/scratch.hpp"
#include "pixel/blend.hpp"

namespace segrt {
namespace {

thread_local Scratch scratch;

constexpr int kBands = 4;  // per thread: enough to share the work evenly while the machine is busy otherwise

void fill(Tint* tints, const OverlayJob& job) {
    std::memset(tints, 0, 256 * sizeof(Tint));
    for (int i = 0; i < job.colours; ++i) tints[i] = pixel::tint_of(job.palette + 3 * i, job.alpha[i]);
}

bool contiguous(const Image& image, int channels) { return image.column == channels && image.channel == 1; }

/// A row as contiguous bytes: itself, or a copy in `spare`.
const std::uint8_t* collect(const Image& image, int channels, int y, int width, std::uint8_t* spare) {
    const std::uint8_t* from = image.data + y * image.row;
    if (contiguous(image, channels)) return from;
    for (int x = 0; x < width; ++x) {
        for (int c = 0; c < channels; ++c) spare[channels * x + c] = from[x * image.column + c * image.channel];
    }
    return spare;
}

void scatter(const std::uint8_t* row, const Image& image, int channels, int y, int width) {
    std::uint8_t* to = const_cast<std::uint8_t*>(image.data) + y * image.row;
    for (int x = 0; x < width; ++x) {
        for (int c = 0; c < channels; ++c) to[x * image.column + c * image.channel] = row[channels * x + c];
    }
}

}  // namespace

void overlay(const OverlayJob& job) {
    const std::size_t bytes = static_cast<std::size_t>(job.width) * 4 + kSlack;
    const std::size_t own = 2 * Arena::size_of<std::uint8_t>(bytes);
    const std::size_t shared = Arena::size_of<Tint>(256);
    const int threads = std::max(1, std::min(job.threads, kMaxThreads));
    const int bands = std::min(threads * kBands, job.height);
    std::byte* const memory = scratch.reserve(shared + threads * own);
    Tint* const tints = Arena(memory).get<Tint>(256);
    fill(tints, job);

    parallel(threads, bands, [&](int band, int slot) {
        Arena arena(memory + shared + slot * own);
        std::uint8_t* const spare = arena.get<std::uint8_t>(bytes);
        std::uint8_t* const spare_ids = arena.get<std::uint8_t>(bytes);
        for (int y = first_row(band, bands, job.height); y < first_row(band + 1, bands, job.height); ++y) {
            const std::uint8_t* row = collect(job.image, job.channels, y, job.width, spare);
            const std::uint8_t* ids = job.mask + y * job.mask_row;
            if (job.mask_column != 1) {
                for (int x = 0; x < job.width; ++x) spare_ids[x] = ids[x * job.mask_column];
                ids = spare_ids;
            }
            const bool straight = contiguous(job.out, job.channels);
            std::uint8_t* to = straight ? const_cast<std::uint8_t*>(job.out.data) + y * job.out.row : spare;
            rows().overlay.tint(row, ids, tints, job.channels, job.width, to);
            if (!straight) scatter(to, job.out, job.channels, y, job.width);
        }
    });
}

}  // namespace segrt
