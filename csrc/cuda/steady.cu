// steady on a GPU, in two kernels: the first counts what tells whether the frame continues the ones before, and its
// last block decides; the second mixes or begins anew. A thread takes whole cells, all classes of them.
#include "cuda/kernels.hpp"
#include "cuda/launch.hpp"
#include "cuda/logits.hpp"
#include "pixel/steady.hpp"

namespace segrt::cuda {
namespace {

constexpr int kThreads = 256;
constexpr unsigned kMostBlocks = 1024;  // more have nothing to win: each adds to the same counters

template <class Value>
struct Task {
    const Value* logits;
    std::ptrdiff_t plane, row, column;  // strides in values
    int classes, height, width;
    Rect seen;
    float* state;
    SteadyTally* tally;
};

/// One cell: its logits now, and where its state lies.
template <class Value>
struct Cell {
    const Value* now;
    float* state;
    std::ptrdiff_t now_plane, state_plane;
    bool seen;

    __device__ Cell(const Task<Value>& task, unsigned index)
        : now_plane(task.plane), state_plane(static_cast<std::ptrdiff_t>(task.height) * task.width) {
        const int y = static_cast<int>(index / task.width), x = static_cast<int>(index % task.width);
        now = task.logits + y * task.row + x * task.column;
        state = task.state + index;
        seen = x >= task.seen.x && x < task.seen.x + task.seen.width && y >= task.seen.y &&
               y < task.seen.y + task.seen.height;
    }

    __device__ float at(int c) const { return widen(now[c * now_plane]); }
    __device__ float& before(int c) const { return state[c * state_plane]; }

    /// How far the classes moved apart.
    __device__ float apart(int classes) const {
        const float first = before(0) - at(0);
        pixel::Spread<float> spread = {first, first};
        for (int c = 1; c < classes; ++c) pixel::cover(spread, before(c) - at(c));
        return spread.most - spread.least;
    }
};

template <class Value>
__device__ unsigned cells_of(const Task<Value>& task) {
    return static_cast<unsigned>(task.height) * static_cast<unsigned>(task.width);  // at most 2^30
}

template <class Value>
__global__ void __launch_bounds__(kThreads) survey_block(const Task<Value> task) {
    __shared__ Count nonfinite, leaps;
    SteadyTally* const tally = task.tally;
    const int thread = static_cast<int>(threadIdx.x);
    const bool known = tally->known != 0;  // written by the last block only, when all have read it
    if (thread == 0) nonfinite = leaps = 0;
    __syncthreads();

    Count bad = 0, leapt = 0;
    const unsigned cells = cells_of(task);
    for (unsigned i = blockIdx.x * kThreads + threadIdx.x; i < cells; i += gridDim.x * kThreads) {
        const Cell<Value> cell(task, i);
        for (int c = 0; c < task.classes; ++c) bad += !finite(cell.now[c * task.plane]);
        if (known && cell.seen) leapt += !(cell.apart(task.classes) < pixel::kLeap);
    }
    bad = warp_sum(bad);
    leapt = warp_sum(leapt);
    if (thread % kLanes == 0) {
        atomicAdd(&nonfinite, bad);
        atomicAdd(&leaps, leapt);
    }
    __syncthreads();

    if (thread != 0) return;
    if (nonfinite) atomicAdd(reinterpret_cast<Count*>(&tally->nonfinite), nonfinite);
    if (leaps) atomicAdd(reinterpret_cast<Count*>(&tally->leaps), leaps);
    __threadfence();  // what this block added is there before it counts as done
    if (atomicAdd(reinterpret_cast<Count*>(&tally->blocks_done), Count{1}) != gridDim.x - 1) return;
    __threadfence();
    volatile SteadyTally* const all = tally;  // others wrote it: not from a cache
    const std::int64_t seen = static_cast<std::int64_t>(task.seen.width) * task.seen.height;
    all->mixed = pixel::continues(known, task.classes, all->nonfinite, all->leaps, seen);
    all->known = all->nonfinite == 0;
    all->blocks_done = 0;
}

template <class Value>
__global__ void __launch_bounds__(kThreads) settle_block(const Task<Value> task) {
    const bool mixed = task.tally->mixed != 0;
    const unsigned cells = cells_of(task);
    for (unsigned i = blockIdx.x * kThreads + threadIdx.x; i < cells; i += gridDim.x * kThreads) {
        const Cell<Value> cell(task, i);
        const float apart = mixed ? cell.apart(task.classes) : pixel::kLeap;  // kLeap: nothing is mixed
        for (int c = 0; c < task.classes; ++c) cell.before(c) = pixel::steadied(cell.at(c), cell.before(c), apart);
    }
}

template <class Value>
void launch_both(const SteadyJob& job, const Stream& stream) {
    const Logits& logits = job.logits;
    constexpr std::ptrdiff_t kBytes = sizeof(Value);
    const Task<Value> task = {reinterpret_cast<const Value*>(logits.data),
                              logits.plane / kBytes,
                              logits.row / kBytes,
                              logits.column / kBytes,
                              logits.classes,
                              logits.height,
                              logits.width,
                              job.seen,
                              job.state,
                              job.tally};
    const unsigned needed = blocks_for(logits.height * logits.width, kThreads);
    const dim3 blocks(needed < kMostBlocks ? needed : kMostBlocks), threads(kThreads);
    launch(survey_block<Value>, blocks, threads, stream, task);
    launch(settle_block<Value>, blocks, threads, stream, task);
}

}  // namespace

void steady(const SteadyJob& job, const Stream& stream) {
    static_assert(offsetof(SteadyTally, leaps) == offsetof(SteadyTally, nonfinite) + sizeof(std::int64_t));
    fill(&job.tally->nonfinite, 0, 2 * sizeof(std::int64_t), stream);  // and leaps
    if (job.logits.half) return launch_both<Half>(job, stream);
    launch_both<float>(job, stream);
}

}  // namespace segrt::cuda
