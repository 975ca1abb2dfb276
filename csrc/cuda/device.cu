#include "cuda/check.hpp"
#include "cuda/device.hpp"

namespace segrt::cuda {

bool built() { return true; }

int device_count(std::string* reason) {
    int count = 0;  // CUDA leaves it as it is where it fails
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) cudaGetLastError();  // the probe's failure must not be taken for that of the next call
    if (reason) *reason = error != cudaSuccess ? reason_of(error) : count ? "" : "no CUDA device";
    return error == cudaSuccess ? count : 0;
}

Devices devices() {
    Devices found;
    const int count = device_count(&found.reason);
    for (int i = 0; i < count; ++i) {
        try {
            const Properties device = properties(i);
            found.names.push_back(device.name + " (sm_" + std::to_string(device.major) + std::to_string(device.minor) +
                                  ", " + std::to_string(device.bytes >> 20) + " MiB)");
        } catch (const std::runtime_error&) {
            found.names.push_back("a device that does not answer");
        }
    }
    return found;
}

Properties properties(int device) {
    cudaDeviceProp found;
    check(cudaGetDeviceProperties(&found, device), "to ask a GPU for its properties");
    return {found.name, found.major, found.minor, found.totalGlobalMem};
}

int driver_version() {
    int version = 0;
    return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}

int runtime_version() {
    int version = 0;
    return cudaRuntimeGetVersion(&version) == cudaSuccess ? version : 0;
}

int device_of(const void* address) {
    cudaPointerAttributes found;
    check(cudaPointerGetAttributes(&found, address), "to tell whose memory an address is in");
    const bool device = found.type == cudaMemoryTypeDevice || found.type == cudaMemoryTypeManaged;
    return device ? found.device : -1;
}

}  // namespace segrt::cuda
