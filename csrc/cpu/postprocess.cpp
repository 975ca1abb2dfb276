// The loops of postprocess: mask rows, in bands, on a few threads.
#include <algorithm>
#include <cstring>
#include <limits>

#include "cpu/logits.hpp"
#include "cpu/pool.hpp"
#include "cpu/rows.hpp"
#include "cpu/scratch.hpp"
#include "pixel/classify.hpp"
#include "pixel/resample.hpp"

namespace segrt {
namespace {

thread_local Scratch scratch;

constexpr int kBands = 4;          // per thread: enough to share the work evenly while the machine is busy otherwise
constexpr int kLeastRows = 16;     // a band stretches up to two logits rows that its neighbour stretches too
constexpr int kUnseen = 255;       // what the mask holds outside a centre crop
constexpr int kWidestVector = 16;  // floats

/// Where the columns of the mask fall among the logits, the same for every row.
struct Columns {
    std::int32_t* index;
    float *here, *next;
    bool dense;             // see PostprocessRows::stretch
    std::ptrdiff_t padded;  // their number, rounded up to whole vectors
};

/// What one thread found.
struct alignas(64) Found {
    std::int64_t areas[256];
    std::uint64_t probability;  // in 65536ths
    std::int64_t nonfinite, changed;
};

class Band {
  public:
    Band(const PostprocessJob& job, const Columns& columns, Found& found, Arena& arena)
        : job_(job), columns_(columns), found_(found), rows_(segrt::rows().postprocess) {
        for (auto& row : stretched_) row = arena.get<float>(job.logits.classes * columns.padded + kSlack);
        line_ = arena.get<float>(job.logits.width + kSlack);
        stash_ = arena.get<float>(static_cast<std::size_t>(job.logits.classes) * kWidestVector);
        wide_ids_ = arena.get<std::int32_t>(columns.padded);
        ids_ = arena.get<std::uint8_t>(columns.padded);
    }

    static std::size_t size(const PostprocessJob& job, std::ptrdiff_t padded) {
        const std::size_t classes = job.logits.classes;
        return 2 * Arena::size_of<float>(classes * padded + kSlack) + Arena::size_of<float>(job.logits.width + kSlack) +
               Arena::size_of<float>(classes * kWidestVector) + Arena::size_of<std::int32_t>(padded) +
               Arena::size_of<std::uint8_t>(padded);
    }

    void run(int from, int until) {
        for (int y = from; y < until; ++y) {
            const Rect& seen = job_.placement.source;
            std::uint8_t* mask = job_.mask.data + y * job_.mask.row;
            if (y < seen.y || y >= seen.y + seen.height) {
                std::memset(mask, kUnseen, job_.placement.frame_width);
            } else {
                std::memset(mask, kUnseen, seen.x);
                segment(y, mask + seen.x);
                const int after = seen.x + seen.width;
                std::memset(mask + after, kUnseen, job_.placement.frame_width - after);
            }
        }
    }

    /// Count the NaN and infinities of the logits rows from..until-1 (of all classes one after the other).
    void inspect(int from, int until) {
        const Logits& logits = job_.logits;
        for (int i = from; i < until; ++i) {
            found_.nonfinite += nonfinite(logits, i / logits.height, i % logits.height, rows_, line_);
        }
    }

  private:
    void segment(int y, std::uint8_t* mask) {
        const Placement& at = job_.placement;
        const pixel::FloatTap row = pixel::float_tap(y - at.source.y, at.source.height, at.target.y, at.target.height,
                                                     at.input_height, job_.logits.height);
        const float* top = stretched(row.index);
        const float* bottom = stretched(std::min(row.index + 1, job_.logits.height - 1));
        const int width = at.source.width, classes = job_.logits.classes;
        const ClassifyRow args = {top,     bottom, columns_.padded, row.here,  row.next,
                                  classes, width,  stash_,          wide_ids_, ids_};
        found_.probability += (job_.activation == Activation::kSoftmax ? rows_.softmax : rows_.sigmoid)(args);
        rows_.count(ids_, width, classes, found_.areas);
        if (job_.previous.data) {
            const std::uint8_t* before = job_.previous.data + y * job_.previous.row + at.source.x;
            found_.changed += rows_.differing(ids_, before, width);
        }
        std::memcpy(mask, ids_, width);  // only now: the previous mask may be the mask itself
    }

