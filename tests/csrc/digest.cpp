// Prints a digest of what every kernel makes of fixed inputs, for each instruction set that the CPU has. CPUs without
// Python at hand are compared by it; an Arm build under qemu must print the very digests of x86-64:
//
//   aarch64-linux-gnu-g++ -std=c++17 -O3 -ffp-contract=off -DSEGRT_ISA=baseline -static -pthread -Icsrc
//       tests/csrc/digest.cpp csrc/cpu/*.cpp csrc/cpu/rows/*.cpp -o digest && qemu-aarch64 ./digest
#include <cmath>
#include <cstdio>
#include <vector>

#include "ops.hpp"

namespace {

std::uint32_t state = 1;

std::uint32_t random_bits() { return state = state * 1664525u + 1013904223u; }

template <class Value>
std::vector<Value> noise(std::size_t count) {
    std::vector<Value> values(count);
    for (auto& value : values) value = static_cast<Value>(random_bits() >> 8);
    return values;
}

std::vector<float> scores(std::size_t count) {
    std::vector<float> values(count);
    for (auto& value : values) value = (static_cast<float>(random_bits() >> 8) / 16777216.0f - 0.5f) * 20.0f;
    return values;
}

class Digest {
  public:
    template <class Value>
    void add(const std::vector<Value>& values) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
        for (std::size_t i = 0; i < values.size() * sizeof(Value); ++i) sum_ = (sum_ ^ bytes[i]) * 1099511628211u;
    }
    unsigned long long value() const { return sum_; }

  private:
    unsigned long long sum_ = 14695981039346656037u;
};

constexpr int kHeight = 90, kWidth = 134;

segrt::Placement placement(int height, int width) {
    return {kHeight, kWidth, height, width, {3, 4, kWidth - 5, kHeight - 6}, {2, 1, width - 3, height - 4}};
}

unsigned long long preprocess_digest() {
    Digest digest;
    const auto frame = noise<std::uint8_t>(kHeight * kWidth * 4);
    for (int format = 0; format < 7; ++format) {
        const int bytes = format < 2 ? 3 : format == 2 ? 4 : format == 4 ? 2 : 1;
        for (int layout = 0; layout < 3; ++layout) {
            for (int width : {40, 101, 300}) {
                segrt::PreprocessJob job{};
                job.image = {frame.data(), kWidth * bytes, bytes, 1, static_cast<segrt::Format>(format)};
                job.placement = placement(77, width);
                job.normalization = {{123.7f, 116.3f, 103.5f}, {58.4f, 57.1f, 57.4f}, true};
                job.layout = static_cast<segrt::Layout>(layout);
                std::vector<std::uint8_t> out(77 * width * 3 * 4);
                job.out = out.data();
                job.threads = 2;
                segrt::preprocess(job);
                digest.add(out);
            }
        }
    }
    return digest.value();
}

unsigned long long glance_digest() {
    Digest digest;
    for (int width : {40, 101, 300}) {
        const int rows = (77 - 4 + 3) / 4, across = (width - 3 + 31) / 32, down = (rows + 7) / 8;
        std::vector<std::uint8_t> kept(rows * 3 * (width - 3));
        std::vector<std::uint16_t> sums(rows * across), cells(down * across);
        const segrt::Glance glance = {kept.data(), sums.data(), cells.data(), rows, 2, 2};
        auto frame = noise<std::uint8_t>(kHeight * kWidth * 3);
        auto next = frame;
        for (std::size_t i = 0; i < next.size(); i += 5) next[i] += static_cast<std::uint8_t>(i % 7);
        for (const auto* bytes : {frame.data(), next.data()}) {
            segrt::PreprocessJob job{};
            job.image = {bytes, kWidth * 3, 3, 1, segrt::Format::kBgr};
            job.placement = placement(77, width);
            job.normalization = {{123.7f, 116.3f, 103.5f}, {58.4f, 57.1f, 57.4f}, true};
            job.threads = 2;
            segrt::Glanced glanced;
            job.glance = &glance;
            job.glanced = &glanced;
            segrt::preprocess(job);
            digest.add(std::vector<std::int64_t>{glanced.moved, glanced.farthest, glanced.outstanding, glanced.middle});
            digest.add(cells);
        }
    }
    return digest.value();
}

