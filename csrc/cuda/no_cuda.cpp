// What stands in for the files of this folder in a build without CUDA.
#include <stdexcept>

#include "cuda/device.hpp"
#include "cuda/handles.hpp"
#include "cuda/kernels.hpp"

namespace segrt::cuda {
namespace {

constexpr const char* kReason = "segrt was built without CUDA";

[[noreturn]] void refuse() { throw std::runtime_error(kReason); }

}  // namespace

bool built() { return false; }

Devices devices() { return {{}, kReason}; }

int device_count(std::string* reason) {
    if (reason) *reason = kReason;
    return 0;
}

Properties properties(int) { refuse(); }
int driver_version() { return 0; }
int runtime_version() { return 0; }
int device_of(const void*) { refuse(); }

// Nothing below can be called but the constructors: no object exists.
Stream::Stream(int device) : device_(device) { refuse(); }
Stream::~Stream() = default;
void Stream::synchronize() const { refuse(); }
void Stream::wait(const Event&) const { refuse(); }
void Stream::wait_stream(CUstream_st*) const { refuse(); }

Event::Event(bool, int device) : device_(device) { refuse(); }
Event::~Event() = default;
void Event::record(const Stream&) const { refuse(); }
void Event::synchronize() const { refuse(); }
bool Event::done() const { refuse(); }
float Event::elapsed_ms(const Event&) const { refuse(); }

DeviceBuffer::DeviceBuffer(std::size_t bytes, int device) : bytes_(bytes), device_(device) { refuse(); }
DeviceBuffer::~DeviceBuffer() = default;
PinnedBuffer::PinnedBuffer(std::size_t bytes) : bytes_(bytes) { refuse(); }
PinnedBuffer::~PinnedBuffer() = default;

std::unique_ptr<Graph> Graph::capture(const Stream&, const std::function<void()>&) { refuse(); }
Graph::~Graph() = default;
void Graph::launch(const Stream&) const { refuse(); }

void copy(void*, const void*, std::size_t, const Stream&) { refuse(); }
void copy_rows(void*, std::size_t, const void*, std::size_t, std::size_t, std::size_t, const Stream&) { refuse(); }
void fill(void*, int, std::size_t, const Stream&) { refuse(); }

void preprocess(const PreprocessJob&, const Stream&) { refuse(); }
void postprocess(const PostprocessJob&, void*, const Stream&) { refuse(); }
void steady(const SteadyJob&, const Stream&) { refuse(); }
void overlay(const OverlayJob&, const Stream&) { refuse(); }

}  // namespace segrt::cuda
