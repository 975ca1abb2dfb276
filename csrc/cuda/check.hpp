// For the files of this folder: CUDA's errors as exceptions, and the device they are about.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace segrt::cuda {

/// Where there is no driver at all, CUDA says that it is too old.
inline const char* reason_of(cudaError_t error) {
    int driver = 0;
    if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) {
        return "no NVIDIA driver on this machine";
    }
    return cudaGetErrorString(error);
}

/// `doing` completes "CUDA failed ...".
inline void check(cudaError_t error, const char* doing) {
    if (error == cudaSuccess) return;
    cudaGetLastError();  // or the next call that asks would be blamed for this one
    throw std::runtime_error(std::string("CUDA failed ") + doing + ": " + reason_of(error) + " (" +
                             cudaGetErrorName(error) + ")");
}

/// While it lives, the calling thread's device is this one.
class OnDevice {
  public:
    explicit OnDevice(int device) {
        check(cudaGetDevice(&before_), "to find a GPU");
        changed_ = device != before_;
        if (changed_) check(cudaSetDevice(device), "to choose the GPU");
    }
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;
    ~OnDevice() {
        if (changed_) cudaSetDevice(before_);
    }

  private:
    int before_ = 0;
    bool changed_ = false;
};

}  // namespace segrt::cuda
