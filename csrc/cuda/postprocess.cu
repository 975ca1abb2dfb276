// postprocess on a GPU, in one kernel: each thread classifies a few pixels of one column of the mask, and on the way
// the blocks look for NaN among all logits. The last block to finish sees the sums and, if need be, clears the mask.
#include "cuda/kernels.hpp"
#include "cuda/launch.hpp"
#include "cuda/logits.hpp"
#include "pixel/classify.hpp"
#include "pixel/resample.hpp"

namespace segrt::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kLanes * kWarps;
constexpr int kEach = 2;               // rows that a thread takes: more would leave small frames too few blocks
constexpr int kHigh = kWarps * kEach;  // rows of a block
constexpr int kFew = 8;                // up to so many classes the logits of a pixel stay in registers
constexpr int kUnseen = 255;           // what the mask holds outside a centre crop
constexpr int kIds = 256;

/// `count` values that are read at once.
template <class Value, int kCount>
struct alignas(sizeof(Value) * kCount) Vector {
    Value value[kCount];
};

template <class Value>
struct Task {
    const Value* logits;
    std::ptrdiff_t plane, row, column;  // strides in values
    int classes, height, width;
    const Value* first;  // of the logits in memory, where they lie without gaps in whatever order; otherwise null
    Placement at;
    Activation activation;
    Plane mask, previous;
    std::int64_t* areas;
    StatsTail* tail;
};

/// The logits of one pixel of the mask, class by class.
template <class Value, int kAtOnce>
struct Corners {
    const Value *top_left, *top_right, *bottom_left, *bottom_right;
    std::ptrdiff_t plane;
    pixel::FloatTap row, column;

    __device__ Corners(const Task<Value>& task, const pixel::FloatTap& row, const pixel::FloatTap& column)
        : plane(task.plane), row(row), column(column) {
        const std::ptrdiff_t down = row.index + 1 < task.height ? task.row : 0;
        const std::ptrdiff_t right = column.index + 1 < task.width ? task.column : 0;
        top_left = task.logits + row.index * task.row + column.index * task.column;
        top_right = top_left + right;
        bottom_left = top_left + down;
        bottom_right = bottom_left + right;
    }

    /// Classes c..c + kAtOnce - 1, which lie side by side if they are several.
    __device__ void operator()(int c, float (&found)[kAtOnce]) const {
        using Several = Vector<Value, kAtOnce>;
        const auto load = [&](const Value* at) { return *reinterpret_cast<const Several*>(at + c * plane); };
        const Several a = load(top_left), b = load(top_right), d = load(bottom_left), e = load(bottom_right);
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
            const float above = pixel::between(widen(a.value[i]), widen(b.value[i]), column.here, column.next);
            const float below = pixel::between(widen(d.value[i]), widen(e.value[i]), column.here, column.next);
            found[i] = pixel::between(above, below, row.here, row.next);
        }
    }
};

using Winner = pixel::Winner<float, int>;

/// Let class `c` compete; class 0 has no one to beat.
__device__ float take(Winner& winner, float value, int c) {
    if (c > 0) return pixel::take(winner, value, c);
    winner = {value, 0};
    return value;
}

__device__ float exp_of(float value) { return pixel::exp_nonpositive<float, std::uint32_t>(value); }

/// The class of a pixel; adds its probability in 65536ths to `probability`. The additions are those of the CPU's, in
/// the same order.
template <class Value, int kAtOnce, bool kIsFew>
__device__ int classify(const Corners<Value, kAtOnce>& corners, int classes, Activation activation,
                        Count& probability) {
    Winner winner{};
    float losers[kIsFew ? kFew : 1];
#pragma unroll
    for (int c = 0; c < (kIsFew ? kFew : classes); c += kAtOnce) {
        if (kIsFew && c >= classes) break;
        float values[kAtOnce];
        corners(c, values);
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
            const float loser = take(winner, values[i], c + i);
            if (kIsFew) losers[c + i] = loser;
        }
    }
    if (activation == Activation::kSigmoid) {
        probability += pixel::in_65536ths(pixel::sigmoid<float, std::uint32_t>(winner.value));
        return winner.id;
    }
    float sum = 1.0f;
    if (kIsFew) {
#pragma unroll
        for (int c = 1; c < kFew; ++c) {
            if (c < classes) sum += exp_of(losers[c] - winner.value);
        }
    } else {  // too many to keep: let them lose once more, against the same ones
        Winner again{};
        for (int c = 0; c < classes; c += kAtOnce) {
            float values[kAtOnce];
            corners(c, values);
#pragma unroll
            for (int i = 0; i < kAtOnce; ++i) {
                const float loser = take(again, values[i], c + i);
                if (c + i > 0) sum += exp_of(loser - winner.value);
            }
        }
    }
    probability += pixel::in_65536ths(1.0f / sum);
    return winner.id;
}

