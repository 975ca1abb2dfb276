// The loops of preprocess: output rows, in bands, on a few threads.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "cpu/frame_rows.hpp"
#include "cpu/glance.hpp"
#include "cpu/pool.hpp"
#include "pixel/glance.hpp"
#include "pixel/normalize.hpp"
#include "pixel/resample.hpp"

namespace segrt {
namespace {

thread_local Scratch scratch;

constexpr int kBands = 4;  // per thread: enough to share the work evenly while the machine is busy otherwise

/// The columns' taps, the same for every row, and the byte that stands for the mean.
struct Plan {
    std::int32_t* index;  // in values: pixels * channels
    std::int16_t* share;
    std::uint8_t padding[3];  // in the order of the frame's bytes
    bool swapped;             // the network's order is not the frame's
    bool copies;              // source and target are of one size: nothing is interpolated
};

class Band {
  public:
    Band(const PreprocessJob& job, const Plan& plan, FrameRows& frame, std::int16_t* mixed, std::uint8_t* bytes)
        : job_(job), plan_(plan), to_(job.placement.target), frame_(frame), mixed_(mixed), bytes_(bytes) {}

    /// Returns how many bytes moved, where somebody wants to know.
    std::int64_t run(int from, int until) {
        std::int64_t moved = 0;
        for (int y = from; y < until; ++y) {
            const bool looked_at = job_.glance && looked_at_row(y);
            if (!job_.out && !looked_at) continue;
            const std::uint8_t* const bytes = row(y);
            if (job_.out) write(y, bytes);
            if (looked_at) moved += look((y - to_.y) / pixel::kGlanceStep, bytes + 3 * to_.x);
        }
        return moved;
    }

  private:
    int width() const { return job_.placement.input_width; }

    bool looked_at_row(int y) const {
        return y >= to_.y && y < to_.y + to_.height && (y - to_.y) % pixel::kGlanceStep == 0;
    }

    std::int64_t look(int number, const std::uint8_t* bytes) {
        const Glance& glance = *job_.glance;
        const std::size_t width = static_cast<std::size_t>(to_.width), row = static_cast<std::size_t>(number);
        return segrt::rows().glance.look(bytes, 3 * to_.width, glance.moved_level, glance.rows + row * 3 * width,
                                         glance.sums + row * cells(to_.width));
    }

    /// Row `y` of the network's input as bytes in the frame's order.
    const std::uint8_t* row(int y) {
        if (y < to_.y || y >= to_.y + to_.height) {
            pad(0, width());
            return bytes_;
        }
        if (plan_.copies && to_.width == width() && frame_.channels() == 3) return frame_(y - to_.y);
        // Slack is written after the last pixel, so the right margin comes after it.
        pad(0, to_.x);
        resample(y - to_.y, bytes_ + 3 * to_.x);
        pad(to_.x + to_.width, width());
        return bytes_;
    }

    void pad(int from, int until) {
        for (int x = from; x < until; ++x) std::copy(plan_.padding, plan_.padding + 3, bytes_ + 3 * x);
    }

    void resample(int y, std::uint8_t* out) {
        const PreprocessRows& rows = segrt::rows().preprocess;
        const Rect& from = job_.placement.source;
        const int channels = frame_.channels();
        if (plan_.copies) {
            const std::uint8_t* row = frame_(y);
            if (channels == 3) {
                std::memcpy(out, row, 3 * static_cast<std::size_t>(to_.width));
            } else {
                segrt::rows().formats.to_three(row, channels, to_.width, out);
            }
            return;
        }
        const pixel::ByteTap tap = pixel::byte_tap(y, from.height, to_.height);
        const std::uint8_t* top = frame_(tap.index);
        const std::uint8_t* bottom = tap.share ? frame_(tap.index + 1) : top;
        rows.down(top, bottom, tap.share, channels * from.width, mixed_);
        rows.across(mixed_, channels, plan_.index, plan_.share, to_.width, out);
    }