    /// Logits row `y` of every class at the width of the mask. Rows y and y + 1 are kept side by side.
    const float* stretched(int y) {
        float* to = stretched_[y & 1];
        if (held_[y & 1] == y) return to;
        held_[y & 1] = y;
        for (int c = 0; c < job_.logits.classes; ++c) {
            fetch(job_.logits, c, y, rows_, line_);
            line_[job_.logits.width] = line_[job_.logits.width - 1];  // stretch reads one beyond
            rows_.stretch(line_, columns_.index, columns_.here, columns_.next, job_.placement.source.width,
                          columns_.dense, to + c * columns_.padded);
        }
        return to;
    }

    const PostprocessJob& job_;
    const Columns& columns_;
    Found& found_;
    const PostprocessRows& rows_;
    float *stretched_[2], *line_, *stash_;
    std::int32_t* wide_ids_;
    std::uint8_t* ids_;
    int held_[2] = {-1, -1};
};

Columns columns_for(const PostprocessJob& job, std::ptrdiff_t padded, Arena& arena) {
    const Placement& at = job.placement;
    Columns columns = {arena.get<std::int32_t>(padded), arena.get<float>(padded), arena.get<float>(padded), true,
                       padded};
    for (int x = 0; x < at.source.width; ++x) {
        const pixel::FloatTap found =
            pixel::float_tap(x, at.source.width, at.target.x, at.target.width, at.input_width, job.logits.width);
        columns.index[x] = found.index;
        columns.here[x] = found.here;
        columns.next[x] = found.next;
        if (x >= 7 && found.index - columns.index[x - 7] > 7) columns.dense = false;
    }
    return columns;
}

}  // namespace

void postprocess(const PostprocessJob& job, Measured& measured) {
    const Placement& at = job.placement;
    const std::ptrdiff_t padded = (at.source.width + kWidestVector - 1) / kWidestVector * kWidestVector;
    const int threads = std::max(1, std::min(job.threads, kMaxThreads));
    const int bands = std::max(1, std::min(threads * kBands, at.frame_height / kLeastRows));
    const std::size_t shared = Arena::size_of<Found>(threads) + 3 * Arena::size_of<float>(padded);
    const std::size_t own = Band::size(job, padded);
    std::byte* const memory = scratch.reserve(shared + threads * own);

    Arena arena(memory);
    Found* const found = arena.get<Found>(threads);
    std::memset(found, 0, threads * sizeof(Found));
    const Columns columns = columns_for(job, padded, arena);
    const int logits_rows = job.logits.classes * job.logits.height;
    parallel(threads, bands, [&](int chunk, int slot) {
        Arena arena(memory + shared + slot * own);
        Band band(job, columns, found[slot], arena);
        band.inspect(first_row(chunk, bands, logits_rows), first_row(chunk + 1, bands, logits_rows));
        band.run(first_row(chunk, bands, at.frame_height), first_row(chunk + 1, bands, at.frame_height));
    });

    measured = {};
    std::uint64_t probability = 0;
    for (int i = 0; i < threads; ++i) {
        for (int c = 0; c < job.logits.classes; ++c) measured.areas[c] += found[i].areas[c];
        probability += found[i].probability;
        measured.nonfinite += found[i].nonfinite;
        measured.changed += found[i].changed;
    }
    measured.confidence = pixel::mean_probability(probability, at.source.width, at.source.height);
    if (measured.nonfinite == 0) return;
    // What was computed beside the NaN is worth nothing: leave no mask that could be taken for one.
    for (int y = 0; y < at.frame_height; ++y) std::memset(job.mask.data + y * job.mask.row, kUnseen, at.frame_width);
    std::fill(measured.areas, measured.areas + 256, 0);
    measured.confidence = std::numeric_limits<double>::quiet_NaN();
    measured.changed = 0;
}

}  // namespace segrt
