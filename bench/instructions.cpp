// Runs one kernel case once, inside `measured()`, for bench/instructions.py: callgrind counts what happens in there.
// One thread, fixed inputs, the row loops built for AVX2 (what valgrind can run at most).
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ops.hpp"

namespace {

template <class Value>
std::vector<Value> noise(std::size_t count, double scale = 255.0) {
    std::uint32_t state = 1;
    std::vector<Value> values(count);
    for (auto& value : values) {
        state = state * 1664525u + 1013904223u;
        value = static_cast<Value>((state >> 8) / 16777216.0 * scale);
    }
    return values;
}

constexpr int kInput = 480, kLogits = 120;

std::function<void()> preprocess(int height, int width, segrt::Format format, segrt::Layout layout) {
    static std::vector<std::uint8_t> frame, out;
    frame = noise<std::uint8_t>(static_cast<std::size_t>(height) * width * 3);
    out.resize(kInput * kInput * 3 * 4);
    segrt::PreprocessJob job{};
    const bool yuv = format == segrt::Format::kNv12;
    job.image = {frame.data(), width * (yuv ? 1 : 3), yuv ? 1 : 3, 1, format};
    job.placement = {height, width, kInput, kInput, {0, 0, width, height}, {0, 0, kInput, kInput}};
    job.normalization = {{123.7f, 116.3f, 103.5f}, {58.4f, 57.1f, 57.4f}, true};
    job.layout = layout;
    job.out = out.data();
    job.threads = 1;
    return [job] { segrt::preprocess(job); };
}

std::function<void()> postprocess(int height, int width, int classes) {
    static std::vector<float> logits;
    static std::vector<std::uint8_t> mask;
    logits = noise<float>(static_cast<std::size_t>(classes) * kLogits * kLogits, 10.0);
    mask.assign(static_cast<std::size_t>(height) * width, 0);
    segrt::PostprocessJob job{};
    job.logits = {reinterpret_cast<const std::uint8_t*>(logits.data()),
                  kLogits * kLogits * 4,
                  kLogits * 4,
                  4,
                  classes,
                  kLogits,
                  kLogits,
                  false};
    job.placement = {height, width, kInput, kInput, {0, 0, width, height}, {0, 0, kInput, kInput}};
    job.activation = segrt::Activation::kSoftmax;
    job.mask = job.previous = {mask.data(), width};
    job.threads = 1;
    return [job] {
        segrt::Measured measured;
        segrt::postprocess(job, measured);
    };
}

std::function<void()> steady() {
    static std::vector<float> logits, state;
    static segrt::SteadyTally tally{};
    logits = noise<float>(3 * kLogits * kLogits, 10.0);
    state = logits;
    tally.known = 1;
    segrt::SteadyJob job{};
    job.logits = {reinterpret_cast<const std::uint8_t*>(logits.data()),
                  kLogits * kLogits * 4,
                  kLogits * 4,
                  4,
                  3,
                  kLogits,
                  kLogits,
                  false};
    job.seen = {0, 0, kLogits, kLogits};
    job.state = state.data();
    job.tally = &tally;
    job.threads = 1;
    return [job] { segrt::steady(job); };
}

// A disc of class 1 in a ring of class 2: as in most masks, most pixels lie among their like, and most are class 0.
std::vector<std::uint8_t> rings() {
    std::vector<std::uint8_t> mask(kInput * kInput);
    for (int i = 0; i < kInput * kInput; ++i) {
        const int x = i % kInput - kInput / 2, y = i / kInput - kInput / 2, square = x * x + y * y;
        mask[i] = square < 120 * 120 ? 1 : square < 170 * 170 ? 2 : 0;
    }
    return mask;
}

std::function<void()> overlay() {
    static const auto frame = noise<std::uint8_t>(kInput * kInput * 3), palette = noise<std::uint8_t>(9);
    static const auto mask = rings();
    static const std::vector<float> alpha = {0.0f, 0.5f, 0.5f};
    static std::vector<std::uint8_t> out(frame.size());
    segrt::OverlayJob job{};
    job.image = {frame.data(), kInput * 3, 3, 1, segrt::Format::kBgr};
    job.out = {out.data(), kInput * 3, 3, 1, segrt::Format::kBgr};
    job.height = job.width = kInput;
    job.channels = 3;
    job.mask = mask.data();
    job.mask_row = kInput;
    job.mask_column = 1;
    job.palette = palette.data();
    job.alpha = alpha.data();
    job.colours = 3;
    job.threads = 1;
    return [job] { segrt::overlay(job); };
}

const std::map<std::string, std::function<std::function<void()>()>> kCases = {
    {"preprocess 480x480 BGR to bytes",
     [] { return preprocess(480, 480, segrt::Format::kBgr, segrt::Layout::kNhwcU8); }},
    {"preprocess 480x480 BGR to float32 planes",
     [] { return preprocess(480, 480, segrt::Format::kBgr, segrt::Layout::kNchwF32); }},
    {"preprocess 1920x1080 BGR to bytes",
     [] { return preprocess(1080, 1920, segrt::Format::kBgr, segrt::Layout::kNhwcU8); }},
    {"preprocess 1920x1080 NV12 to bytes",
     [] { return preprocess(1080, 1920, segrt::Format::kNv12, segrt::Layout::kNhwcU8); }},
    {"postprocess 3 classes to 480x480", [] { return postprocess(480, 480, 3); }},
    {"postprocess 21 classes to 480x480", [] { return postprocess(480, 480, 21); }},
    {"postprocess 3 classes to 1920x1080", [] { return postprocess(1080, 1920, 3); }},
    {"steady 3 classes", steady},
    {"overlay 480x480", overlay},
};

}  // namespace

// Its name is what callgrind is told to count in: neither inlined nor mangled.
extern "C" __attribute__((noinline)) void measured(const std::function<void()>& work) {
    work();
    asm volatile("" ::: "memory");
}

int main(int count, char** words) {
    if (count != 2) {
        for (const auto& [name, make] : kCases) std::puts(name.c_str());
        return 0;
    }
    const auto found = kCases.find(words[1]);
    if (found == kCases.end()) return 2;
    const auto work = found->second();
    work();  // memory is there and tables are made
    measured(work);
    return 0;
}
