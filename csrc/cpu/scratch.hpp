// Memory that a calling thread keeps from one call to the next.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace segrt {

/// Hands out pieces of memory that someone else owns, each aligned to 64 bytes and not initialised.
class Arena {
  public:
    explicit Arena(std::byte* from) : at_(from) {}

    template <class T>
    T* get(std::size_t count) {
        T* piece = reinterpret_cast<T*>(at_);
        at_ += size_of<T>(count);
        return piece;
    }

    /// What get<T>(count) uses up.
    template <class T>
    static constexpr std::size_t size_of(std::size_t count) {
        return (count * sizeof(T) + 63) / 64 * 64;
    }

  private:
    std::byte* at_;
};

/// One buffer that only ever grows.
class Scratch {
  public:
    /// At least `bytes`; what was handed out before is void.
    std::byte* reserve(std::size_t bytes) {
        if (bytes > size_) {
            size_ = 0;
            buffer_.reset();  // give back first: the sum of both might not fit
            buffer_.reset(static_cast<std::byte*>(::operator new(bytes, std::align_val_t(64))));
            size_ = bytes;
        }
        return buffer_.get();
    }

  private:
    struct Free {
        void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t(64)); }
    };
    std::unique_ptr<std::byte, Free> buffer_;
    std::size_t size_ = 0;
};

}  // namespace segrt
