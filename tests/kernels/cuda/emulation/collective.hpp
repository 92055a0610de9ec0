// What scheduler.cpp has for numbers.cpp.
#pragma once

#include "shim.hpp"

namespace emulation {

constexpr int warp_size = 32;

// A word that all lanes of a warp say together: the last one to come computes for all, from the operands of each lane.
void collective(const char* word, Place place, const void* operands, void (*compute)(const void* const operands[]));

}  // namespace emulation
