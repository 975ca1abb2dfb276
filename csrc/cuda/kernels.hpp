// The pixel work of ops.hpp on a GPU, bit for bit: the same jobs with addresses of its memory, queued on a stream.
//
// `threads` is not used. Pixels of a row are contiguous, values aligned. Nothing allocates or waits, so all of it can
// be captured in a graph.
#pragma once

#include "cuda/handles.hpp"
#include "ops.hpp"

namespace segrt::cuda {

void preprocess(const PreprocessJob& job, const Stream& stream);

/// What postprocess measures, as it lies in the GPU's memory: areas[classes] come first, then this.
struct StatsTail {
    std::int64_t nonfinite;
    std::int64_t changed;
    double confidence;          // while the kernel runs, the sum of probabilities in 65536ths
    std::uint64_t blocks_done;  // the kernel's own
};

inline std::size_t stats_bytes(int classes) { return sizeof(std::int64_t) * classes + sizeof(StatsTail); }

/// `stats` are stats_bytes(classes), aligned to 8, zeroed by the call itself.
void postprocess(const PostprocessJob& job, void* stats, const Stream& stream);

/// State and tally in the memory of the GPU, the tally zeroed before the first call.
void steady(const SteadyJob& job, const Stream& stream);

void overlay(const OverlayJob& job, const Stream& stream);

}  // namespace segrt::cuda
