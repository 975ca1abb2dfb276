#include <cstring>
#include <exception>

#include "cuda/check.hpp"
#include "cuda/handles.hpp"

namespace segrt::cuda {
namespace {

/// Without a timestamp an event costs less.
cudaEvent_t new_event(bool timing) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, timing ? cudaEventDefault : cudaEventDisableTiming), "to make an event");
    return event;
}

/// While it lives, this thread may reserve and free memory even within a capture: without it, Python's garbage
/// collection of some old buffer would break the capture off.
class EvenCapturing {
  public:
    EvenCapturing() { cudaThreadExchangeStreamCaptureMode(&mode_); }
    EvenCapturing(const EvenCapturing&) = delete;
    EvenCapturing& operator=(const EvenCapturing&) = delete;
    ~EvenCapturing() { cudaThreadExchangeStreamCaptureMode(&mode_); }

  private:
    cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace

Stream::Stream(int device) : device_(device) {
    const OnDevice here(device);
    check(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking), "to make a stream");
}

// The work that is queued is still done.
Stream::~Stream() { cudaStreamDestroy(handle_); }

void Stream::synchronize() const { check(cudaStreamSynchronize(handle_), "in the work of a stream"); }

void Stream::wait(const Event& event) const {
    check(cudaStreamWaitEvent(handle_, event.handle(), 0), "to let a stream wait");
}

void Stream::wait_stream(CUstream_st* other) const {
    const OnDevice here(device_);
    const Event now(false, device_);
    check(cudaEventRecord(now.handle(), other), "to record an event on another library's stream");
    wait(now);
}

Event::Event(bool timing, int device) : device_(device) {
    const OnDevice here(device);
    handle_ = new_event(timing);
}

Event::~Event() { cudaEventDestroy(handle_); }

void Event::record(const Stream& stream) const {
    check(cudaEventRecord(handle_, stream.handle()), "to record an event");
}

void Event::synchronize() const { check(cudaEventSynchronize(handle_), "in the work before an event"); }

bool Event::done() const {
    const cudaError_t state = cudaEventQuery(handle_);
    if (state == cudaErrorNotReady) {
        cudaGetLastError();
        return false;
    }
    check(state, "in the work before an event");
    return true;
}

float Event::elapsed_ms(const Event& since) const {
    float found = 0;
    check(cudaEventElapsedTime(&found, since.handle_, handle_), "to tell the time between two events");
    return found;
}

DeviceBuffer::DeviceBuffer(std::size_t bytes, int device) : bytes_(bytes), device_(device) {
    const OnDevice here(device);
    const EvenCapturing any;
    check(cudaMalloc(&data_, bytes ? bytes : 1), "to reserve memory of the GPU");
}

DeviceBuffer::~DeviceBuffer() {
    const EvenCapturing any;
    cudaFree(data_);
}

PinnedBuffer::PinnedBuffer(std::size_t bytes) : bytes_(bytes) {
    const EvenCapturing any;
    check(cudaHostAlloc(&data_, bytes ? bytes : 1, cudaHostAllocPortable), "to reserve pinned memory");
    std::memset(data_, 0, bytes);
}

PinnedBuffer::~PinnedBuffer() {
    const EvenCapturing any;
    cudaFreeHost(data_);
}

std::unique_ptr<Graph> Graph::capture(const Stream& stream, const std::function<void()>& body) {
    const OnDevice here(stream.device());
    // Thread-local: what other threads do meanwhile (allocate, say) is their own affair.
    check(cudaStreamBeginCapture(stream.handle(), cudaStreamCaptureModeThreadLocal), "to begin a capture");
    std::exception_ptr thrown;
    try {
        body();
    } catch (...) {
        thrown = std::current_exception();
    }
    cudaGraph_t recorded = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream.handle(), &recorded);
    const std::unique_ptr<CUgraph_st, cudaError_t (*)(cudaGraph_t)> owner(recorded, cudaGraphDestroy);
    if (thrown) {
        cudaGetLastError();  // a capture that was broken off is not worth a second error
        std::rethrow_exception(thrown);
    }
    check(ended, "to capture a graph");
    cudaGraphExec_t executable = nullptr;
    check(cudaGraphInstantiate(&executable, recorded, 0), "to instantiate a graph");
    std::unique_ptr<Graph> graph(new Graph(executable));
    check(cudaGraphUpload(executable, stream.handle()), "to upload a graph");
    return graph;
}

Graph::~Graph() { cudaGraphExecDestroy(handle_); }

void Graph::launch(const Stream& stream) const {
    check(cudaGraphLaunch(handle_, stream.handle()), "to launch a graph");
}

void copy(void* to, const void* from, std::size_t bytes, const Stream& stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream.handle()), "to copy");
}

void copy_rows(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t row_bytes,
               std::size_t rows, const Stream& stream) {
    check(cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, row_bytes, rows, cudaMemcpyDefault, stream.handle()),
          "to copy rows");
}

void fill(void* to, int byte, std::size_t bytes, const Stream& stream) {
    check(cudaMemsetAsync(to, byte, bytes, stream.handle()), "to fill memory");
}

}  // namespace segrt::cuda
