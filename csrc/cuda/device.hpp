// Which NVIDIA GPUs this build can see. Nothing here throws for want of a GPU or a driver, unless it says so.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace segrt::cuda {

/// Whether this build has CUDA code at all.
bool built();

struct Devices {
    std::vector<std::string> names;  // "NVIDIA GeForce RTX 4060 Ti (sm_89, 8188 MiB)", by device number
    std::string reason;              // why there is none; empty otherwise
};

Devices devices();

/// How many there are; `reason` says why there is none.
int device_count(std::string* reason = nullptr);

struct Properties {
    std::string name;
    int major, minor;  // compute capability
    std::size_t bytes;
};

/// Throws where there is no such device.
Properties properties(int device);

/// As CUDA numbers them: 13000 is 13.0. The driver's is 0 where there is none.
int driver_version();
int runtime_version();

/// The device whose memory an address is in, -1 for the host's. Throws where CUDA cannot tell.
int device_of(const void* address);

}  // namespace segrt::cuda
