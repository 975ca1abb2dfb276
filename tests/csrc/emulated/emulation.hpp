// What the parts of the emulation share.
#pragma once

#include <string>

#include "cuda_runtime.h"

namespace emulated {

enum Order { kForward, kBackward, kShuffled };

/// In which order blocks run, and threads between two barriers.
void set_order(int order, unsigned seed);

/// A kernel did what no GPU would let pass: every later wait reports it, as with CUDA.
void fail(const std::string& complaint);
/// Forget that, as only a new process would.
void reset();

}  // namespace emulated
