#include <cuda_runtime_api.h>

#include "cuda/device.hpp"

namespace segrt {

CudaDevices cuda_devices() {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        cudaGetLastError();  // the probe's failure must not be taken for that of the next call
        int driver = 0;      // stays 0 where there is none; CUDA then calls it "insufficient"
        cudaDriverGetVersion(&driver);
        return {{}, driver == 0 ? "no NVIDIA driver on this machine" : cudaGetErrorString(error)};
    }
    if (count == 0) return {{}, "no CUDA device"};
    CudaDevices found{{}, ""};
    for (int i = 0; i < count; ++i) {
        cudaDeviceProp device;
        if (cudaGetDeviceProperties(&device, i) != cudaSuccess) {
            found.names.push_back("a device that does not answer");
            continue;
        }
        found.names.push_back(std::string(device.name) + " (sm_" + std::to_string(device.major) +
                              std::to_string(device.minor) + ", " + std::to_string(device.totalGlobalMem >> 20) +
                              " MiB)");
    }
    return found;
}

}  // namespace segrt