    void write(int y, const std::uint8_t* row) {
        const PreprocessRows& rows = segrt::rows().preprocess;
        const std::size_t before = static_cast<std::size_t>(y) * width();
        if (job_.layout == Layout::kNhwcU8) {
            std::uint8_t* out = static_cast<std::uint8_t*>(job_.out) + 3 * before;
            if (plan_.swapped) {
                segrt::rows().formats.swap(row, width(), out);
            } else {
                std::memcpy(out, row, 3 * static_cast<std::size_t>(width()));
            }
            return;
        }
        const std::size_t pixels = static_cast<std::size_t>(width()) * job_.placement.input_height;
        const bool interleaved = job_.layout == Layout::kNhwcF16, full = job_.layout == Layout::kNchwF32;
        PlanarRow to;
        for (int c = 0; c < 3; ++c) {
            const int plane = plan_.swapped ? 2 - c : c;
            const std::size_t value = interleaved ? 3 * before + plane : plane * pixels + before;
            to.plane[c] = static_cast<std::uint8_t*>(job_.out) + (full ? 4 : 2) * value;
            to.mean[c] = job_.normalization.mean[plane];
            to.inverse_std[c] = 1.0f / job_.normalization.std[plane];
        }
        (interleaved ? rows.interleaved_f16 : full ? rows.planar_f32 : rows.planar_f16)(row, width(), to);
    }

    const PreprocessJob& job_;
    const Plan& plan_;
    const Rect& to_;
    FrameRows& frame_;
    std::int16_t* mixed_;
    std::uint8_t* bytes_;
};

/// Red and blue exchanged in memory are the other format: the common image[..., ::-1] costs nothing.
Image without_reversed_channels(Image image) {
    if ((image.format == Format::kBgr || image.format == Format::kRgb) && image.channel == -1) {
        image.data -= 2;
        image.channel = 1;
        image.format = image.format == Format::kBgr ? Format::kRgb : Format::kBgr;
    }
    return image;
}

Plan plan_for(const PreprocessJob& job, Arena& arena) {
    const Placement& at = job.placement;
    const std::size_t columns = static_cast<std::size_t>(at.target.width);
    Plan plan;
    plan.index = arena.get<std::int32_t>(columns);
    plan.share = arena.get<std::int16_t>(columns);
    plan.swapped = (job.image.format == Format::kRgb) != job.normalization.rgb;
    plan.copies = at.source.width == at.target.width && at.source.height == at.target.height;
    for (int c = 0; c < 3; ++c) plan.padding[c] = pixel::nearest_byte(job.normalization.mean[plan.swapped ? 2 - c : c]);
    for (int x = 0; x < at.target.width && !plan.copies; ++x) {
        const pixel::ByteTap tap = pixel::byte_tap(x, at.source.width, at.target.width);
        plan.index[x] = tap.index * channels_of(job.image.format);
        plan.share[x] = tap.share;
    }
    return plan;
}

}  // namespace

void preprocess(const PreprocessJob& asked) {
    PreprocessJob job = asked;
    job.image = without_reversed_channels(job.image);
    const Placement& at = job.placement;
    const std::size_t mixed = 4 * static_cast<std::size_t>(at.source.width) + kSlack;
    const std::size_t bytes = 3 * static_cast<std::size_t>(at.input_width) + kSlack;
    const std::size_t columns = static_cast<std::size_t>(at.target.width);
    const std::size_t shared = Arena::size_of<std::int32_t>(columns) + Arena::size_of<std::int16_t>(columns);
    const std::size_t own =
        FrameRows::size_of(at.source) + Arena::size_of<std::int16_t>(mixed) + Arena::size_of<std::uint8_t>(bytes);
    const int threads = std::max(1, std::min(job.threads, kMaxThreads));
    const int bands = std::min(threads * kBands, at.input_height);
    std::byte* const memory = scratch.reserve(shared + threads * own);

    Arena arena(memory);
    const Plan plan = plan_for(job, arena);
    std::atomic<std::int64_t> moved{0};
    parallel(threads, bands, [&](int band, int slot) {
        Arena arena(memory + shared + slot * own);
        FrameRows frame(job.image, job.reading, at, arena);
        std::int16_t* const mixed_row = arena.get<std::int16_t>(mixed);
        moved += Band(job, plan, frame, mixed_row, arena.get<std::uint8_t>(bytes))
                     .run(first_row(band, bands, at.input_height), first_row(band + 1, bands, at.input_height));
    });
    if (job.glance) conclude(*job.glance, at.target.width, moved, *job.glanced);
}

}  // namespace segrt
