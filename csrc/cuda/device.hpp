// Which NVIDIA GPUs this build can see.
#pragma once

#include <string>
#include <vector>

namespace segrt {

struct CudaDevices {
    std::vector<std::string> names;  // "NVIDIA GeForce RTX 4060 Ti (sm_89, 8188 MiB)", by device number
    std::string reason;              // why there is none; empty otherwise
};

/// Never throws for want of a GPU or a driver.
CudaDevices cuda_devices();

}  // namespace segrt
