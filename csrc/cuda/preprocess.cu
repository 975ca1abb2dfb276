// preprocess on a GPU: each thread writes four neighbouring pixels of the network's input.
#include "cuda/kernels.hpp"
#include "cuda/launch.hpp"
#include "pixel/blend.hpp"
#include "pixel/colour.hpp"
#include "pixel/half.hpp"
#include "pixel/normalize.hpp"
#include "pixel/resample.hpp"

namespace segrt::cuda {
namespace {

// A block: rows of one warp each. Four pixels a thread make whole vectors of every layout.
constexpr int kLanes = 32, kRows = 8, kEach = 4, kColumns = kLanes * kEach;

/// How a pixel lies in memory; RGB is BGR with another order of the network.
enum class Kind { kThree, kFour, kGray8, kGray16, kYuv };

struct Task {
    const std::uint8_t* frame;
    std::ptrdiff_t pitch;
    Placement at;
    Layout layout;
    void* out;
    bool swapped;  // the network's order is not the frame's
    bool words;    // the frame can be read by 32 bits: pixels of four bytes, or four pixels where nothing is resampled
    bool vectors;  // four pixels of the output can be written at once
    bool copies;   // source and target are of one size: nothing is interpolated
    bool planar_chroma;
    float gray_scale;
    pixel::Yuv yuv;
    float mean[3], inverse_std[3];  // in the network's order
    std::uint8_t padding[3];        // in the network's order
};

struct Pixel {
    std::uint8_t value[3];  // in the order of the frame
};

__device__ Pixel read_yuv(const Task& task, int y, int x) {
    const int width = task.at.frame_width, height = task.at.frame_height;
    const auto row = [&](int line) { return task.frame + line * task.pitch; };
    std::uint8_t u, v;
    if (task.planar_chroma) {
        // Two rows of chroma share a row of the array: U's first, then V's. Where height / 2 is odd V starts halfway.
        const auto chroma = [&](int line) { return row(height + line / 2)[(line % 2 ? width / 2 : 0) + x / 2]; };
        u = chroma(y / 2);
        v = chroma(height / 2 + y / 2);
    } else {
        const std::uint8_t* both = row(height + y / 2) + x / 2 * 2;
        u = both[0];
        v = both[1];
    }
    Pixel pixel;
    pixel::yuv_to_bgr(row(y)[x], u, v, task.yuv, pixel.value);
    return pixel;
}

/// The frame's pixel at (y, x) of the source rectangle.
template <Kind kKind>
__device__ Pixel read(const Task& task, int y, int x) {
    y += task.at.source.y;
    x += task.at.source.x;
    const std::uint8_t* row = task.frame + y * task.pitch;
    if constexpr (kKind == Kind::kYuv) return read_yuv(task, y, x);
    if constexpr (kKind == Kind::kGray8) return {{row[x], row[x], row[x]}};
    if constexpr (kKind == Kind::kGray16) {
        const std::uint16_t wide = reinterpret_cast<const std::uint16_t*>(row)[x];
        const std::uint8_t byte = pixel::gray16_to_byte(wide, task.gray_scale);
        return {{byte, byte, byte}};
    }
    if (kKind == Kind::kFour && task.words) {
        const std::uint32_t word = reinterpret_cast<const std::uint32_t*>(row)[x];
        return {{static_cast<std::uint8_t>(word), static_cast<std::uint8_t>(word >> 8),
                 static_cast<std::uint8_t>(word >> 16)}};
    }
    row += x * (kKind == Kind::kFour ? 4 : 3);
    return {{row[0], row[1], row[2]}};
}

template <Kind kKind>
__device__ Pixel sample(const Task& task, const pixel::ByteTap& row, const pixel::ByteTap& column) {
    const Pixel here = read<kKind>(task, row.index, column.index);
    if (row.share == 0 && column.share == 0) return here;
    const int bottom = row.index + (row.share != 0), right = column.index + (column.share != 0);
    const Pixel beside = read<kKind>(task, row.index, right);
    const Pixel below = read<kKind>(task, bottom, column.index);
    const Pixel across = read<kKind>(task, bottom, right);
    Pixel mixed;
    constexpr bool kGray = kKind == Kind::kGray8 || kKind == Kind::kGray16;
    for (int c = 0; c < (kGray ? 1 : 3); ++c) {
        using pixel::to_q7;
        const std::int16_t left_q7 = pixel::blend(to_q7(here.value[c]), to_q7(below.value[c]), row.share);
        const std::int16_t right_q7 = pixel::blend(to_q7(beside.value[c]), to_q7(across.value[c]), row.share);
        mixed.value[c] = pixel::to_byte(pixel::blend(left_q7, right_q7, column.share));
    }
    if (kGray) mixed.value[1] = mixed.value[2] = mixed.value[0];
    return mixed;
}

/// Four pixels in the network's order.
struct alignas(4) Four {
    std::uint8_t value[kEach][3];
};

/// `count` values that are read or written at once.
template <class Value, int kCount>
struct alignas(sizeof(Value) * kCount) Vector {
    Value value[kCount];
};

/// Four pixels of 3 bytes as they are, where nothing is resampled.
__device__ Four copy_four(const Task& task, int y, int x) {
    const std::uint8_t* row = task.frame + (task.at.source.y + y) * task.pitch + (task.at.source.x + x) * 3;
    Four four;
    for (int i = 0; i < 3; ++i) {
        const std::uint32_t word = reinterpret_cast<const std::uint32_t*>(row)[i];
        std::memcpy(reinterpret_cast<std::uint8_t*>(&four) + 4 * i, &word, 4);
    }
    return four;
}

__device__ void swap(std::uint8_t (&value)[3]) {
    const std::uint8_t first = value[0];
    value[0] = value[2];
    value[2] = first;
}

__device__ void convert(float value, float* to) { *to = value; }
__device__ void convert(float value, std::uint16_t* to) { *to = pixel::to_half(value); }

template <class Value>
__device__ Value normalized(const Task& task, const Four& four, int i, int c) {
    Value value;
    convert(pixel::normalize(static_cast<float>(four.value[i][c]), task.mean[c], task.inverse_std[c]), &value);
    return value;
}

template <class Value>
__device__ void write_planar(const Task& task, const Four& four, std::size_t before, int count) {
    const std::size_t pixels = static_cast<std::size_t>(task.at.input_width) * task.at.input_height;
    for (int c = 0; c < 3; ++c) {
        Vector<Value, kEach> values;
        for (int i = 0; i < kEach; ++i) values.value[i] = normalized<Value>(task, four, i, c);
        Value* to = static_cast<Value*>(task.out) + c * pixels + before;
        if (task.vectors) {
            *reinterpret_cast<Vector<Value, kEach>*>(to) = values;
        } else {
            for (int i = 0; i < kEach; ++i) {
                if (i < count) to[i] = values.value[i];
            }
        }
    }
}

/// Twelve values one after the other, as three vectors where that can be.
template <class Value>
__device__ void write_twelve(const Task& task, const Value (&values)[3 * kEach], std::size_t before, int count) {
    Value* to = static_cast<Value*>(task.out) + 3 * before;
    if (task.vectors) {
        for (int i = 0; i < 3; ++i) {
            Vector<Value, kEach> vector;
            for (int k = 0; k < kEach; ++k) vector.value[k] = values[i * kEach + k];
            reinterpret_cast<Vector<Value, kEach>*>(to)[i] = vector;
        }
    } else {
        for (int i = 0; i < 3 * kEach; ++i) {
            if (i < 3 * count) to[i] = values[i];
        }
    }
}

__device__ void write(const Task& task, const Four& four, int y, int x, int count) {
    const std::size_t before = static_cast<std::size_t>(y) * task.at.input_width + x;
    if (task.layout == Layout::kNchwF32) return write_planar<float>(task, four, before, count);
    if (task.layout == Layout::kNchwF16) return write_planar<std::uint16_t>(task, four, before, count);
    if (task.layout == Layout::kNhwcF16) {
        std::uint16_t values[3 * kEach];
        for (int i = 0; i < kEach; ++i) {
            for (int c = 0; c < 3; ++c) values[3 * i + c] = normalized<std::uint16_t>(task, four, i, c);
        }
        return write_twelve(task, values, before, count);
    }
    std::uint8_t values[3 * kEach];
    for (int i = 0; i < kEach; ++i) {
        for (int c = 0; c < 3; ++c) values[3 * i + c] = four.value[i][c];
    }
    write_twelve(task, values, before, count);
}

/// Pixels in the padding get some tap too, which nobody uses.
__device__ int clamped(int i, int count) { return i < 0 ? 0 : i < count ? i : count - 1; }

template <Kind kKind>
__global__ void __launch_bounds__(kLanes* kRows) preprocess_block(const Task task) {
    __shared__ pixel::ByteTap columns[kColumns];
    __shared__ pixel::ByteTap rows[kRows];
    const Rect from = task.at.source, to = task.at.target;
    const int left = static_cast<int>(blockIdx.x) * kColumns, top = static_cast<int>(blockIdx.y) * kRows;
    const int thread = static_cast<int>(threadIdx.y * kLanes + threadIdx.x);
    // Divisions per column and row of the block, instead of per pixel.
    if (thread < kColumns) {
        columns[thread] = pixel::byte_tap(clamped(left + thread - to.x, to.width), from.width, to.width);
    } else if (thread < kColumns + kRows) {
        const int y = clamped(top + thread - kColumns - to.y, to.height);
        rows[thread - kColumns] = pixel::byte_tap(y, from.height, to.height);
    }
    __syncthreads();

    const int y = top + static_cast<int>(threadIdx.y), x = left + static_cast<int>(threadIdx.x) * kEach;
    const int count = task.at.input_width - x;
    if (y >= task.at.input_height || count <= 0) return;
    const bool inside = y >= to.y && y < to.y + to.height;
    Four four;
    const bool whole = inside && x >= to.x && x + kEach <= to.x + to.width;
    if (kKind == Kind::kThree && task.copies && task.words && whole) {
        four = copy_four(task, y - to.y, x - to.x);
        if (task.swapped) {
#pragma unroll
            for (int i = 0; i < kEach; ++i) swap(four.value[i]);
        }
        return write(task, four, y, x, count);
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
        Pixel pixel = {{task.padding[0], task.padding[1], task.padding[2]}};
        if (inside && x + i >= to.x && x + i < to.x + to.width) {
            pixel = sample<kKind>(task, rows[threadIdx.y], columns[threadIdx.x * kEach + i]);
            if (task.swapped) swap(pixel.value);
        }
        for (int c = 0; c < 3; ++c) four.value[i][c] = pixel.value[c];
    }
    write(task, four, y, x, count);
}

Kind kind_of(Format format) {
    switch (format) {
        case Format::kBgra:
            return Kind::kFour;
        case Format::kGray8:
            return Kind::kGray8;
        case Format::kGray16:
            return Kind::kGray16;
        case Format::kNv12:
        case Format::kI420:
            return Kind::kYuv;
        default:
            return Kind::kThree;
    }
}

Task task_for(const PreprocessJob& job) {
    const Placement& at = job.placement;
    Task task{};
    task.frame = job.image.data;
    task.pitch = job.image.row;
    task.at = at;
    task.layout = job.layout;
    task.out = job.out;
    task.swapped = (job.image.format == Format::kRgb) != job.normalization.rgb;
    task.copies = at.source.width == at.target.width && at.source.height == at.target.height;
    // Threads begin at multiples of four pixels of the input; seen from there the frame's rows must be aligned too.
    const std::ptrdiff_t shift = job.image.format == Format::kBgra ? 0 : 3 * (at.source.x - at.target.x);
    task.words = aligned(job.image.data + shift, job.image.row, 4);
    task.vectors = at.input_width % kEach == 0 && aligned(job.out, 0, 16);
    task.planar_chroma = job.image.format == Format::kI420;
    task.gray_scale = 255.0f / static_cast<float>(job.reading.white);
    task.yuv = pixel::yuv(job.reading.bt709, job.reading.full_range);
    for (int c = 0; c < 3; ++c) {
        task.mean[c] = job.normalization.mean[c];
        task.inverse_std[c] = 1.0f / job.normalization.std[c];
        task.padding[c] = pixel::nearest_byte(job.normalization.mean[c]);
    }
    return task;
}

}  // namespace

void preprocess(const PreprocessJob& job, const Stream& stream) {
    const Task task = task_for(job);
    const dim3 blocks(blocks_for(job.placement.input_width, kColumns), blocks_for(job.placement.input_height, kRows));
    const dim3 threads(kLanes, kRows);
    switch (kind_of(job.image.format)) {
        case Kind::kThree:
            return launch(preprocess_block<Kind::kThree>, blocks, threads, stream, task);
        case Kind::kFour:
            return launch(preprocess_block<Kind::kFour>, blocks, threads, stream, task);
        case Kind::kGray8:
            return launch(preprocess_block<Kind::kGray8>, blocks, threads, stream, task);
        case Kind::kGray16:
            return launch(preprocess_block<Kind::kGray16>, blocks, threads, stream, task);
        case Kind::kYuv:
            return launch(preprocess_block<Kind::kYuv>, blocks, threads, stream, task);
    }
}

}  // namespace segrt::cuda
