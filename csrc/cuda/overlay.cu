// overlay on a GPU: each thread tints four neighbouring pixels, of a few rows.
#include "cuda/kernels.hpp"
#include "cuda/launch.hpp"
#include "pixel/blend.hpp"

namespace segrt::cuda {
namespace {

constexpr int kLanes = 32, kWarps = 8, kThreads = kLanes * kWarps;
constexpr int kEach = 4;           // pixels of a thread: whole words of three or four bytes a pixel
constexpr int kHigh = kWarps * 4;  // rows of a block, which share one table of tints
constexpr int kIds = 256;

struct Task {
    const std::uint8_t* image;
    std::ptrdiff_t pitch;
    const std::uint8_t* mask;
    std::ptrdiff_t mask_pitch;
    std::uint8_t* out;
    std::ptrdiff_t out_pitch;
    int height, width;
    const std::uint8_t* palette;
    const float* alpha;
    int colours;
    bool words;       // image and out can be read and written by 32 bits
    bool mask_words;  // and the mask
};

/// Bytes that are read or written a word at a time where that can be. `count` of them exist.
template <int kBytes>
struct Bytes {
    std::uint8_t value[kBytes];

    __device__ void read(const std::uint8_t* from, int count, bool words) {
        if (words && count >= kBytes) {
#pragma unroll
            for (int i = 0; i < kBytes / 4; ++i) {
                const std::uint32_t word = reinterpret_cast<const std::uint32_t*>(from)[i];
#pragma unroll
                for (int k = 0; k < 4; ++k) value[4 * i + k] = static_cast<std::uint8_t>(word >> (8 * k));
            }
        } else {
#pragma unroll
            for (int i = 0; i < kBytes; ++i) value[i] = i < count ? from[i] : 0;
        }
    }

    __device__ void write(std::uint8_t* to, int count, bool words) const {
        if (words && count >= kBytes) {
#pragma unroll
            for (int i = 0; i < kBytes / 4; ++i) {
                std::uint32_t word = 0;
#pragma unroll
                for (int k = 0; k < 4; ++k) word |= static_cast<std::uint32_t>(value[4 * i + k]) << (8 * k);
                reinterpret_cast<std::uint32_t*>(to)[i] = word;
            }
        } else {
#pragma unroll
            for (int i = 0; i < kBytes; ++i) {
                if (i < count) to[i] = value[i];
            }
        }
    }
};

template <int kChannels>
__global__ void __launch_bounds__(kThreads) overlay_block(const Task task) {
    __shared__ pixel::Tint tints[kIds];
    const int thread = static_cast<int>(threadIdx.y * kLanes + threadIdx.x);
    static_assert(kThreads == kIds, "one thread makes one tint");
    tints[thread] = thread < task.colours ? pixel::tint_of(task.palette + 3 * thread, task.alpha[thread])
                                          : pixel::Tint{};  // unknown ids and UNSEEN change nothing
    __syncthreads();

    const int x = (static_cast<int>(blockIdx.x) * kLanes + static_cast<int>(threadIdx.x)) * kEach;
    const int count = task.width - x, top = static_cast<int>(blockIdx.y) * kHigh;
    if (count <= 0) return;
    for (int y = top + static_cast<int>(threadIdx.y); y < top + kHigh && y < task.height; y += kWarps) {
        Bytes<kEach> ids;
        Bytes<kEach * kChannels> pixels;
        ids.read(task.mask + y * task.mask_pitch + x, count, task.mask_words);
        pixels.read(task.image + y * task.pitch + x * kChannels, count * kChannels, task.words);
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
            const pixel::Tint tint = tints[ids.value[i]];
#pragma unroll
            for (int c = 0; c < 3; ++c) {
                std::uint8_t& byte = pixels.value[i * kChannels + c];
                byte = pixel::to_byte(pixel::blend(pixel::to_q7(byte), tint.colour[c], tint.share));
            }
        }
        pixels.write(task.out + y * task.out_pitch + x * kChannels, count * kChannels, task.words);
    }
}

}  // namespace

void overlay(const OverlayJob& job, const Stream& stream) {
    Task task{};
    task.image = job.image.data;
    task.pitch = job.image.row;
    task.mask = job.mask;
    task.mask_pitch = job.mask_row;
    task.out = const_cast<std::uint8_t*>(job.out.data);
    task.out_pitch = job.out.row;
    task.height = job.height;
    task.width = job.width;
    task.palette = job.palette;
    task.alpha = job.alpha;
    task.colours = job.colours;
    task.words = aligned(task.image, task.pitch, 4) && aligned(task.out, task.out_pitch, 4);
    task.mask_words = aligned(task.mask, task.mask_pitch, 4);
    const dim3 blocks(blocks_for(job.width, kLanes * kEach), blocks_for(job.height, kHigh));
    const dim3 threads(kLanes, kWarps);
    launch(job.channels == 3 ? overlay_block<3> : overlay_block<4>, blocks, threads, stream, task);
}

}  // namespace segrt::cuda