/// NaN and infinities among this thread's share of all logits, 16 bytes at a time where they lie without gaps.
template <class Value>
__device__ Count inspect(const Task<Value>& task) {
    constexpr int kPer = 16 / sizeof(Value);
    const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * gridDim.y * kThreads;
    const std::int64_t block = static_cast<std::int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
    const std::int64_t me = block * kThreads + threadIdx.y * kLanes + threadIdx.x;
    const std::int64_t plane = static_cast<std::int64_t>(task.height) * task.width;
    const std::int64_t count = plane * task.classes;
    Count found = 0;
    if (!task.first) {
        for (std::int64_t i = me; i < count; i += threads) {
            const std::int64_t c = i / plane, y = i % plane / task.width, x = i % task.width;
            found += !finite(task.logits[c * task.plane + y * task.row + x * task.column]);
        }
        return found;
    }
    const int past = static_cast<int>(reinterpret_cast<std::uintptr_t>(task.first) / sizeof(Value) % kPer);
    const std::int64_t wanted = past ? kPer - past : 0;
    const std::int64_t head = wanted < count ? wanted : count;  // before the first whole 16 bytes
    const std::int64_t vectors = (count - head) / kPer, tail = head + vectors * kPer;
    const auto* body = reinterpret_cast<const Vector<Value, kPer>*>(task.first + head);
    for (std::int64_t i = me; i < vectors; i += threads) {
        const Vector<Value, kPer> several = body[i];
#pragma unroll
        for (int k = 0; k < kPer; ++k) found += !finite(several.value[k]);
    }
    // There are more threads than values at either end.
    if (me < head) found += !finite(task.first[me]);
    if (tail + me < count) found += !finite(task.first[tail + me]);
    return found;
}

/// What a block finds, before it is added to the stats.
struct Found {
    unsigned areas[kIds];
    Count nonfinite, changed, probability;
};

__device__ void add_to_stats(const Found& found, std::int64_t* areas, StatsTail* tail, int classes, int thread) {
    const auto add = [](auto* to, Count value) {
        if (value) atomicAdd(reinterpret_cast<Count*>(to), value);
    };
    if (thread < classes) add(areas + thread, found.areas[thread]);
    if (thread == 0) add(&tail->nonfinite, found.nonfinite);
    if (thread == kLanes) add(&tail->changed, found.changed);
    if (thread == 2 * kLanes) add(&tail->confidence, found.probability);
}

/// By the last block, when all others have written mask and stats.
template <class Value>
__device__ void finish(const Task<Value>& task, int thread) {
    volatile StatsTail* tail = task.tail;  // others wrote it: not from a cache
    if (tail->nonfinite == 0) {
        if (thread == 0) {
            const std::uint64_t sum = *reinterpret_cast<volatile std::uint64_t*>(&task.tail->confidence);
            tail->confidence = pixel::mean_probability(sum, task.at.source.width, task.at.source.height);
        }
        return;
    }
    // What was computed beside the NaN is worth nothing: leave no mask that could be taken for one.
    if (thread < task.classes) task.areas[thread] = 0;
    if (thread == 0) {
        tail->changed = 0;
        tail->confidence = pixel::bits<double>(static_cast<std::uint64_t>(0x7FF8000000000000u));  // NaN
    }
    for (int y = static_cast<int>(threadIdx.y); y < task.at.frame_height; y += kWarps) {
        std::uint8_t* row = task.mask.data + y * task.mask.row;
        for (int x = static_cast<int>(threadIdx.x); x < task.at.frame_width; x += kLanes) row[x] = kUnseen;
    }
}

/// Pixels outside the source get some tap too, which nobody uses.
__device__ int clamped(int i, int count) { return i < 0 ? 0 : i < count ? i : count - 1; }

