// The loops of steady: first whether the frame continues the ones before, then the mixing. Rows in bands, few threads.
#include "pixel/steady.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/logits.hpp"
#include "cpu/pool.hpp"
#include "cpu/rows.hpp"
#include "cpu/scratch.hpp"

namespace segrt {
namespace {

thread_local Scratch scratch;

constexpr int kBands = 4;       // per thread: enough to share the work evenly while the machine is busy otherwise
constexpr int kLeastRows = 16;  // fewer are done before a thread has woken

/// What one thread found.
struct alignas(64) Found {
    std::int64_t nonfinite, leaps;
};

class Band {
  public:
    Band(const SteadyJob& job, float* lines) : job_(job), lines_(lines), rows_(rows()) {}

    void survey(int from, int until, Found& found) const {
        const Logits& logits = job_.logits;
        const Rect& seen = job_.seen;
        for (int y = from; y < until; ++y) {
            for (int c = 0; c < logits.classes; ++c) {
                found.nonfinite += nonfinite(logits, c, y, rows_.postprocess, lines_);
            }
            if (!job_.tally->known || y < seen.y || y >= seen.y + seen.height) continue;
            SteadyRow row = row_at(y);
            row.now += seen.x;
            row.state += seen.x;
            row.count = seen.width;
            found.leaps += rows_.steady.leaps(row);
        }
    }

    void settle(int from, int until) const {
        for (int y = from; y < until; ++y) rows_.steady.settle(row_at(y));
    }

    void restart(int from, int until) const {
        const Logits& logits = job_.logits;
        for (int y = from; y < until; ++y) {
            for (int c = 0; c < logits.classes; ++c) fetch(logits, c, y, rows_.postprocess, state_at(c, y));
        }
    }

  private:
    float* state_at(int c, int y) const {
        const Logits& logits = job_.logits;
        return job_.state + (static_cast<std::ptrdiff_t>(c) * logits.height + y) * logits.width;
    }

    /// Logits that lie as floats side by side are read where they are.
    SteadyRow row_at(int y) const {
        const Logits& logits = job_.logits;
        SteadyRow row = {lines_,         logits.width,
                         state_at(0, y), static_cast<std::ptrdiff_t>(logits.height) * logits.width,
                         logits.classes, logits.width};
        if (is_contiguous(logits) && !logits.half) {
            row.now = reinterpret_cast<const float*>(row_of(logits, 0, y));
            row.now_plane = logits.plane / 4;
        } else {
            for (int c = 0; c < logits.classes; ++c) fetch(logits, c, y, rows_.postprocess, lines_ + c * row.now_plane);
        }
        return row;
    }

    const SteadyJob& job_;
    float* lines_;
    const Rows& rows_;
};

}  // namespace

void steady(const SteadyJob& job) {
    const Logits& logits = job.logits;
    const int threads = std::max(1, std::min(job.threads, kMaxThreads));
    const int bands = std::max(1, std::min(threads * kBands, logits.height / kLeastRows));
    const std::size_t shared = Arena::size_of<Found>(threads);
    const std::size_t own = Arena::size_of<float>(static_cast<std::size_t>(logits.classes) * logits.width);
    std::byte* const memory = scratch.reserve(shared + threads * own);
    Found* const found = Arena(memory).get<Found>(threads);
    std::memset(found, 0, threads * sizeof(Found));
    const auto over_rows = [&](auto work) {
        parallel(threads, bands, [&](int chunk, int slot) {
            const Band band(job, Arena(memory + shared + slot * own).get<float>(own / sizeof(float)));
            work(band, first_row(chunk, bands, logits.height), first_row(chunk + 1, bands, logits.height), slot);
        });
    };

    over_rows([&](const Band& band, int from, int until, int slot) { band.survey(from, until, found[slot]); });
    SteadyTally& tally = *job.tally;
    tally.nonfinite = tally.leaps = 0;
    for (int i = 0; i < threads; ++i) {
        tally.nonfinite += found[i].nonfinite;
        tally.leaps += found[i].leaps;
    }
    const std::int64_t seen = static_cast<std::int64_t>(job.seen.width) * job.seen.height;
    tally.mixed = pixel::continues(tally.known != 0, logits.classes, tally.nonfinite, tally.leaps, seen);
    tally.known = tally.nonfinite == 0;
    if (tally.mixed) {
        over_rows([](const Band& band, int from, int until, int) { band.settle(from, until); });
    } else {
        over_rows([](const Band& band, int from, int until, int) { band.restart(from, until); });
    }
}

}  // namespace segrt
