// CUDA's handles, each owned by an object: streams, events, memory and graphs. No CUDA header is needed to use them.
//
// Whatever CUDA refuses is a std::runtime_error of one line; destructors refuse nothing. Each object knows its device
// and works there, whichever device the calling thread has chosen, and leaves that choice as it was.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

struct CUstream_st;  // what cudaStream_t and its like point to
struct CUevent_st;
struct CUgraphExec_st;

namespace segrt::cuda {

class Event;

/// A queue of work that does not wait for the default stream.
class Stream {
  public:
    explicit Stream(int device);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    CUstream_st* handle() const { return handle_; }
    int device() const { return device_; }
    void synchronize() const;
    void wait(const Event& event) const;
    /// For all that is queued on another library's stream now.
    void wait_stream(CUstream_st* other) const;

  private:
    CUstream_st* handle_ = nullptr;
    int device_;
};

class Event {
  public:
    Event(bool timing, int device);
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    CUevent_st* handle() const { return handle_; }
    void record(const Stream& stream) const;
    void synchronize() const;
    bool done() const;
    float elapsed_ms(const Event& since) const;

  private:
    CUevent_st* handle_ = nullptr;
    int device_;
};

/// Memory of a device, not initialised.
class DeviceBuffer {
  public:
    DeviceBuffer(std::size_t bytes, int device);
    ~DeviceBuffer();
    DeviceBuffer(const DeviceBuffer&) = delete;
    DeviceBuffer& operator=(const DeviceBuffer&) = delete;

    void* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }
    int device() const { return device_; }

  private:
    void* data_ = nullptr;
    std::size_t bytes_;
    int device_;
};

/// Memory of the host that any device copies from and to by itself; zeroed.
class PinnedBuffer {
  public:
    explicit PinnedBuffer(std::size_t bytes);
    ~PinnedBuffer();
    PinnedBuffer(const PinnedBuffer&) = delete;
    PinnedBuffer& operator=(const PinnedBuffer&) = delete;

    void* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }

  private:
    void* data_ = nullptr;
    std::size_t bytes_;
};

/// Work that was recorded once and is launched as a whole.
class Graph {
  public:
    /// Record what `body` queues on the stream. What `body` throws is passed on, after the capture has been ended.
    static std::unique_ptr<Graph> capture(const Stream& stream, const std::function<void()>& body);
    ~Graph();
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;

    void launch(const Stream& stream) const;

  private:
    explicit Graph(CUgraphExec_st* handle) : handle_(handle) {}
    CUgraphExec_st* handle_;
};

/// Queue a copy in either direction.
void copy(void* to, const void* from, std::size_t bytes, const Stream& stream);
void copy_rows(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t row_bytes,
               std::size_t rows, const Stream& stream);
void fill(void* to, int byte, std::size_t bytes, const Stream& stream);

}  // namespace segrt::cuda
