// A glance at a frame, between the rows and what they tell together.
#pragma once

#include "ops.hpp"

namespace segrt {

/// Cells side by side in a row of `width` pixels.
int cells(int width);

/// Fill `glanced`, once every row has been looked at; `moved` is the sum of what the rows found.
void conclude(const Glance& glance, int width, std::int64_t moved, Glanced& glanced);

}  // namespace segrt