unsigned long long postprocess_digest() {
    Digest digest;
    for (int classes : {1, 2, 3, 4, 5, 21, 255}) {
        const auto logits = scores(classes * 31 * 37);
        for (int activation = 0; activation < 2; ++activation) {
            for (int width : {40, 101, 300}) {
                std::vector<std::uint8_t> mask(kHeight * kWidth);
                segrt::PostprocessJob job{};
                job.logits = {reinterpret_cast<const std::uint8_t*>(logits.data()),
                              31 * 37 * 4,
                              37 * 4,
                              4,
                              classes,
                              31,
                              37,
                              false};
                job.placement = placement(77, width);
                job.activation = static_cast<segrt::Activation>(activation);
                job.mask = {mask.data(), kWidth};
                job.threads = 2;
                segrt::Measured measured;
                segrt::postprocess(job, measured);
                digest.add(mask);
                digest.add(std::vector<std::int64_t>(measured.areas, measured.areas + 256));
                digest.add(std::vector<double>{measured.confidence});
            }
        }
    }
    return digest.value();
}

unsigned long long overlay_digest() {
    Digest digest;
    const auto frame = noise<std::uint8_t>(kHeight * kWidth * 4), mask = noise<std::uint8_t>(kHeight * kWidth);
    const auto palette = noise<std::uint8_t>(200 * 3);
    std::vector<float> alpha(200);
    for (std::size_t i = 0; i < alpha.size(); ++i) alpha[i] = static_cast<float>(i % 11) / 10.0f;
    for (int channels : {3, 4}) {
        std::vector<std::uint8_t> out(frame.size());
        segrt::OverlayJob job{};
        job.image = {frame.data(), kWidth * channels, channels, 1, segrt::Format::kBgr};
        job.out = {out.data(), kWidth * channels, channels, 1, segrt::Format::kBgr};
        job.height = kHeight;
        job.width = kWidth;
        job.channels = channels;
        job.mask = mask.data();
        job.mask_row = kWidth;
        job.mask_column = 1;
        job.palette = palette.data();
        job.alpha = alpha.data();
        job.colours = 200;
        job.threads = 2;
        segrt::overlay(job);
        digest.add(out);
    }
    return digest.value();
}

unsigned long long steady_digest() {
    Digest digest;
    for (int classes : {2, 3, 21}) {
        const auto first = scores(classes * 31 * 37), noise = scores(classes * 31 * 37);
        std::vector<float> logits = first, state(first.size());
        segrt::SteadyTally tally{};
        for (int frame = 0; frame < 5; ++frame) {
            for (std::size_t i = 0; i < first.size(); ++i) logits[i] = first[i] + 0.02f * frame * noise[i];
            segrt::SteadyJob job{};
            job.logits = {
                reinterpret_cast<const std::uint8_t*>(logits.data()), 31 * 37 * 4, 37 * 4, 4, classes, 31, 37, false};
            job.seen = {0, 3, 37, 20};
            job.state = state.data();
            job.tally = &tally;
            job.threads = 2;
            segrt::steady(job);
            digest.add(state);
            digest.add(std::vector<std::int64_t>{tally.leaps, tally.mixed});
        }
    }
    return digest.value();
}

}  // namespace

int main() {
    for (const char* isa : {"baseline", "avx2", "avx512"}) {
        if (!segrt::set_isa(isa)) continue;
        state = 1;
        const auto first = preprocess_digest(), second = postprocess_digest(), third = overlay_digest(),
                   fourth = steady_digest(), fifth = glance_digest();
        std::printf("preprocess %016llx postprocess %016llx overlay %016llx steady %016llx glance %016llx (%s)\n",
                    first, second, third, fourth, fifth, isa);
    }
}