template <class Value, int kAtOnce, bool kIsFew>
__global__ void __launch_bounds__(kThreads) postprocess_block(const Task<Value> task) {
    __shared__ pixel::FloatTap columns[kLanes], rows[kHigh];
    __shared__ Found found;
    __shared__ bool last;
    const Placement& at = task.at;
    const Rect seen = at.source;
    const int left = static_cast<int>(blockIdx.x) * kLanes, top = static_cast<int>(blockIdx.y) * kHigh;
    const int thread = static_cast<int>(threadIdx.y * kLanes + threadIdx.x);
    static_assert(kThreads == kIds, "one thread empties one area");
    found.areas[thread] = 0;
    if (thread == 0) found.nonfinite = found.changed = found.probability = 0;
    // Divisions per column and row of the block, instead of per pixel.
    if (thread < kLanes) {
        const int x = clamped(left + thread - seen.x, seen.width);
        columns[thread] = pixel::float_tap(x, seen.width, at.target.x, at.target.width, at.input_width, task.width);
    } else if (thread < kLanes + kHigh) {
        const int i = thread - kLanes, y = clamped(top + i - seen.y, seen.height);
        rows[i] = pixel::float_tap(y, seen.height, at.target.y, at.target.height, at.input_height, task.height);
    }
    __syncthreads();

    Count probability = 0, changed = 0;
    const int x = left + static_cast<int>(threadIdx.x);
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.y); i < kHigh; i += kWarps) {
        const int y = top + i;
        int id = kUnseen;
        if (x >= seen.x && x < seen.x + seen.width && y >= seen.y && y < seen.y + seen.height) {
            const Corners<Value, kAtOnce> corners(task, rows[i], columns[threadIdx.x]);
            id = classify<Value, kAtOnce, kIsFew>(corners, task.classes, task.activation, probability);
            // Read before the mask is written, which it may be.
            if (task.previous.data) changed += task.previous.data[y * task.previous.row + x] != id;
        }
        if (x < at.frame_width && y < at.frame_height) {
            task.mask.data[y * task.mask.row + x] = static_cast<std::uint8_t>(id);
        }
        // One addition for all lanes of one class.
        const unsigned alike = __match_any_sync(kAllLanes, id);
        const int leader = __ffs(static_cast<int>(alike)) - 1;
        if (static_cast<int>(threadIdx.x) == leader) atomicAdd(&found.areas[id], static_cast<unsigned>(__popc(alike)));
    }
    const Count nonfinite = warp_sum(inspect(task));
    probability = warp_sum(probability);
    changed = warp_sum(changed);
    if (threadIdx.x == 0) {
        atomicAdd(&found.nonfinite, nonfinite);
        atomicAdd(&found.changed, changed);
        atomicAdd(&found.probability, probability);
    }
    __syncthreads();
    add_to_stats(found, task.areas, task.tail, task.classes, thread);

    __threadfence();  // what this block wrote is there before it counts as done
    __syncthreads();
    if (thread == 0) {
        const Count blocks = static_cast<Count>(gridDim.x) * gridDim.y;
        last = atomicAdd(reinterpret_cast<Count*>(&task.tail->blocks_done), Count{1}) == blocks - 1;
    }
    __syncthreads();
    if (!last) return;
    __threadfence();
    finish(task, thread);
}

template <class Value>
Task<Value> task_for(const PostprocessJob& job, void* stats) {
    const Logits& logits = job.logits;
    Task<Value> task{};
    task.logits = reinterpret_cast<const Value*>(logits.data);
    constexpr std::ptrdiff_t kBytes = sizeof(Value);
    task.plane = logits.plane / kBytes;
    task.row = logits.row / kBytes;
    task.column = logits.column / kBytes;
    task.classes = logits.classes;
    task.height = logits.height;
    task.width = logits.width;
    task.at = job.placement;
    task.activation = job.activation;
    task.mask = job.mask;
    task.previous = job.previous;
    task.areas = static_cast<std::int64_t*>(stats);
    task.tail = reinterpret_cast<StatsTail*>(task.areas + logits.classes);

    // Without gaps: the smallest stride is 1, and each next one spans all axes before it.
    struct Axis {
        std::ptrdiff_t step, count;
    } axes[3] = {{task.plane, task.classes}, {task.row, task.height}, {task.column, task.width}};
    const Value* first = task.logits;
    for (Axis& axis : axes) {
        if (axis.step < 0) {  // count from the other end
            first += axis.step * (axis.count - 1);
            axis.step = -axis.step;
        }
    }
    std::ptrdiff_t span = 1;
    for (int pass = 0; pass < 3; ++pass) {
        for (Axis& axis : axes) {
            if (axis.count > 1 && axis.step == span) {
                span *= axis.count;
                axis.count = 1;
            }
        }
    }
    if (axes[0].count == 1 && axes[1].count == 1 && axes[2].count == 1) task.first = first;
    return task;
}

/// How many classes of a pixel can be read at once: they lie side by side, and aligned at every pixel.
int at_once(const Task<Half>& task) {
    if (task.plane != 1) return 1;
    for (const int count : {4, 2}) {
        if (task.classes % count == 0 && task.row % count == 0 && task.column % count == 0 &&
            aligned(task.logits, 0, count * static_cast<int>(sizeof(Half)))) {
            return count;
        }
    }
    return 1;
}

template <class Value, int kAtOnce>
void launch_one(const Task<Value>& task, const Stream& stream) {
    const dim3 blocks(blocks_for(task.at.frame_width, kLanes), blocks_for(task.at.frame_height, kHigh));
    const dim3 threads(kLanes, kWarps);
    if (task.classes <= kFew) {
        launch(postprocess_block<Value, kAtOnce, true>, blocks, threads, stream, task);
    } else {
        launch(postprocess_block<Value, kAtOnce, false>, blocks, threads, stream, task);
    }
}

}  // namespace

void postprocess(const PostprocessJob& job, void* stats, const Stream& stream) {
    fill(stats, 0, stats_bytes(job.logits.classes), stream);
    if (!job.logits.half) return launch_one<float, 1>(task_for<float>(job, stats), stream);
    // Channels-last logits come from networks in half precision only.
    const Task<Half> task = task_for<Half>(job, stats);
    switch (at_once(task)) {
        case 4:
            return launch_one<Half, 4>(task, stream);
        case 2:
            return launch_one<Half, 2>(task, stream);
        default:
            return launch_one<Half, 1>(task, stream);
    }
}

}  // namespace segrt::cuda
