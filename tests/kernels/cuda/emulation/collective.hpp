// The collective operations of a warp, for numbers.cpp.
#pragma once

#include "shim.hpp"

namespace emulation {

constexpr int warp_size = 32;

// Wait until all lanes of a warp have called the same function; the last one computes for all, from the operands of each
// lane. `function` is its name.
void collective(const char* function, Place place, const void* operands, void (*compute)(const void* const operands[]));

}  // namespace emulation
