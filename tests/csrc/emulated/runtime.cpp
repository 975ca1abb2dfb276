// Memory, streams, events and graphs of the emulated GPU.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <map>
#include <vector>

#include "emulation.hpp"

using Work = std::function<void()>;
using Clock = std::chrono::steady_clock;

struct CUstream_st {
    std::deque<Work> queue;
    std::uint64_t queued = 0, done = 0;
    CUgraph_st* recording = nullptr;
    bool broken = false;  // the capture
};
struct CUevent_st {
    CUstream_st* stream = nullptr;
    std::uint64_t until = 0;
    Clock::time_point reached;
};
struct CUgraph_st {
    std::vector<Work> work;
};
struct CUgraphExec_st {
    std::vector<Work> work;
};

namespace {

constexpr int kDevices = 2;
constexpr std::size_t kPage = 4096, kAlignment = 256;

struct Block {
    std::size_t bytes, mapped;
    char* from;
    cudaMemoryType type;
    int device;
};

std::map<char*, Block> blocks;  // by address
int current_device = 0;
cudaError_t last_error = cudaSuccess, sticky_error = cudaSuccess;
std::string complaint;
cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;
std::vector<CUstream_st*> capturing;

cudaError_t set(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

const Block* block_of(const void* address) {
    auto next = blocks.upper_bound(static_cast<char*>(const_cast<void*>(address)));
    if (next == blocks.begin()) return nullptr;
    --next;
    return static_cast<const char*>(address) < next->first + next->second.bytes ? &next->second : nullptr;
}

// 1 and 2 are the default streams, on which nothing ever waits here.
bool is_default(CUstream_st* stream) { return reinterpret_cast<std::uintptr_t>(stream) < 3; }

void run_until(CUstream_st* stream, std::uint64_t until) {
    while (stream->done < until && sticky_error == cudaSuccess) {
        const Work work = std::move(stream->queue.front());
        stream->queue.pop_front();
        ++stream->done;
        work();
    }
}

// What no capture allows: it is void from now on.
bool forbidden_in_capture() {
    if (capturing.empty() || capture_mode == cudaStreamCaptureModeRelaxed) return false;
    for (CUstream_st* stream : capturing) stream->broken = true;
    return true;
}

constexpr std::size_t kFreedKept = 1000;
std::deque<std::pair<char*, std::size_t>> freed;

/// Ends at a page that cannot be touched, and begins after one.
cudaError_t allocate(void** address, std::size_t bytes, cudaMemoryType type) {
    if (forbidden_in_capture()) return set(cudaErrorStreamCaptureUnsupported);
    const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    const std::size_t pages = (rounded + kPage - 1) / kPage * kPage, mapped = pages + 2 * kPage;
    void* from = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (from == MAP_FAILED) return set(cudaErrorMemoryAllocation);
    char* inside = static_cast<char*>(from) + kPage;
    mprotect(inside, pages, PROT_READ | PROT_WRITE);
    std::memset(inside, 0xDB, pages);  // nobody may count on zeros
    char* start = inside + pages - rounded;
    blocks[start] = {bytes, mapped, static_cast<char*>(from), type, current_device};
    *address = start;
    return cudaSuccess;
}

cudaError_t release(void* address, cudaMemoryType type) {
    if (!address) return cudaSuccess;
    if (forbidden_in_capture()) return set(cudaErrorStreamCaptureUnsupported);
    const auto found = blocks.find(static_cast<char*>(address));
    if (found == blocks.end() || found->second.type != type) return set(cudaErrorInvalidValue);
    // Not given out again for long: whoever still touches it is found out. Not for ever, for a process may only have so
    // many mappings, and a run of all tests would use them up.
    madvise(found->second.from, found->second.mapped, MADV_DONTNEED);
    mprotect(found->second.from, found->second.mapped, PROT_NONE);
    freed.emplace_back(found->second.from, found->second.mapped);
    if (freed.size() > kFreedKept) {
        munmap(freed.front().first, freed.front().second);
        freed.pop_front();
    }
    blocks.erase(found);
    return cudaSuccess;
}

cudaError_t copying(const void* to, const void* from, CUstream_st* stream) {
    if (stream->recording && (!block_of(to) || !block_of(from))) {  // memory of the host that is not pinned
        stream->broken = true;
        return set(cudaErrorStreamCaptureUnsupported);
    }
    return cudaSuccess;
}

}  // namespace

namespace emulated {

void fail(const std::string& what) {
    complaint = what;
    sticky_error = cudaErrorLaunchFailure;
}

void reset() { sticky_error = last_error = cudaSuccess; }

cudaError_t enqueue(cudaStream_t stream, Work work) {
    if (sticky_error != cudaSuccess) return set(sticky_error);
    if (stream->recording) {
        stream->recording->work.push_back(std::move(work));
    } else {
        stream->queue.push_back(std::move(work));
        ++stream->queued;
    }
    return cudaSuccess;
}

}  // namespace emulated

cudaError_t cudaGetLastError() {
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

const char* cudaGetErrorString(cudaError_t error) {
    if (error == cudaErrorLaunchFailure) return complaint.c_str();
    return error == cudaErrorInvalidDevice ? "invalid device ordinal" : "emulated error";
}

const char* cudaGetErrorName(cudaError_t error) {
    static std::string name;
    name = "error " + std::to_string(error);
    return name.c_str();
}

cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = kDevices, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = current_device, cudaSuccess; }

cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= kDevices) return set(cudaErrorInvalidDevice);
    current_device = device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    if (device < 0 || device >= kDevices) return set(cudaErrorInvalidDevice);
    std::snprintf(properties->name, sizeof properties->name, "Emulated GPU");
    properties->major = 9;
    properties->minor = 0;
    properties->totalGlobalMem = std::size_t{1} << 30;
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
    const Block* block = block_of(address);
    *attributes = {block ? block->type : cudaMemoryTypeUnregistered, block ? block->device : -1};
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** address, std::size_t bytes) { return allocate(address, bytes, cudaMemoryTypeDevice); }
cudaError_t cudaFree(void* address) { return release(address, cudaMemoryTypeDevice); }
cudaError_t cudaHostAlloc(void** address, std::size_t bytes, unsigned) {
    return allocate(address, bytes, cudaMemoryTypeHost);
}
cudaError_t cudaFreeHost(void* address) { return release(address, cudaMemoryTypeHost); }

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
    std::swap(*mode, capture_mode);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return *stream = new CUstream_st, cudaSuccess; }

// Streams are never deleted, as events and other streams' work may still point to them.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    run_until(stream, stream->queued);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    if (forbidden_in_capture()) return set(cudaErrorStreamCaptureUnsupported);
    run_until(stream, stream->queued);
    return set(sticky_error);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    if (!event->stream) return cudaSuccess;
    CUstream_st* other = event->stream;
    const std::uint64_t until = event->until;
    return emulated::enqueue(stream, [=] { run_until(other, until); });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    if (stream->recording) return set(cudaErrorStreamCaptureUnsupported);
    stream->recording = new CUgraph_st;
    stream->broken = false;
    capturing.push_back(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    *graph = nullptr;
    if (!stream->recording) return set(cudaErrorInvalidValue);
    capturing.erase(std::remove(capturing.begin(), capturing.end(), stream), capturing.end());
    if (stream->broken) {
        delete stream->recording;
        stream->recording = nullptr;
        return set(cudaErrorStreamCaptureInvalidated);
    }
    *graph = stream->recording;
    stream->recording = nullptr;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return *event = new CUevent_st, cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    if (is_default(stream) || stream->recording) return event->stream = nullptr, cudaSuccess;
    event->stream = stream;
    event->until = stream->queued;
    event->reached = Clock::now();
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    if (event->stream) run_until(event->stream, event->until);
    return set(sticky_error);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    if (sticky_error != cudaSuccess) return set(sticky_error);
    return event->stream && event->stream->done < event->until ? set(cudaErrorNotReady) : cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    *milliseconds = std::chrono::duration<float, std::milli>(end->reached - start->reached).count();
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
    return *executable = new CUgraphExec_st{graph->work}, cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    for (const Work& work : executable->work) {
        const cudaError_t error = emulated::enqueue(stream, work);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) { return delete executable, cudaSuccess; }

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
    const cudaError_t error = copying(to, from, stream);
    return error != cudaSuccess ? error : emulated::enqueue(stream, [=] { std::memcpy(to, from, bytes); });
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t row_bytes, std::size_t rows, cudaMemcpyKind, cudaStream_t stream) {
    if (row_bytes > to_pitch || row_bytes > from_pitch) return set(cudaErrorInvalidValue);
    const cudaError_t error = copying(to, from, stream);
    if (error != cudaSuccess) return error;
    return emulated::enqueue(stream, [=] {
        for (std::size_t i = 0; i < rows; ++i) {
            std::memcpy(static_cast<char*>(to) + i * to_pitch, static_cast<const char*>(from) + i * from_pitch,
                        row_bytes);
        }
    });
}

cudaError_t cudaMemsetAsync(void* to, int byte, std::size_t bytes, cudaStream_t stream) {
    return emulated::enqueue(stream, [=] { std::memset(to, byte, bytes); });
}
